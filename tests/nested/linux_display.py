"""test_linux_display.sh: a Linux guest that draws, seen from the desktop.

usage: linux_display.py BUILD
"""
import os
import select
import sys
import time

BUILD = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import displaypeer as dp  # noqa: E402
from vmmctl import MIB, RNG, Tap, Vmm  # noqa: E402

PATIENCE = 120


def colour(x, y, seed):
    """What linuxdpy-init.c draws."""
    return (x * 3 + seed & 255) << 16 | (y * 5 & 255) << 8 | ((x ^ y) & 255)


XOR = [bytes(i ^ y for i in range(256)) for y in range(256)]


def differs(peer, scanout, seed, part=(0, 0, 0, 0), part_seed=0):
    """None, or where the picture is not what the guest has drawn. Quick: this runs emulated."""
    width = peer.shown[scanout].width
    x0, y0, x1, y1 = part
    red = bytes(x * 3 + seed & 255 for x in range(width))
    red_part = red[:x0] + bytes(x * 3 + part_seed & 255 for x in range(x0, x1)) + red[x1:]
    blue = bytes(x & 255 for x in range(width))
    for y, row in enumerate(peer.rows(scanout)):
        if row[2::4] != (red_part if y0 <= y < y1 else red) or \
                row[1::4] != bytes([y * 5 & 255]) * width or \
                row[0::4] != blue.translate(XOR[y & 255]):
            return f"line {y}"
    return None


class Guest:
    """The guest's console, read while the desktop goes on."""

    def __init__(self, screen):
        with open(os.path.join(BUILD, "images/generic/vmlinux"), "rb") as f:
            kernel = f.read()
        initrd = os.open(os.path.join(BUILD, "images/linuxdpy.cpio"), os.O_RDONLY)
        self.out, theirs = os.pipe()
        os.set_blocking(theirs, False)
        self.screen = screen
        self.text = ""
        self.vmm = Vmm(os.path.join(BUILD, "bin/exo-vmm"), kernel, ram=192 * MIB, flags=RNG,
                       stdout=theirs, screen=screen.config, initrd=initrd, cmdline=b"quiet",
                       args=())
        for fd in (theirs, initrd):
            os.close(fd)

    def until(self, condition):
        """Lets the guest and the desktop go on until the condition holds. False: it did not."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            peer = self.screen.peer
            ready = select.select([self.out, peer.sock], [], [],
                                  max(0, deadline - time.monotonic()))[0]
            if self.out in ready:
                data = os.read(self.out, 65536)
                if not data:
                    break
                self.text += data.decode(errors="replace").replace("\r", "")
            if peer.sock in ready:
                peer.receive(0)
            if not ready or peer.hung_up:
                break
        return condition()

    def step(self, name):
        return self.until(lambda: f"# step {name}\n" in self.text)

    def says(self, line):
        return self.until(lambda: f"{line}\n" in self.text)


def shown(tap, guest, scanout, width, height, what, *seeds):
    peer = guest.screen.peer
    there = guest.until(lambda: scanout in peer.shown and peer.shown[scanout].width == width and
                        peer.shown[scanout].height == height and
                        not differs(peer, scanout, *seeds))
    note = "nothing is shown" if scanout not in peer.shown else differs(peer, scanout, *seeds)
    tap.check(there, what, f"{note}")


def main():
    tap = Tap()
    screen = dp.Screen(width=640, height=480, scanouts=2, size=16 * MIB,
                       inputs=dp.HAS_KEYBOARD | dp.HAS_TABLET)
    guest = Guest(screen)
    screen.handed_over()
    peer = screen.peer
    try:
        if not guest.step("shown"):
            guest.vmm.kill()
            tap.check(False, "Linux finds the card and shows a picture", *guest.text.split("\n"),
                      f"{guest.vmm.end()}", f"{peer.hello} {peer.log[-5:]}")
            return tap.done()
        tap.check(True, "Linux finds the card and shows a picture")
        tap.check("# screen 0: 640x480, 170 mm, 60 Hz" in guest.text,
                  "the EDID says how large the window is", guest.text)
        shown(tap, guest, 0, 640, 480, "every pixel arrives", 1)
        tap.check(1 not in peer.shown, "the other scanout shows nothing")
        peer.mode(0, 800, 600, scale=240)
        peer.mode(1, 320, 200, refresh=75000)
        tap.check(guest.step("redrawn"), "Linux hears of another size and another window",
                  *guest.text.split("\n")[-30:])
        tap.check("# screen 0: 800x600, 110 mm, 60 Hz" in guest.text and
                  "# screen 1: 320x200, 80 mm, 75 Hz" in guest.text,
                  "scale and refresh rate are in the EDID", guest.text)
        shown(tap, guest, 0, 800, 600, "a part that was drawn again arrives", 2,
              (100, 50, 164, 82), 99)
        tap.check((100, 50, 64, 32) in [f[1:] for f in peer.flushes.get(0, ())],
                  "its damage is said", f"{peer.flushes} {guest.text}")
        shown(tap, guest, 1, 320, 200, "the other window has its own picture", 3)
        tap.check(guest.until(lambda: peer.cursors.get(0, (0,))[0] == 1), "a cursor is shown")
        visible, x, y, pixels = peer.cursors.get(0, (0, 0, 0, bytes(16384)))
        tap.check((x, y) == (5, 9), "with its hot spot", f"{x} {y}")
        tap.check(all(int.from_bytes(pixels[4 * (64 * j + i):][:3], "little") == colour(i, j, 77)
                      for j in range(64) for i in range(64)), "and its own picture")
        # Another desktop comes: it is told all, without the guest.
        peer.close()
        peer = screen.replace(guest.vmm)
        shown(tap, guest, 0, 800, 600, "a desktop that comes later sees the same", 2,
              (100, 50, 164, 82), 99)
        shown(tap, guest, 1, 320, 200, "in every window", 3)
        tap.check(guest.until(lambda: peer.cursors.get(0, (0,))[0] == 1), "and the cursor")
        peer.keys(dp.KEY_A)
        tap.check(guest.says(f"# event {dp.EV_KEY} {dp.KEY_A} 1") and
                  guest.says(f"# event {dp.EV_KEY} {dp.KEY_A} 0"), "a key arrives through evdev",
                  *guest.text.split("\n")[-10:])
        peer.click(799, 0)
        tap.check(guest.says(f"# event {dp.EV_KEY} {dp.BTN_LEFT} 0"), "a click arrives",
                  *guest.text.split("\n")[-10:])
        peer.keys(dp.KEY_ESC)
        tap.check(guest.until(lambda: "\n1.." in guest.text), "the guest is through")
        tap.check("not ok" not in guest.text, "and found nothing wrong", guest.text)
        tap.check(guest.vmm.end(PATIENCE)[0] == "POWEROFF", "it powers off")
        # What the driver leaves is not shown any more, or the VMM has hung up.
        while not peer.hung_up and peer.receive(1):
            pass
        tap.check(peer.hung_up, "the desktop hears of the end")
    except dp.ProtocolError as e:
        tap.check(False, "the VMM keeps to the protocol", f"{e}")
    status, error = guest.vmm.finish()
    tap.check(status == 0 or status == 1, "the VMM ends", f"{status} {error}", guest.text)
    return tap.done()


sys.exit(main())
