"""The tests of test_desktop_hostile.sh: guests that are frozen, that flood, that pretend.
usage: desktop_hostile.py BUILD FOLDER"""
import os
import signal
import struct
import sys
import zlib

from desktop_guests import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
A, C, ESC = 30, 46, 1
GROWTH = 16384  # KiB that a process may grow by, whatever comes
STRIP, FAKE = 24, (0, 255, 0)
tap = Tap()


def good(p):
    """One that goes on hearing the person; what it saw is compared at the end of each part."""
    p.start("good", "-c #0000ff", "desk-input")
    p.ask("place", guest="good", x=20, y=60, width=200, height=200)


def hears(p, what, keys=20):
    """The person goes to it and types."""
    p.released()
    p.focus("good")
    before = len(p.table("good"))
    for _ in range(keys):
        p.key(A)
    wanted = [(A, s) for _ in range(keys) for s in ("down", "up")]
    try:
        wait_for(lambda: len(p.table("good")) >= before + len(wanted), "its keys")
    except TimeoutError:
        pass
    tap.check(p.table("good")[before:] == wanted, f"{what}: another gets its keys",
              f"{p.table('good')[before:]}")


def balanced(table):
    """Each press has one release, and each release had a press."""
    down = set()
    for code, state in table:
        if (code in down) == (state == "down"):
            return False
        (down.add if state == "down" else down.remove)(code)
    return not down


def freeze(p, how):
    """Returns what ends it."""
    if how == "pause":
        p.control.ask("pause", guest="bad")
        return lambda: p.control.ask("resume", guest="bad")
    pid = p.pid("bad")
    if how == "stop":
        os.kill(pid, signal.SIGSTOP)
        return lambda: os.kill(pid, signal.SIGCONT)
    return lambda: None


def flood(p, events):
    """Keys and the pointer, as fast as the desktop takes them."""
    for _ in range(events // 8192 + 1):
        p.ask("type", text="b" * 4096)
        p.ask("drag", x0=10, y0=10, x1=90, y1=70, guest="bad")


def frozen(p):
    good(p)
    for how in ("pause", "stop", "deaf"):
        p.start("bad", "-d" if how == "deaf" else "", "desk-input")
        p.focus("bad")
        pids = {"exo-desktop": p.desktop.process.pid, "exo-vmm": p.pid("bad")}
        melt = freeze(p, how)
        p.key(C, True)
        flood(p, 1000)
        before = {name: pss(pid) for name, pid in pids.items()}
        flood(p, 100000)
        grown = {name: pss(pid) - before[name] for name, pid in pids.items()}
        tap.check(max(grown.values()) < GROWTH, f"{how}: 100,000 events are not kept",
                  f"KiB: {grown}")
        hears(p, how)
        p.key(C, False)
        p.ask("action", name="windows")
        p.ask("wait-frame", panel="windows", within_ms=PATIENCE * 1000)
        p.ask("close", panel="windows")
        tap.check(True, f"{how}: the shell goes on drawing")
        melt()
        if how != "deaf":
            p.mark("bad")
            tap.check(balanced(p.table("bad")), f"{how}: later no key hangs, none comes up twice",
                      f"{p.table('bad')}")
        p.control.ask("kill", guest="bad")
        p.gone("bad")


def floods(p):
    good(p)
    before = pss(p.desktop.process.pid)
    every = ("flush", "churn", "talk", "sizes", "open", "choose")
    for what in every:
        p.launch(what, what, "desk-hostile", display=["windows = 8"])
        p.said(what, "begins")
        p.shown(what)
        hears(p, what)
    wait_for(lambda: "done: asked 1000" in p.text("choose"), "a thousand requests for files")
    # Its chooser opens when the person goes to it, and is one.
    p.released()
    p.focus("choose")
    wait_for(lambda: any(w.get("panel") == "chooser" for w in p.ask("windows")["windows"]),
             "the chooser")
    n = sum(w.get("panel") == "chooser" for w in p.ask("windows")["windows"])
    tap.check(n == 1, "a thousand requests for files are one panel", f"{n}")
    p.key(ESC)
    hears(p, "all of them together", 100)
    p.ask("action", name="help")
    p.ask("wait-frame", panel="help", within_ms=PATIENCE * 1000)
    p.ask("close", panel="help")
    tap.check(len(p.ask("notices")["notices"]) <= 64, "notices do not pile up")
    alive = {n: p.session.guest(n)["state"] for n in every}
    tap.check(all(s in ("ready", "running") for s in alive.values()),
              "none broke a rule: all go on", f"{alive} {p.ask('notices')['notices']}")
    for what in every:
        p.control.ask("kill", guest=what)
        p.gone(what)
    grown = pss(p.desktop.process.pid) - before
    tap.check(grown < GROWTH, "what they cost is bounded", f"{grown} KiB")
    tap.check(p.windows() == ["good"], "and their windows go with them", f"{p.windows()}")


# ---- pretending -----------------------------------------------------------------------------


def read_png(path):
    """(width, height, rows of RGB bytes) of what libpng writes for the shell: 8 bits, no
    interlacing, RGB or RGBA."""
    with open(path, "rb") as f:
        data = f.read()
    at, idat = 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack_from(">IIBB", body)
        elif kind == b"IDAT":
            idat += body
        at += 12 + size
    n = {2: 3, 6: 4}[colour]
    raw, rows, last = zlib.decompress(idat), [], bytes(width * n)
    for y in range(height):
        line = bytearray(raw[y * (width * n + 1) + 1:(y + 1) * (width * n + 1)])
        filtered = raw[y * (width * n + 1)]
        for i in range(width * n if filtered else 0):
            a = line[i - n] if i >= n else 0
            b, c = last[i], last[i - n] if i >= n else 0
            if filtered == 1:
                line[i] = line[i] + a & 255
            elif filtered == 2:
                line[i] = line[i] + b & 255
            elif filtered == 3:
                line[i] = line[i] + (a + b) // 2 & 255
            else:
                near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))
                line[i] = line[i] + near[2] & 255
        last = bytes(line)
        rows.append(last if n == 3 else bytes(v for i, v in enumerate(last) if i % 4 != 3))
    return width, height, rows


def screen(p):
    path = os.path.join(p.folder, "screen.png")
    p.ask("wait-still", ms=100, within_ms=PATIENCE * 1000)
    p.ask("screenshot", path=path)
    return read_png(path)


def pixel(rows, x, y):
    return tuple(rows[y][3 * x:3 * x + 3])


def fakes(rows, y0, y1):
    """How many pixels of these rows have the colour of the fake."""
    return sum(pixel(rows, x, y) == FAKE for y in range(y0, y1)
               for x in range(len(rows[0]) // 3))


def pretends(p):
    good(p)
    p.launch("fake", "fake", "desk-hostile", display=["size = 640x480"], label="untrusted")
    p.said("fake", "done")
    p.shown("fake")
    width, height, _ = screen(p)
    wait_for(lambda: "trusted" in p.ask("window", guest="fake")["title"], "its title")
    title = p.ask("window", guest="fake")["title"]
    tap.check(all(0x20 <= ord(c) and not 0x7f <= ord(c) < 0xa0 and
                  not 0x200b <= ord(c) <= 0x206f for c in title),
              "a title has no controls and no directions", repr(title))
    p.focus("fake")
    p.key(38)
    wait_for(lambda: any("no message" in n["text"] for n in p.ask("notices")["notices"]),
             "a notice of a long title")
    tap.check(len(p.ask("window", guest="fake")["title"]) < 256, "a title of 10 KiB is none")
    p.focus("good")
    w = p.ask("window", guest="fake")
    tap.check(w["label"] == "untrusted", "the label is the manifest's", f"{w}")
    frame, content = w["frame"], w["content"]
    outside = [(x, y) for y in range(frame["y"], frame["y"] + frame["height"])
               for x in range(frame["x"], frame["x"] + frame["width"])
               if not (content["x"] <= x < content["x"] + content["width"] and
                       content["y"] <= y < content["y"] + content["height"])]
    wait_for(lambda: fakes(screen(p)[2], content["y"], content["y"] + 5), "its picture")
    rows = screen(p)[2]
    tap.check(not any(pixel(rows, x, y) == FAKE for x, y in outside),
              "frame and title are the shell's")
    tap.check(fakes(rows, 0, STRIP) == 0, "a picture of a strip is none")
    for what, box in (("as large as the screen", dict(x=0, y=0, width=width, height=height)),
                      ("higher than the screen", dict(x=-50, y=-100, width=2 * width,
                                                      height=2 * height))):
        p.ask("place", guest="fake", **box)
        rows = screen(p)[2]
        tap.check(fakes(rows, 0, STRIP) == 0, f"{what}: the strip is the shell's")
    p.focus("fake")
    for what in ("maximize", "fullscreen"):
        p.ask(what, guest="fake", on=True)
        content = p.ask("window", guest="fake")["content"]
        p.said("fake", f"size {content['width']}x{content['height']}")
        p.shown("fake")
        wait_for(lambda: fakes(screen(p)[2], content["y"], content["y"] + 5), "its picture")
        rows = screen(p)[2]
        tap.check(fakes(rows, 0, STRIP) == 0 and content["y"] >= STRIP,
                  f"{what}: the strip is the shell's", f"{content}")
        # Its cursor is all of one colour, and lies above the pixel that points.
        p.ask("pointer", x=width // 2, y=content["y"])
        rows = screen(p)[2]
        tap.check(fakes(rows, 0, STRIP) == 0, f"{what}: its cursor is not drawn over the strip")
        p.key(29, True)
        p.key(56, True)
        p.key(111)
        p.key(56, False)
        p.key(29, False)
        wait_for(lambda: p.ask("window", panel="attention")["focused"], "the attention panel")
        a = p.ask("window", panel="attention")["content"]
        rows = screen(p)[2]
        tap.check(not any(pixel(rows, x, y) == FAKE for y in range(a["y"], a["y"] + a["height"])
                          for x in range(a["x"], a["x"] + a["width"])),
                  f"{what}: secure attention lies above it")
        p.key(ESC)
        p.released()
        p.ask(what, guest="fake", on=False)
    hears(p, "beside a fake")


def begin():
    for part in (frozen, floods, pretends):
        part.options = ("--size", "800x600")
    run(tap, BUILD, FOLDER, (frozen, floods, pretends))


begin()
sys.exit(tap.done())
