"""test_linux_display.sh: a Linux guest that draws, reads its inputs and makes sounds, from the
desktop's side.

usage: linux_display.py BUILD
"""
import os
import re
import select
import struct
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

    def hears(self, device, *events):
        """The device's reports with these events, one after the other."""
        lines = "".join(f"# event {device} {t} {c} {v}\n" for t, c, v in (*events, dp.SYN))
        return self.until(lambda: lines in self.only(f"# event {device} "))

    def only(self, prefix):
        return "".join(f"{line}\n" for line in self.text.split("\n") if line.startswith(prefix))


def shown(tap, guest, scanout, width, height, what, *seeds):
    peer = guest.screen.peer
    there = guest.until(lambda: scanout in peer.shown and peer.shown[scanout].width == width and
                        peer.shown[scanout].height == height and
                        not differs(peer, scanout, *seeds))
    note = "nothing is shown" if scanout not in peer.shown else differs(peer, scanout, *seeds)
    tap.check(there, what, f"{note}")


# ---- inputs

def codes(text):
    """"1-83 85": the bits set, as a number."""
    n = 0
    for part in text.split():
        first, last = (part.split("-") * 2)[:2]
        for code in range(int(first), int(last) + 1):
            n |= 1 << code
    return n


# linux/input-event-codes.h; types by number: 0 types, 1 keys, 2 relative, 3 absolute, 17 LEDs
BITS = {
    "keyboard": {"properties": "", "0": "0-1 17 20", "1": "1-83 85-194 200-248", "17": "0-2"},
    "tablet": {"properties": "", "0": "0-3", "1": "272-276", "2": "6 8 11-12", "3": "0-1"},
    "mouse": {"properties": "", "0": "0-2", "1": "272-276", "2": "0-1 6 8 11-12"},
    "touch": {"properties": "1", "0": "0-1 3", "1": "330", "3": "0-1 47 53-54 57"},
}
AXES = {(kind, axis): (0, dp.ABS_MAX) for kind, axis in
        (("tablet", 0), ("tablet", 1), ("touch", 0), ("touch", 1), ("touch", 53), ("touch", 54))}
AXES |= {("touch", 47): (0, 15), ("touch", 57): (0, 65535)}


def described(tap, guest):
    """What each device says of itself, as Linux understood it."""
    for kind, wanted in BITS.items():
        lines = re.findall(f"# bits {kind} (\\w+) ([0-9a-f]+)\n", guest.text)
        # EV_REP's own bits are the kernel's business.
        found = {what: int(bits, 16) for what, bits in lines if what != "20"}
        tap.check(found == {what: codes(text) for what, text in wanted.items()},
                  f"Linux knows what a {kind} has", f"{lines}")
    axes = re.findall(r"# axis (\w+) (\d+) (-?\d+) (-?\d+)\n", guest.text)
    tap.check({(k, int(a)): (int(low), int(high)) for k, a, low, high in axes} == AXES,
              "and the ranges of the axes", f"{axes}")


def on_desk(scanout, x, y):
    """800 x 600 beside 320 x 200: where the axes of a scanout are."""
    if scanout == 0:
        return x * 800 // 1120, y
    return (800 * dp.ABS_MAX + x * 320) // 1120, y * 200 // 600


def finger(slot, identifier, at=None):
    """Linux does not say a slot again that it was at, so where it is left out, it was."""
    events = [] if slot is None else [(dp.EV_ABS, dp.ABS_MT_SLOT, slot)]
    events += [] if identifier is None else [(dp.EV_ABS, dp.ABS_MT_TRACKING_ID, identifier)]
    if at:
        events += [(dp.EV_ABS, dp.ABS_MT_POSITION_X, at[0]),
                   (dp.EV_ABS, dp.ABS_MT_POSITION_Y, at[1])]
    return events


def pointers(tap, guest):
    peer, said = guest.screen.peer, lambda: guest.text.split("\n")[-20:]
    peer.input(dp.MOUSE, [(dp.EV_REL, dp.REL_X, -5), (dp.EV_REL, dp.REL_Y, 32767)])
    peer.input(dp.MOUSE, [(dp.EV_REL, dp.REL_WHEEL, -1), (dp.EV_REL, 11, -120),
                          (dp.EV_REL, dp.REL_HWHEEL, 2), (dp.EV_REL, 12, 240)])
    tap.check(guest.hears("mouse", (dp.EV_REL, dp.REL_X, -5), (dp.EV_REL, dp.REL_Y, 32767)),
              "a mouse moves", *said())
    tap.check(guest.hears("mouse", (dp.EV_REL, dp.REL_WHEEL, -1), (dp.EV_REL, 11, -120),
                          (dp.EV_REL, dp.REL_HWHEEL, 2), (dp.EV_REL, 12, 240)),
              "its wheels turn", *said())
    peer.input(dp.TABLET, [(dp.EV_ABS, dp.ABS_X, 16000), (dp.EV_ABS, dp.ABS_Y, 9000)], 1)
    x, y = on_desk(1, 16000, 9000)
    tap.check(guest.hears("tablet", (dp.EV_ABS, dp.ABS_X, x), (dp.EV_ABS, dp.ABS_Y, y)),
              "a tablet points into the other window", *said())


def touches(tap, guest):
    peer, said = guest.screen.peer, lambda: guest.text.split("\n")[-20:]
    down, up = ((dp.EV_KEY, dp.BTN_TOUCH, n) for n in (1, 0))
    one, two = (1000, 2000), (30000, 31000)
    pointer = [(dp.EV_ABS, dp.ABS_X, one[0]), (dp.EV_ABS, dp.ABS_Y, one[1])]
    peer.input(dp.TOUCH, finger(0, 7, one) + [down] + pointer)
    at = on_desk(0, *one)
    tap.check(guest.hears("touch", *finger(None, 7, at), down, (dp.EV_ABS, dp.ABS_X, at[0]),
                          (dp.EV_ABS, dp.ABS_Y, at[1])), "a finger touches", *said())
    peer.input(dp.TOUCH, finger(15, 8, two))
    tap.check(guest.hears("touch", *finger(15, 8, on_desk(0, *two))), "and another", *said())
    peer.input(dp.TOUCH, finger(0, None, two))
    tap.check(guest.hears("touch", *finger(0, None, on_desk(0, *two))), "the first moves", *said())
    peer.input(dp.TOUCH, finger(15, -1))
    tap.check(guest.hears("touch", *finger(15, -1)), "the second goes", *said())
    peer.input(dp.TOUCH, finger(0, -1) + [up])
    tap.check(guest.hears("touch", *finger(0, -1), up), "no finger is left", *said())


def hold(guest):
    """Keys, buttons and fingers that are down when the desktop goes."""
    peer = guest.screen.peer
    peer.input(dp.KEYBOARD, [(dp.EV_KEY, dp.KEY_LEFTSHIFT, 1)])
    peer.input(dp.MOUSE, [(dp.EV_KEY, dp.BTN_RIGHT, 1)])
    peer.input(dp.TOUCH, finger(3, 100, (100, 200)) + finger(9, 101, (300, 400)) +
               [(dp.EV_KEY, dp.BTN_TOUCH, 1)])
    return guest.hears("touch", *finger(3, 100, on_desk(0, 100, 200)),
                       *finger(9, 101, on_desk(0, 300, 400)), (dp.EV_KEY, dp.BTN_TOUCH, 1))


def let_go(guest):
    return guest.hears("keyboard", (dp.EV_KEY, dp.KEY_LEFTSHIFT, 0)) and \
        guest.hears("mouse", (dp.EV_KEY, dp.BTN_RIGHT, 0)) and \
        guest.hears("touch", (dp.EV_KEY, dp.BTN_TOUCH, 0), *finger(3, -1), *finger(9, -1))


# ---- sound

def tone(count, step):
    """What linuxdpy-sound.c plays."""
    return struct.pack(f"<{count}H", *(i * step & 0xFFFF for i in range(count)))


def sound(tap, guest):
    peer = guest.screen.peer
    if not guest.until(lambda: "# step played\n" in guest.text or "\n1.." in guest.text or
                       "# no driver for sound" in guest.text) or "# no driver" in guest.text:
        tap.skip("Linux's driver for sound", "this kernel does not have it")
        return
    # The driver plays what is in its buffer once more until it hears that it shall stop.
    begins, ends = (dp.SOUND, 0, 1, 48000, 2), (dp.SOUND, 0, 0, 48000, 2)
    tap.check(peer.pcm.startswith(tone(30720, 3)), "the desktop hears each sample",
              f"{len(peer.pcm)} {guest.text[-2000:]}")
    tap.check(begins in peer.log and guest.until(lambda: ends in peer.log),
              "48 kHz, stereo, and that it ends", f"{peer.sounds}")
    tap.check(guest.step("dropped") and guest.until(lambda: peer.log.count(ends) == 2),
              "a stream that is dropped ends at once", f"{peer.sounds}")
    tap.check(guest.step("mono") and guest.until(lambda: (dp.SOUND, 0, 0, 8000, 1) in peer.log) and
              tone(7680, 7) in peer.pcm, "8 kHz, mono, too", f"{peer.sounds}",
              *guest.text.split("\n")[-10:])
    tap.check(guest.until(lambda: (dp.SOUND, 1, 1, 8000, 1) in peer.log), "Linux records",
              *guest.text.split("\n")[-10:])
    samples = struct.pack("<7680h", *range(1, 7681))
    for at in range(0, len(samples), 5120):
        peer.captured(samples[at:at + 5120])
    tap.check(guest.until(lambda: peer.sounds.get(1) == (0, 8000, 1)), "what it was sent",
              *guest.text.split("\n")[-10:])
    tap.check(guest.until(lambda: "\n1.." in guest.text) and
              "# playback: 8000 to 96000 Hz, 1 to 2 channels, formats 4\n" in guest.text and
              "# capture: 8000 to 96000 Hz, 1 to 2 channels, formats 4\n" in guest.text,
              "it knows what the streams can do", guest.text[-2000:])
    tap.check(all(f"# control {name}\n" in guest.text for name in (
        "Line Out Jack", "Mic Jack", "Playback Channel Map", "Capture Channel Map")),
              "and which jacks and channel maps there are", guest.text[-2000:])


def main():
    tap = Tap()
    screen = dp.Screen(width=640, height=480, scanouts=2, size=16 * MIB,
                       inputs=dp.HAS_KEYBOARD | dp.HAS_TABLET | dp.HAS_MOUSE | dp.HAS_TOUCH |
                       dp.HAS_PLAYBACK | dp.HAS_CAPTURE)
    start = time.monotonic()
    guest = Guest(screen)
    screen.handed_over()
    peer = screen.peer
    try:
        if not guest.step("shown"):
            guest.vmm.kill()
            tap.check(False, "Linux finds the card and shows a picture", *guest.text.split("\n"),
                      f"{guest.vmm.end()}",
                      f"{peer.hello} {peer.log[-5:]} {peer.hung_up} {time.monotonic() - start}")
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
        described(tap, guest)
        pointers(tap, guest)
        touches(tap, guest)
        tap.check(hold(guest), "a key, a button and two fingers are held down",
                  *guest.text.split("\n")[-20:])
        # Another desktop comes: it is told all, without the guest.
        peer.close()
        peer = screen.replace(guest.vmm)
        shown(tap, guest, 0, 800, 600, "a desktop that comes later sees the same", 2,
              (100, 50, 164, 82), 99)
        shown(tap, guest, 1, 320, 200, "in every window", 3)
        tap.check(guest.until(lambda: peer.cursors.get(0, (0,))[0] == 1), "and the cursor")
        tap.check(let_go(guest), "nothing is held down any more", *guest.text.split("\n")[-30:])
        peer.keys(dp.KEY_A)
        tap.check(guest.hears("keyboard", (dp.EV_KEY, dp.KEY_A, 1)) and
                  guest.hears("keyboard", (dp.EV_KEY, dp.KEY_A, 0)), "a key arrives through evdev",
                  *guest.text.split("\n")[-10:])
        peer.click(799, 0)
        tap.check(guest.hears("tablet", (dp.EV_KEY, dp.BTN_LEFT, 0)), "a click arrives",
                  *guest.text.split("\n")[-10:])
        peer.keys(dp.KEY_ESC)
        sound(tap, guest)
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
