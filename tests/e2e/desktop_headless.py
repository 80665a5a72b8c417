"""The tests of test_desktop_headless.sh.
usage: desktop_headless.py BUILD FOLDER"""
import math
import os
import random
import struct
import sys

from desktop_rig import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
ENV = {"XDG_CONFIG_HOME": FOLDER}
tap = Tap()


def check(name, ok):
    tap.check(ok, name)


def begin(name, *options):
    directory = os.path.join(FOLDER, name)
    os.mkdir(directory, 0o700)
    return FakeSession(directory), Desktop(BUILD, directory, "--headless", *options, env=ENV)


def add(session, name, colour, **more):
    guest = session.add(FakeGuest(name, **more))
    guest.hello()
    guest.wait_presented(guest.draw(colour))
    return guest


def sound():
    """A tone of half a second, played as fast as PLAYED lets it."""
    wav = os.path.join(FOLDER, "played.wav")
    session, desktop = begin("sound", "--audio", wav)
    guest = add(session, "player", 0, inputs=HAS_KEYBOARD | HAS_PLAYBACK)
    rate, channels, chunk = 24000, 1, 2400
    tone = b"".join(struct.pack("<h", int(12000 * math.sin(2 * math.pi * 440 * i / rate)))
                    for i in range(rate // 2))
    guest.send(SOUND, struct.pack("<4I", 0, 1, rate, channels))
    for at in range(0, len(tone), chunk):
        wait_for(lambda: at - guest.take().played < rate * 2 * channels // 8, what="PLAYED")
        guest.send(PCM, struct.pack("<2I", 0, chunk) + tone[at:at + chunk])
    wait_for(lambda: guest.take().played == len(tone), what="all of it PLAYED")
    check("what a guest plays is PLAYED, to the byte", guest.played == len(tone))
    desktop.ask("wait-still", ms=200)
    guest.send(SOUND, struct.pack("<4I", 0, 0, rate, channels))
    desktop.ask("wait-still", ms=100)
    wakeups = desktop.ask("state")["wakeups"]
    time.sleep(0.5)
    check("nobody plays: it sleeps", desktop.ask("state")["wakeups"] - wakeups <= 2)
    check("it ends well", desktop.close() == 0)
    session.close()

    data = open(wav, "rb").read()
    riff, size, kind = struct.unpack_from("<4sI8s", data)
    code, ways, hertz, _, _, width = struct.unpack_from("<HHIIHH", data, 20)
    check("a WAV file: 16 bits, stereo, 48 kHz", (riff, kind, size) ==
          (b"RIFF", b"WAVEfmt ", len(data) - 8) and (code, ways, hertz, width) == (1, 2, 48000, 16))
    left = [struct.unpack_from("<h", data, i)[0] for i in range(44, len(data) - 3, 4)]
    loud = [i for i, s in enumerate(left) if abs(s) > 2000]
    crossings = sum(left[i] < 0 <= left[i + 1] for i in range(loud[0], loud[-1]))
    check("it is as loud as it was", 11000 < max(left) < 12500)
    check("and of the same pitch and length", 205 <= crossings <= 230)


def mixing():
    """Two at a time, and what is too loud is cut off."""
    wav = os.path.join(FOLDER, "mixed.wav")
    session, desktop = begin("mixing", "--audio", wav)
    guests = [add(session, f"player{i}", 0, inputs=HAS_PLAYBACK, number=i) for i in (1, 2)]
    for g, level in zip(guests, (20000, 18000)):
        g.send(SOUND, struct.pack("<4I", 0, 1, 48000, 2))
        g.send(PCM, struct.pack("<2I", 0, 7680) + struct.pack("<h", level) * 3840)
        g.send(PCM, struct.pack("<2I", 0, 7680) + struct.pack("<h", level) * 3840)
    for g in guests:
        wait_for(lambda: g.take().played == 2 * 7680, what="PLAYED")
    desktop.ask("wait-still", ms=200)
    desktop.close()
    session.close()
    data = open(wav, "rb").read()
    left = [struct.unpack_from("<h", data, i)[0] for i in range(44, len(data) - 3, 4)]
    check("two guests are mixed", max(left) == 32767 and min(left) >= 0)


def pictures():
    session, desktop = begin("pictures", "--size", "640x480", "--scale", "2")
    guest = add(session, "painter", 0x336699, size=(160, 100))
    w = desktop.ask("window", guest="painter")
    guest.take()
    check("at scale 2 a window has twice the pixels", guest.modes[0][1:4] == (320, 200, 240))
    desktop.ask("wait-still", ms=200)
    film, folder = os.path.join(FOLDER, "film.y4m"), os.path.join(FOLDER, "frames")
    for path in (film, folder):
        desktop.ask("screencast", path=path)
        for colour in (0xff0000, 0x00ff00, 0x0000ff):
            guest.wait_presented(guest.draw(colour, 320, 200))
        desktop.ask("screencast", stop=True)
    data = open(film, "rb").read()
    head, rest = data.split(b"\n", 1)
    frame = 6 + 640 * 480 * 3
    check("a screencast is YUV4MPEG2", head == b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C444")
    check("of whole frames", len(rest) and len(rest) % frame == 0 and rest.startswith(b"FRAME\n"))
    x, y = w["content"]["x"] + 50, w["content"]["y"] + 50
    last = rest[-(frame - 6):]
    luma = last[y * 640 + x]
    check("the last of which is the last that was seen (blue)", abs(luma - 41) <= 1)
    names = sorted(os.listdir(folder))
    check("or numbered pictures", len(names) >= 2 and names[0] == "frame-000000.png" and
          all(open(os.path.join(folder, n), "rb").read(8) == b"\x89PNG\r\n\x1a\n" for n in names))
    desktop.ask("resize", width=800, height=600)
    state = desktop.ask("state")
    check("the screen can have another size", (state["width"], state["height"]) == (800, 600))
    check("it ends well, too", desktop.close() == 0)
    session.close()


def windows():
    session, desktop = begin("windows")
    guest = add(session, "two", 0x111111, scanouts=2, size=(300, 200))
    guest.show(100, 80, scanout=1)
    guest.flush(0, 0, 100, 80, scanout=1)
    wait_for(lambda: len(desktop.ask("windows")["windows"]) == 2, what="the second window")
    wait_for(lambda: any(m[0] == 1 for m in guest.take().modes), what="its size")
    check("a second scanout is a second window", True)
    guest.modes.clear()
    desktop.ask("close", guest="two", scanout=1)
    wait_for(lambda: (1, 0, 0) in [m[:3] for m in guest.take().modes], what="its unplugging")
    check("closing one of several unplugs it", not session.was_asked("stop"))
    guest.send(SCANOUT, struct.pack("<Q6I", 0, 0, 0, 0, 0, 1, guest.sequence))
    wait_for(lambda: len(desktop.ask("windows")["windows"]) == 1, what="its going")
    desktop.ask("close", guest="two")
    wait_for(lambda: session.was_asked("stop", "two"), what="a stop")
    check("closing the last asks the guest to end", True)
    wait_for(lambda: not desktop.ask("windows")["windows"], what="no window")
    check("its windows go with it", desktop.close() == 0)
    session.close()


def sessions():
    """The session dies and comes back; guests and windows stay."""
    session, desktop = begin("sessions")
    guest = add(session, "stays", 0x404040, size=(300, 200))
    desktop.ask("place", guest="stays", x=100, y=100, width=410, height=310)
    wait_for(lambda: guest.take().modes[-1][1:3] == (410, 310), what="another size")
    session.close()
    wait_for(lambda: not desktop.ask("state")["session"], what="the session's loss")
    guest.wait_presented(guest.draw(0x505050, 410, 310))
    check("without a session a guest's window goes on", True)
    guest.modes.clear()
    session = FakeSession(desktop.directory)
    session.add(guest)
    wait_for(lambda: desktop.ask("state")["session"] and session.attached, what="a new session")
    guest.hello()
    wait_for(lambda: guest.take().modes, what="its size")
    for colour in range(10):  # a window that is hidden would take 10 s
        guest.wait_presented(guest.draw(colour, 410, 310))
    check("a new session: the window is as it was", guest.modes[-1][1:3] == (410, 310) and
          desktop.ask("window", guest="stays")["content"]["width"] == 410)
    check("it ended well", desktop.close() == 0)
    session.close()


def attack(guest, rng):
    """Something that no VMM says, or that is said a bit too often."""
    kind = rng.randrange(6)
    if kind == 0:
        guest.sock.send(rng.randbytes(rng.randrange(1, 300)))
    elif kind == 1:
        guest.show(rng.randrange(1, 1 << 32), rng.randrange(1 << 32), rng.randrange(1 << 64),
                   rng.randrange(1 << 32))
    elif kind == 2:
        guest.flush(*(rng.randrange(1 << 32) for _ in range(4)))
    elif kind == 3:
        for _ in range(200):
            guest.flush(0, 0, 1, 1)
    elif kind == 4:
        guest.send(PCM, struct.pack("<2I", 0, rng.randrange(1 << 32)))
    else:
        guest.hello(memory=rng.randrange(1 << 64))


def hostile():
    session, desktop = begin("hostile")
    good = add(session, "good", 0x00ff00)
    rng = random.Random(5)
    ended = 0
    for i in range(60):
        bad = session.add(FakeGuest(f"bad{i}", number=10 + i, memory=1 << 20, seal=i % 10 != 9))
        try:
            bad.hello()
            if i % 2:
                bad.draw(0xff0000, 100, 100)
            attack(bad, rng)
            bad.take()
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            pass
        wait_for(lambda: session.was_asked("kill", bad.name), what=f"the end of {bad.name}")
        ended += 1
        good.wait_presented(good.draw(rng.randrange(1 << 24)))
        bad.close()
    check("whoever breaks the protocol is ended, 60 times", ended == 60)
    check("and nobody else", not session.was_asked("kill", "good") and not good.take().gone)
    shown = [w["guest"] for w in desktop.ask("windows")["windows"] if "guest" in w]
    check("the others' windows stay", shown == ["good"])
    check("a person is told", any("killed" in n["text"] for n in desktop.ask("notices")["notices"]))
    deaf = session.add(FakeGuest("deaf", number=90, size=(200, 150)))
    deaf.hello()
    deaf.draw(0x808080)
    c = wait_for(lambda: next((w for w in desktop.ask("windows")["windows"]
                               if w.get("guest") == "deaf"), None))["content"]
    desktop.ask("focus", guest="deaf")
    for i in range(3000):
        desktop.ask("pointer", x=c["x"] + i % 200, y=c["y"] + i // 20)
    good.wait_presented(good.draw(0x123456))
    check("one that reads nothing holds up nobody", not good.take().gone)
    check("the desktop goes on", desktop.close() == 0)
    session.close()


for part in (sound, mixing, pictures, windows, sessions, hostile):
    part()
sys.exit(tap.done())
