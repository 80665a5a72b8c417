"""The tests of test_window_qemu.sh: window-events.elf under QEMU. usage: window_qemu.py BUILD
FOLDER"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

from vmmctl import Tap

BUILD, FOLDER = sys.argv[1:3]
SLOTS = " ".join(f"virtio_mmio.device=512@0x{0xfeb00000 + i * 512:x}:{5 + i}" for i in range(8))
tap = Tap()


class Qemu:
    def __init__(self, *args, devices=("gpu", "keyboard", "tablet")):
        path = os.path.join(FOLDER, "qmp")
        command = ["qemu-system-x86_64", "-M", "microvm,acpi=off,rtc=on,pit=off,pic=off,"
                   "x-option-roms=off,auto-kernel-cmdline=off", "-accel", "tcg", "-cpu", "max",
                   "-m", "64M", "-smp", "1", "-nodefaults", "-no-reboot", "-display", "none",
                   "-global", "virtio-mmio.force-legacy=false",
                   "-device", "isa-debug-exit,iobase=0x501,iosize=4", "-chardev", "stdio,id=c0",
                   "-device", "virtio-serial-device,max_ports=4",
                   "-device", "virtconsole,chardev=c0,nr=0",
                   "-qmp", f"unix:{path},server=on,wait=off",
                   "-kernel", os.path.join(BUILD, "guests/test/window-events.elf"),
                   "-append", f"{SLOTS} exo.exit=0x501 -- {' '.join(args)}"]
        for d in devices:
            command += ["-device", f"virtio-{d}-device"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.lines, self.at = [], 0
        threading.Thread(target=self.read, daemon=True).start()
        self.qmp = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 20
        while True:
            try:
                self.qmp.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.file = self.qmp.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def ask(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "event" not in answer:
                return answer

    def said(self, text, timeout=30):
        end = time.monotonic() + timeout
        while True:
            for i in range(self.at, len(self.lines)):
                if text in self.lines[i]:
                    self.at = i + 1
                    return True
            if time.monotonic() > end:
                return False
            time.sleep(0.02)

    def picture(self):
        """(width, height, function of x and y to a colour)."""
        path = os.path.join(FOLDER, "dump.ppm")
        self.ask("screendump", filename=path)
        with open(path, "rb") as f:
            _, size, _, pixels = f.read().split(b"\n", 3)
        width, height = map(int, size.split())

        def at(x, y):
            return pixels[3 * (y * width + x):][:3].hex()

        return width, height, at

    def event(self, kind, **data):
        return self.ask("input-send-event", events=[{"type": kind, "data": data}])

    def key(self, name):
        for down in (True, False):
            self.event("key", down=down, key={"type": "qcode", "data": name})

    def point(self, x, y, width, height):
        """The middle of a pixel, of axes up to 32767."""
        self.ask("input-send-event", events=[
            {"type": "abs", "data": {"axis": "x", "value": (2 * x + 1) * 32768 // (2 * width)}},
            {"type": "abs", "data": {"axis": "y", "value": (2 * y + 1) * 32768 // (2 * height)}}])

    def close(self):
        try:
            self.key("esc")
        except (OSError, ValueError):
            pass  # it has gone with the key's press
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def whole(*options):
    name = " ".join(options) or "as it likes"
    q = Qemu(*options)
    ok = q.said("scale 120 transfer") and q.said("0 frame")
    width, height, at = q.picture()
    corners = [at(x, y) for y in (1, height - 2) for x in (1, width - 2)]
    tap.check(ok and corners == ["ff0000", "00ff00", "0000ff", "ffffff"] and
              at(width // 2, height // 2) == "404040", f"{name}: the picture is on QEMU's screen",
              f"{q.lines} {width}x{height} {corners}")
    ok = True
    for x, y in ((0, 0), (width - 1, height - 1), (7, 13), (300, 200)):
        q.point(x, y, width, height)
        ok &= q.said(f"0 pointer {x},{y}")
    tap.check(ok, f"{name}: the tablet's place, to the pixel", f"{q.lines}")
    q.key("d")
    ok = q.said("key 32 down mods 0 symbol 100 text 'd'") and q.said("0 frame")
    at = q.picture()[2]
    tap.check(ok and at(300, 200) == "123456" and at(1, 1) == "ff0000",
              f"{name}: a key, and what is drawn by it", f"{q.lines}")
    for down in (True, False):
        q.event("btn", down=down, button="left")
    tap.check(q.said("button 272 down at 300,200") and q.said("button 272 up"),
              f"{name}: a click", f"{q.lines}")
    q.event("btn", down=True, button="wheel-up")
    tap.check(q.said("wheel 0,120"), f"{name}: the wheel", f"{q.lines}")
    tap.check(q.close() == 1, f"{name}: and its end", f"{q.lines}")


def mouse():
    q = Qemu(devices=("gpu", "keyboard", "mouse"))
    q.said("0 frame")
    q.ask("input-send-event", events=[{"type": "rel", "data": {"axis": "x", "value": 9}},
                                      {"type": "rel", "data": {"axis": "y", "value": -4}}])
    tap.check(q.said("motion 9,-4"), "QEMU's mouse", f"{q.lines}")
    q.close()


def drawing():
    q = Qemu("-a", "30")
    tap.check(q.said("animated 30"), "frame upon frame", f"{q.lines}")
    q.close()


whole()
whole("-r")
mouse()
drawing()
sys.exit(tap.done())
