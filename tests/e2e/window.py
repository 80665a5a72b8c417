"""The tests of test_window.sh: window-events.elf and sound.elf in exo-vmm, with a desktop that is
played here. usage: window.py BUILD"""
import os
import struct
import sys
import threading
import time

from displaypeer import *
from vmmctl import *

BUILD = sys.argv[1]
EXE = os.path.join(BUILD, "bin/exo-vmm")
KEY_D, KEY_O, KEY_X, KEY_A, KEY_LEFTCTRL, KEY_C, KEY_N = 32, 24, 45, 30, 29, 46, 49
QUARTERS = (0xFF0000, 0x00FF00, 0x0000FF, 0xFFFFFF)
tap = Tap()


class Guest:
    """A guest with a screen, what it prints, and its desktop."""

    def __init__(self, *args, program="window-events", **screen):
        with open(os.path.join(BUILD, f"guests/test/{program}.elf"), "rb") as f:
            image = f.read()
        out, writer = os.pipe()
        self.screen = Screen(**screen)
        self.vmm = Vmm(EXE, image, stdout=writer, stderr=writer, screen=self.screen.config,
                       args=[b"prog"] + [str(a).encode() for a in args])
        os.close(writer)
        self.screen.handed_over()
        self.lines, self.at = [], 0
        self.eof = False
        self.reader = threading.Thread(target=self.read, args=(out,), daemon=True)
        self.reader.start()

    @property
    def peer(self):
        return self.screen.peer

    def read(self, out):
        with os.fdopen(out, errors="replace") as f:
            for line in f:
                self.lines.append(line.rstrip())
        self.eof = True

    def said(self, text, timeout=60):
        """Prints the text, after what was looked for before; the desktop lives on meanwhile."""
        end = time.monotonic() + timeout
        while True:
            for i in range(self.at, len(self.lines)):
                if text in self.lines[i]:
                    self.at = i + 1
                    return True
            if time.monotonic() > end or (self.eof and self.at >= len(self.lines)):
                return False
            if self.peer and not self.peer.hung_up:
                self.peer.receive(0.02)
            else:
                time.sleep(0.02)

    def has_said(self, text):
        return any(text in line for line in self.lines[self.at:])

    def drawn(self, scanout=0, timeout=60):
        return self.peer.until(lambda: self.peer.flushes.get(scanout), timeout)

    def shows(self, scanout=0, shade=None):
        """The four colours in their corners."""
        p = self.peer.shown.get(scanout)
        if not p:
            return False
        corners = ((1, 1), (p.width - 2, 1), (1, p.height - 2), (p.width - 2, p.height - 2))
        shade = 0x404040 if shade is None else shade
        return tuple(self.peer.pixel(scanout, *c) for c in corners) == QUARTERS and \
            self.peer.pixel(scanout, p.width // 2, p.height // 2) == shade

    def key(self, code):
        self.peer.keys(code)

    def settle(self, seconds=0.3):
        """Whatever comes in this time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.peer.receive(0.05)

    def close(self):
        if not self.peer.hung_up:
            self.key(KEY_ESC)
        result = self.vmm.end()
        self.reader.join(5)
        status, error = self.vmm.finish()
        self.peer.close()
        return result[:2] == ("EXIT", 0) and status == 0 and not error


def pictures(path, *options):
    g = Guest(*options, width=640, height=480)
    ok = g.said("window 0 640x480 scale 120 " + path) and g.drawn() and g.said("0 frame")
    tap.check(ok and g.shows(), f"{path}: a picture is shown, and said to be seen", f"{g.lines}")
    g.peer.point(100, 50)
    ok = g.said("pointer 100,50")
    before = len(g.peer.flushes[0])
    g.key(KEY_D)
    ok &= g.peer.until(lambda: len(g.peer.flushes[0]) > before)
    tap.check(ok and g.peer.flushes[0][-1][1:] == (96, 46, 8, 8) and
              g.peer.pixel(0, 100, 50) == 0x123456 and g.shows() and g.said("0 frame"),
              f"{path}: what is damaged is flushed, the rest stays", f"{g.peer.flushes[0]}")
    for at in range(3):
        g.peer.point(200 + at * 20, 90)
        g.said(f"pointer {200 + at * 20},90")
        g.key(KEY_D)
        g.said("0 frame")
    spots = [g.peer.pixel(0, x, y) for x, y in ((100, 50), (200, 90), (220, 90), (240, 90))]
    tap.check(spots == [0x123456] * 4 and g.shows(), f"{path}: frame upon frame", f"{spots}")
    tap.check(g.close(), f"{path}: and ends in order", f"{g.lines}")


def redrawn():
    g = Guest("-r", width=320, height=200)
    g.said("0 frame")
    g.peer.point(10, 10)
    g.said("pointer 10,10")
    g.key(KEY_D)
    tap.check(g.said("0 frame") and g.shows() and g.peer.pixel(0, 10, 10) == 0x123456,
              "a window that draws all of each frame", f"{g.lines}")
    g.close()


def input_events():
    g = Guest(inputs=HAS_KEYBOARD | HAS_TABLET | HAS_MOUSE | HAS_TOUCH)
    g.said("0 frame")
    p = g.peer
    p.key(KEY_LEFTSHIFT, True)
    p.keys(KEY_A)
    p.key(KEY_LEFTSHIFT, False)
    tap.check(g.said("key 42 down mods 1") and g.said("key 30 down mods 1 symbol 65 text 'A'") and
              g.said("key 30 up") and g.said("key 42 up mods 0"), "a capital letter", f"{g.lines}")
    p.key(KEY_LEFTCTRL, True)
    p.keys(KEY_A)
    p.key(KEY_LEFTCTRL, False)
    tap.check(g.said("key 30 down mods 2 symbol 97 text ''") and g.said("key 29 up"),
              "with Ctrl nothing is typed", f"{g.lines}")
    p.key(KEY_A, True)
    ok = g.said("key 30 down") and g.said("key 30 repeat") and g.said("key 30 repeat")
    p.key(KEY_A, False)
    ok &= g.said("key 30 up")
    g.settle(0.2)
    tap.check(ok and not g.has_said("repeat"), "a key that is held is repeated until it is let go",
              f"{g.lines}")
    ok = True
    for x, y in ((0, 0), (639, 479), (1, 1), (7, 13), (320, 240), (638, 478)):
        p.point(x, y)
        ok &= g.said(f"0 pointer {x},{y} buttons 0")
    tap.check(ok, "the pointer's place, to the pixel", f"{g.lines}")
    p.click(12, 34)
    tap.check(g.said("pointer 12,34") and g.said("button 272 down at 12,34") and
              g.said("button 272 up"), "a click", f"{g.lines}")
    p.input(TABLET, [(EV_REL, REL_WHEEL, 1)])
    ok = g.said("wheel 0,120")
    p.input(TABLET, [(EV_REL, 11, 60), (EV_REL, REL_WHEEL, 0)])
    tap.check(ok and g.said("wheel 0,60"), "the wheel, by notches and finer", f"{g.lines}")
    p.input(MOUSE, [(EV_REL, REL_X, 5), (EV_REL, REL_Y, -3)])
    tap.check(g.said("motion 5,-3"), "a relative mouse", f"{g.lines}")
    for events in ([(EV_ABS, ABS_MT_SLOT, 2), (EV_ABS, ABS_MT_TRACKING_ID, 7),
                    (EV_ABS, ABS_MT_POSITION_X, 16384), (EV_ABS, ABS_MT_POSITION_Y, 8192)],
                   [(EV_ABS, ABS_MT_POSITION_X, 0)], [(EV_ABS, ABS_MT_TRACKING_ID, -1)]):
        p.input(TOUCH, events)
    tap.check(g.said("touch 2 phase 0 at 320,120") and g.said("touch 2 phase 1 at 0,120") and
              g.said("touch 2 phase 2"), "a finger", f"{g.lines}")
    g.close()


def cursors():
    for options in ((), ("-c",)):
        g = Guest(*options)
        g.said("0 frame")
        p = g.peer
        g.key(KEY_C)
        ok = g.said("cursor: ok") and p.until(lambda: p.cursors.get(0, (0,))[0])
        visible, x, y, pixels = p.cursors.get(0, (0, 0, 0, b""))
        want = b"".join((bytes.fromhex("ffff00ff") * 8 + bytes(4 * 56) if row < 8 else bytes(256))
                        for row in range(64))
        tap.check(ok and (x, y) == (3, 4) and pixels == want, "a pointer of its own",
                  f"{p.cursors.keys()} {x},{y} {pixels[:40]}")
        g.key(KEY_N)
        tap.check(g.said("cursor: ok") and p.until(lambda: p.cursors[0][0] == 0),
                  "and the desktop's again")
        g.close()


def frames():
    """Frames are as many as are seen."""
    g = Guest("-a", 200)
    p = g.peer
    p.present = False
    p.until(lambda: len(p.flushes.get(0, ())) == 2)
    g.settle()
    tap.check(len(p.flushes[0]) == 2 and not g.has_said("frame"),
              "who is not answered draws no further frame", f"{p.flushes}")
    p.presented(0, p.flushes[0][0][0])
    g.settle()
    tap.check(len(p.flushes[0]) == 2, "nor while a frame of two is not seen", f"{p.flushes}")
    p.presented(0, p.flushes[0][-1][0])
    tap.check(p.until(lambda: len(p.flushes[0]) == 3), "but then", f"{p.flushes}")
    p.present = True
    p.presented(0, p.flushes[0][-1][0])
    # Sizes change while it draws, and at last stay.
    for size in range(300, 400, 7):
        p.mode(0, size, size)
        g.settle(0.05)
    p.mode(0, 333, 222)
    tap.check(g.said("animated 200", 60), "it draws on while its size changes", f"{g.lines[-5:]}")
    tap.check(p.until(lambda: (p.shown[0].width, p.shown[0].height) == (333, 222)) and
              p.pixel(0, 331, 1) == QUARTERS[1], "and has the last one in the end",
              f"{g.lines[-5:]}")
    g.close()


def plugs():
    g = Guest()
    g.said("0 frame")
    p = g.peer
    p.mode(0, 0, 0)
    tap.check(g.said("0 close"), "a window that is unplugged is told so", f"{g.lines}")
    p.point(50, 50)
    g.settle()
    before = len(p.flushes[0])
    p.keys(KEY_D, KEY_D)
    g.said("key 32 up")
    g.said("key 32 up")
    g.settle()
    tap.check(len(p.flushes[0]) == before and not g.has_said("frame"),
              "a window that is unplugged is not drawn for", f"{g.lines}")
    p.mode(0, 640, 480)
    tap.check(g.said("resize 640x480") and p.until(lambda: len(p.flushes[0]) > before) and
              g.said("frame") and g.shows(), "plugged in again it shows its picture", f"{g.lines}")
    p.mode(0, 800, 600, scale=240)
    ok = g.said("settings scale 240") and g.said("resize 800x600")
    tap.check(ok and p.until(lambda: p.shown[0].width == 800) and g.said("frame") and g.shows(),
              "another size and scale", f"{g.lines}")
    g.close()


def desktops():
    g = Guest("-a", 60)
    g.drawn()
    g.peer.present = False
    g.settle(0.2)
    g.peer.close()
    g.peer.hung_up = True
    tap.check(g.said("animated 60", 60), "without its desktop a program draws on",
              f"{g.lines[-5:]}")
    p = g.screen.replace(g.vmm)
    tap.check(p.until(lambda: 0 in p.shown) and p.hello[1] == 1 and
              p.pixel(0, 638, 1) == QUARTERS[1], "the next desktop is told what it shows")
    p.mode(0, 640, 480)
    p.point(30, 400)
    ok = g.said("pointer 30,400")
    g.key(KEY_D)
    tap.check(ok and p.until(lambda: p.flushes.get(0)) and g.said("frame") and
              p.pixel(0, 30, 400) == 0x123456, "and input and frames go on", f"{g.lines[-5:]}")
    tap.check(g.close(), "and it ends", f"{g.lines[-5:]}")
    g = Guest("-a", 20, desktop=False)
    end = time.monotonic() + 60
    while not g.has_said("animated 20") and time.monotonic() < end:
        time.sleep(0.05)
    tap.check(g.has_said("animated 20"), "also if there never was a desktop", f"{g.lines[-5:]}")
    g.vmm.kill()
    g.vmm.end()
    g.vmm.finish()


def windows():
    g = Guest("-n", 2, scanouts=3)
    p = g.peer
    ok = g.drawn(0) and g.drawn(1) and g.said("window 1")
    tap.check(ok and g.shows(0) and g.shows(1, 0x505050), "two windows are two scanouts")
    p.mode(0, 640, 480)
    p.mode(1, 320, 200)
    ok = g.said("1 resize 320x200") and p.until(lambda: p.shown[1].width == 320)
    p.point(100, 100, 1)
    ok &= g.said("1 pointer 100,100")
    p.point(100, 100, 0)
    tap.check(ok and g.said("0 pointer 100,100") and g.shows(1, 0x505050),
              "each has its size, and its pointer", f"{g.lines}")
    g.key(KEY_O)
    ok = g.said("window 2") and g.drawn(2)
    g.key(KEY_O)
    tap.check(ok and g.said("no window: No space left on device") and g.shows(2, 0x606060),
              "a third; no fourth where there are three", f"{g.lines}")
    g.key(KEY_X)
    tap.check(g.said("closed 2") and p.until(lambda: 2 not in p.shown) and g.shows(0),
              "one is closed")
    g.key(KEY_O)
    tap.check(g.said("window 2") and p.until(lambda: 2 in p.shown) and g.said("2 frame") and
              g.shows(2, 0x606060), "and opened again", f"{g.lines}")
    g.close()


def little_memory():
    g = Guest(size=2 * MIB)
    g.said("0 frame")
    p = g.peer
    ok = g.shows()
    p.point(9, 9)
    g.said("pointer 9,9")
    g.key(KEY_D)
    tap.check(ok and g.said("0 frame") and p.pixel(0, 9, 9) == 0x123456 and g.shows(),
              "where there is no memory for a second picture, one does", f"{g.lines}")
    p.mode(0, 700, 700)
    tap.check(g.said("resize 700x700") and g.said("frame") and g.shows() and
              p.shown[0].width == 700, "and makes room for another size", f"{g.lines}")
    p.mode(0, 1000, 1000)
    g.said("resize 1000x1000")
    g.settle()
    p.mode(0, 400, 400)
    tap.check(g.said("resize 400x400") and g.said("frame") and g.shows() and
              p.shown[0].width == 400, "a size that does not fit is survived", f"{g.lines}")
    tap.check(g.close(), "and it ends")


def idle():
    g = Guest()
    g.said("0 frame")
    g.settle(0.5)

    def exits():
        g.vmm.send(STATS_REQUEST)
        while True:
            kind, message = g.vmm.receive()
            if kind == STATS:
                return struct.unpack_from("<QQQQ", message, 16)[0]

    for _ in range(20):  # until all that its start needed is done
        before = exits()
        g.settle(1.5)
        after = exits()
        if after == before:
            break
    tap.check(after == before, "a window that nothing happens to costs nothing",
              f"{after - before} exits")
    g.close()


def sound():
    def play(*args, inputs=HAS_PLAYBACK | HAS_CAPTURE):
        g = Guest(*args, program="sound", inputs=inputs)
        recorded = False
        while not g.eof:
            g.peer.receive(0.05)
            if g.peer.sounds.get(1, (0,))[0] and not recorded:
                recorded = True
                for i in range(4):
                    g.peer.captured(struct.pack("<400h", *range(1 + i * 400, 401 + i * 400)))
        n = len(g.peer.pcm) // 2
        return g, list(struct.unpack(f"<{n}h", g.peer.pcm)), g.vmm.end(), g.vmm.finish()

    for rate, channels, count in ((48000, 2, 4800), (44100, 1, 4410), (8000, 1, 333)):
        g, pcm, end, _ = play("play", rate, channels, count)
        tap.check(end[1] == 0 and pcm == list(range(count * channels)) and
                  g.said("drained, room for") and g.peer.sounds[0][1:] == (rate, channels),
                  f"{count} frames of {rate} Hz, {channels} channels are heard, and it drains",
                  f"{end} {len(pcm)} {g.lines}")
    g = Guest("play", 48000, 2, 9600, program="sound", inputs=HAS_PLAYBACK, desktop=False)
    end = g.vmm.end(60)
    tap.check(end[1] == 0 and g.said("drained"), "without a desktop it drains as well",
              f"{end} {g.lines}")
    g.vmm.finish()
    g, pcm, end, _ = play("poll", 16000, 2, 4000)
    tap.check(end[1] == 0 and pcm == list(range(8000)),
              "a program that waits for room by poll", f"{end} {len(pcm)} {g.lines}")
    g, pcm, end, _ = play("twice", 48000, 2, 4800)
    tap.check(end[1] == 0 and pcm[-9600:] == list(range(9600)), "again after it was closed",
              f"{end} {len(pcm)} {g.lines}")
    g, pcm, end, _ = play("play", 12345, 1, 100)
    tap.check(end[1] == 4 and g.said("Invalid argument"), "a rate that there is none of")
    g, pcm, end, _ = play("record", 16000, 1, 1600)
    tap.check(end[1] == 0 and g.said(" ".join(str(i) for i in range(1, 1600, 100))),
              "what the desktop records is read", f"{end} {g.lines}")
    g, pcm, end, _ = play("record", 16000, 1, 1600, inputs=HAS_PLAYBACK)
    tap.check(end[1] == 3, "no recording where only playing was granted", f"{end} {g.lines}")
    g, pcm, end, _ = play("play", 16000, 1, 1600, inputs=HAS_KEYBOARD)
    tap.check(end[1] == 3 and g.said("No such device"), "no sound where none was granted")


pictures("shared")
pictures("transfer", "-c")
redrawn()
input_events()
cursors()
frames()
plugs()
desktops()
windows()
little_memory()
idle()
sound()
sys.exit(tap.done())
