"""The tests of test_programs.sh: each program in exo-vmm, its keys and clicks, sizes that are
absurd, files that are damaged. usage: programs.py BUILD"""
import base64
import os
import random
import struct
import sys
import tempfile
import threading
import time
import zlib

from displaypeer import *
from vmmctl import *

BUILD = sys.argv[1]
EXE = os.path.join(BUILD, "bin/exo-vmm")
tap = Tap()
KEY_TAB, KEY_P, KEY_N, KEY_UP, KEY_LEFT, KEY_RIGHT = 15, 25, 49, 103, 105, 106
KEY_KPPLUS = 78
DIGITS = {str(n): 1 + n for n in range(1, 10)} | {"0": 11}  # evdev codes

# 16 x 16 pixels.
JPEG = base64.b64decode("""
    /9j/4AAQSkZJRgABAQAAAQABAAD/2wCEAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywt
    QFdBRkxOUlNSMj5aYVpQYEpRUk8BDg4OExETJhUVJk81LTVPT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P
    T09PT09PT09PT09PT09PT//AABEIABAAEAMBIgACEQEDEQH/xAGiAAABBQEBAQEBAQAAAAAAAAAAAQIDBAUGBwgJCgsQ
    AAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2
    Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4
    ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+gEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL
    EQACAQIEBAMEBwUEBAABAncAAQIDEQQFITEGEkFRB2FxEyIygQgUQpGhscEJIzNS8BVictEKFiQ04SXxFxgZGiYnKCkq
    NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqCg4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1
    tre4ubrCw8TFxsfIycrS09TV1tfY2dri4+Tl5ufo6ery8/T19vf4+fr/2gAMAwEAAhEDEQA/AGQrHAxjskgVllGFsrbz
    m2kcAu/yN1GSMHP4ilu9pkcXYiLwy7tt7OZWAb0gTlScqeMgD25D5ldlC3PnKtzGQBfXK28ZYf8ATJeGA4Jxg/zpbYPI
    iiyEjCSMqY7K08sA+paT5gTnqpOMfmfmHof/2Q==
""")


class Program:
    """A program with a screen, and what it prints."""

    def __init__(self, name, *args, display=True, disks=(), ram=64 * MIB, **screen):
        with open(os.path.join(BUILD, f"guests/{name}.elf"), "rb") as f:
            image = f.read()
        out, writer = os.pipe()
        self.screen = Screen(size=64 * MIB, **screen) if display else None
        self.vmm = Vmm(EXE, image, ram=ram, stdout=writer, stderr=writer, disks=disks,
                       screen=self.screen and self.screen.config,
                       args=[b"prog"] + [str(a).encode() for a in args])
        os.close(writer)
        if self.screen:
            self.screen.handed_over()
            self.peer = self.screen.peer
        self.output = ""
        self.reader = threading.Thread(target=self.read, args=(out,), daemon=True)
        self.reader.start()

    def read(self, out):
        with os.fdopen(out, errors="replace") as f:
            self.output = f.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.vmm.kill()
        except OSError:
            pass
        self.vmm.finish()
        if self.screen:
            self.peer.close()

    def shows(self):
        return self.peer.until(lambda: self.peer.flushes.get(0))

    def count(self):
        return len(self.peer.flushes.get(0, []))

    def draws(self, more=1):
        """So many more frames come."""
        wanted = self.count() + more
        return self.peer.until(lambda: self.count() >= wanted)

    def still(self, seconds=0.4):
        """Until nothing came for so long. False: it goes on and on."""
        for _ in range(400):
            if self.peer.receive(seconds) is None:
                return not self.peer.hung_up
        return False

    def picture(self):
        self.still()
        return zlib.crc32(b"".join(self.peer.rows(0)))

    def ended(self):
        """Meanwhile the desktop goes on. (reason, status)"""
        while self.screen and not self.peer.hung_up:
            self.peer.receive(10)
        reason, status, _ = self.vmm.end(20)
        self.reader.join(5)
        return reason, status


def clock():
    pictures = set()
    for _ in range(2):
        with Program("clock", "--at", "10:08:42") as c:
            tap.check(c.shows() and c.still(1.5), "clock --at: one frame, and nothing more")
            pictures.add(c.picture())
    tap.check(len(pictures) == 1, "clock --at: the same picture each time")
    with Program("clock") as c:
        tap.check(c.shows() and c.draws(3), "clock: goes on by itself")
        x, y, width, height = c.peer.flushes[0][-1][1:]
        tap.check(width <= 640 and height <= 480, "clock: damage within its window")
    with Program("clock", "--at", "10:08:42", scale=240, width=400, height=400) as c:
        c.shows()
        before = c.picture()
        c.peer.keys(KEY_SPACE)
        tap.check(c.draws() and c.picture() != before, "clock: Space shows another face")
    with Program("clock", "--at", "25:00:00") as c:
        tap.check(c.ended() == ("EXIT", 2) and "not a time" in c.output,
                  "clock: a time that is none", c.output)


def calc():
    with Program("calc", "1+2*3", "ans^2", "sqrt(2)", display=False) as c:
        tap.check(c.ended() == ("EXIT", 0) and c.output == "7\n49\n1.4142135623731\n",
                  "calc: as a command", c.output)
    with Program("calc", "1/0", display=False) as c:
        tap.check(c.ended() == ("EXIT", 1) and "division by zero" in c.output,
                  "calc: mistakes of a command", c.output)
    pictures = []
    for mouse in (False, True):
        with Program("calc", width=400, height=480) as c:
            c.shows()
            c.still()
            if mouse:  # the places are those of 400 x 480
                for x, y in ((36, 308), (230, 452), (100, 308), (360, 452)):
                    c.peer.click(x, y)
            else:
                c.peer.keys(DIGITS["7"], KEY_KPPLUS, DIGITS["8"], KEY_ENTER)
            c.still(0.2)  # devices that wait together have no order
            c.peer.keys(DIGITS["1"])  # the line has the focus again
            if mouse:
                c.peer.point(1, 1)
            pictures.append(c.picture())
    tap.check(pictures[0] == pictures[1], "calc: buttons do what keys do")
    with Program("calc") as c:
        c.shows()
        before = c.picture()
        c.peer.keys(DIGITS["1"])
        c.peer.keys(KEY_ESC)
        tap.check(c.picture() == before, "calc: Escape empties the line")


def tetris():
    with Program("tetris", "--seed", 4) as t:
        t.shows()
        t.peer.keys(KEY_SPACE)
        tap.check(t.draws(), "tetris: a drop")
        t.peer.keys(KEY_P)
        tap.check(t.still(1.5), "tetris: pauses, and is idle then")
        paused = t.picture()
        t.peer.keys(KEY_SPACE, KEY_LEFT, KEY_UP)
        tap.check(t.picture() == paused, "tetris: nothing moves in a pause")
        t.peer.keys(KEY_P)
        tap.check(t.draws(2), "tetris: goes on")
        for _ in range(40):
            t.peer.keys(KEY_SPACE)
        tap.check(t.still(1.5), "tetris: is over at the top, and idle then")
        over = t.picture()
        t.peer.keys(KEY_N)
        tap.check(t.draws(2) and zlib.crc32(b"".join(t.peer.rows(0))) != over,
                  "tetris: a new game")


def meter():
    for args, path in (((), "shared"), (("--copy",), "transfer")):
        with Program("meter", "--frames", 5, *args) as m:
            end = m.ended()
            tap.check(end == ("EXIT", 0) and m.output.startswith("meter frames=5 ") and
                      f"path={path}" in m.output and "fps=" in m.output,
                      f"meter --frames, {path}", end, m.output)
            tap.check(m.count() == 6 and all(f[1:] == (0, 0, 640, 480) for f in m.peer.flushes[0]),
                      f"meter: so many frames, all of each, {path}", m.count())
    with Program("meter", "--inputs", 3) as m:
        m.shows()
        m.still()
        for _ in range(3):
            m.peer.keys(KEY_A)
            m.still(0.2)
        end = m.ended()
        tap.check(end == ("EXIT", 0) and m.output.startswith("meter inputs=3 "),
                  "meter --inputs", end, m.output)
    with Program("meter") as m:
        m.shows()
        m.peer.keys(KEY_SPACE)
        tap.check(m.draws(30), "meter: animation")
        m.peer.keys(KEY_SPACE)
        tap.check(m.still(), "meter: and its end")


def mixer():
    with Program("mixer-demo", inputs=HAS_KEYBOARD | HAS_TABLET | HAS_PLAYBACK) as m:
        m.shows()
        tap.check(m.still() and not m.peer.sounds, "mixer-demo: silent, it is idle")
        m.peer.keys(DIGITS["1"])
        tap.check(m.peer.until(lambda: len(m.peer.pcm) > 40000) and
                  m.peer.sounds[0] == (1, 48000, 2), "mixer-demo: a voice is heard")
        loud = max(abs(v) for v in struct.unpack(f"<{len(m.peer.pcm) // 2}h", m.peer.pcm))
        tap.check(1000 < loud <= 32000, "mixer-demo: neither too soft nor too loud", loud)
        m.peer.keys(DIGITS["0"])
        tap.check(m.peer.until(lambda: m.peer.sounds[0][0] == 0, 30) and m.still(),
                  "mixer-demo: off, the device is closed and it is idle")
        quiet = struct.unpack("<2h", m.peer.pcm[-4:])
        tap.check(quiet == (0, 0), "mixer-demo: it has faded", quiet)
    with Program("mixer-demo", "--play") as m:
        tap.check(m.shows() and m.still(), "mixer-demo: without sound it says so and goes on")


# ---- pictures of files

def png(width, height, rows=None):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))
    raw = rows if rows is not None else b"".join(
        b"\0" + bytes(v for x in range(width) for v in (x * 8 & 255, y * 8 & 255, 128))
        for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0,
                                                              0)) +
            chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def bmp(width, height, colour):
    row = struct.pack("<I", colour)[:3] * width
    pixels = row.ljust((len(row) + 3) // 4 * 4, b"\0") * height
    return (b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + len(pixels), 0, 54, 40, width, height, 1,
                                24, 0, len(pixels), 2835, 2835, 0, 0) + pixels)


GIF = (b"GIF89a\x02\0\x02\0\x80\0\0\xff\0\0\0\0\xff,\0\0\0\0\x02\0\x02\0\0\x02\x03\x44\x02\x05\0;")


def disk(data):
    """A file as a disk: whole sectors. (fd, read-only, size, name)"""
    f = tempfile.TemporaryFile()
    f.write(data.ljust((len(data) + 511) // 512 * 512, b"\0"))
    f.flush()
    size = os.fstat(f.fileno()).st_size
    return os.dup(f.fileno()), 1, size, b""


def gallery_check(*files):
    disks = [disk(f) for f in files]
    names = [f"/dev/vd{chr(97 + i)}" for i in range(len(files))]
    with Program("gallery", "--check", *names, display=False, disks=disks, ram=512 * MIB) as g:
        end = g.ended()
        for d in disks:
            os.close(d[0])
        return end, g.output.split("\n")[:-1]


def damaged(random_, data):
    data = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 5, 20))):
        at = random_.randrange(len(data))
        what = random_.randrange(4)
        if what == 0:
            data[at] = random_.randrange(256)
        elif what == 1:
            data[at] ^= 1 << random_.randrange(8)
        elif what == 2:
            data[at:at] = bytes(random_.randrange(256) for _ in range(random_.randrange(9)))
        else:
            del data[at:at + random_.randrange(1, 9)]
        data = data or bytearray(b"x")
    return bytes(data)


def gallery():
    good = [png(40, 30), JPEG, bmp(20, 10, 0x336699), GIF]
    end, lines = gallery_check(*good)
    tap.check(end == ("EXIT", 0) and [line.split(": ")[1] for line in lines] ==
              ["40 x 30", "16 x 16", "20 x 10", "2 x 2"], "gallery: four formats", end, *lines)
    end, lines = gallery_check(png(30000, 30000, b"\0" * 1000), png(32000, 1100, b"\0" * 1000),
                               b"GIF89a", b"\0", b"\x89PNG\r\n\x1a\n" * 100, b"text " * 1000)
    tap.check(end == ("EXIT", 1) and all("picture" in line for line in lines),
              "gallery: too large, cut off, no picture at all: said in words", end, *lines)
    random_ = random.Random(4)
    bad, words = [], 0
    for _ in range(24):
        files = [damaged(random_, random_.choice(good)) for _ in range(8)]
        end, lines = gallery_check(*files)
        words += sum("picture" in line for line in lines)
        # Should one break the decoder, the machine ends by itself.
        if end[0] not in ("EXIT", "SIGNAL", "FAULT"):
            bad.append(end)
    tap.check(not bad and words, "gallery: damaged files end in words", *bad)

    d = [disk(bmp(200, 100, 0x336699)), disk(b"no picture")]
    with Program("gallery", "/dev/vda", "/dev/vdb", disks=d, ram=256 * MIB, width=640,
                 height=480) as g:
        g.shows()
        g.still()
        tap.check(g.peer.pixel(0, 320, 250) == 0x336699, "gallery: a picture is shown",
                  hex(g.peer.pixel(0, 320, 250)))
        first = g.picture()
        g.peer.keys(KEY_RIGHT)
        tap.check(g.draws() and g.picture() != first, "gallery: what is no picture is told")
        g.peer.keys(KEY_LEFT)
        g.draws()
        tap.check(g.picture() == first, "gallery: and the first one again")
        g.peer.point(320, 250)
        g.peer.input(TABLET, [(EV_REL, REL_WHEEL, 3)])
        tap.check(g.draws() and g.picture() != first, "gallery: the wheel makes it larger")
    for fd, *_ in d:
        os.close(fd)


def sizes():
    for name in ("clock", "calc", "tetris", "meter", "gallery", "mixer-demo"):
        with Program(name, width=320, height=200) as p:
            p.shows()
            for width, height in ((1, 1), (37, 23), (4000, 40), (30, 2000), (640, 480)):
                p.peer.mode(0, width, height)
                p.peer.keys(KEY_TAB, KEY_ENTER)
                p.peer.until(lambda: 0 in p.peer.shown and p.peer.shown[0].width == width)
                p.peer.click(width // 2, height // 2)
            tap.check(p.peer.shown[0].height == 480 and not p.peer.hung_up,
                      f"{name}: lives in any size")


def no_display():
    for name in ("clock", "calc", "tetris", "meter", "gallery", "mixer-demo"):
        with Program(name, display=False) as p:
            tap.check(p.ended() == ("EXIT", 1) and "no window" in p.output,
                      f"{name}: without a display it says so", p.output)


for test in (clock, calc, tetris, meter, mixer, gallery, sizes, no_display):
    test()
sys.exit(tap.done())
