"""The tests of test_desktop_x11.sh.
usage: desktop_x11.py BUILD FOLDER"""
import ctypes
import os
import struct
import subprocess
import sys
import zlib

from desktop_rig import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
SIZE = (1000, 700)
KEY_A, KEY_B, KEY_LEFTSHIFT, BTN_LEFT = 30, 48, 42, 0x110
REL_WHEEL, REL_WHEEL_HI_RES = 8, 11
tap = Tap()
CLIENT_MESSAGE = 33


def check(name, ok):
    tap.check(ok, name)


class CursorImage(ctypes.Structure):
    """XFixesCursorImage of X11/extensions/Xfixes.h."""
    _fields_ = [("x", ctypes.c_short), ("y", ctypes.c_short)] + [
        (name, ctypes.c_ushort) for name in ("width", "height", "xhot", "yhot")] + [
        ("serial", ctypes.c_ulong), ("pixels", ctypes.POINTER(ctypes.c_ulong)),
        ("atom", ctypes.c_ulong), ("name", ctypes.c_char_p)]


class Server:
    """Xvfb with its screen in a file (the format of xwd, XWDFile.h)."""

    def __init__(self):
        got, given = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(given), "-screen", "0", "1280x900x24", "-fbdir", FOLDER,
             "-nolisten", "tcp"], pass_fds=[given], stderr=subprocess.DEVNULL)
        os.close(given)
        number = b""
        while not number.endswith(b"\n"):
            more = os.read(got, 16)
            assert more, "Xvfb did not start"
            number += more
        os.close(got)
        self.display = ":" + number.decode().strip()
        self.x11 = ctypes.CDLL("libX11.so.6")
        self.x11.XOpenDisplay.restype = ctypes.c_void_p
        self.connection = ctypes.c_void_p(self.x11.XOpenDisplay(self.display.encode()))

    def do(self, *words):
        out = subprocess.run(["xdotool", *map(str, words)], capture_output=True, text=True,
                             env=dict(os.environ, DISPLAY=self.display))
        assert out.returncode == 0, f"xdotool {words}: {out.stderr}"
        return out.stdout.strip()

    def cursor(self):
        """(width, height, ARGB pixels) of what points, by XFIXES."""
        fixes = ctypes.CDLL("libXfixes.so.3")
        fixes.XFixesGetCursorImage.restype = ctypes.POINTER(CursorImage)
        image = fixes.XFixesGetCursorImage(self.connection).contents
        n = image.width * image.height
        return image.width, image.height, [p & 0xffffffff for p in image.pixels[:n]]

    def unfocus(self):
        """Nobody has the keyboard (XSetInputFocus to None)."""
        self.x11.XSetInputFocus(self.connection, ctypes.c_ulong(0), 0, ctypes.c_ulong(0))
        self.x11.XSync(self.connection, 0)

    def ask_to_close(self, window):
        """As a window manager does (ICCCM, 4.2.8.1)."""
        atom = self.x11.XInternAtom
        atom.restype = ctypes.c_ulong
        kinds = [atom(self.connection, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")]
        event = struct.pack("@iLiPLLi5l", CLIENT_MESSAGE, 0, 1, 0, int(window), kinds[0], 32,
                            kinds[1], 0, 0, 0, 0).ljust(192, b"\0")
        self.x11.XSendEvent(self.connection, ctypes.c_ulong(int(window)), 0, ctypes.c_long(0), event)
        self.x11.XSync(self.connection, 0)

    def part(self, x, y, width, height):
        """Rows of (B, G, R) bytes, as the server shows them."""
        with open(os.path.join(FOLDER, "Xvfb_screen0"), "rb") as f:
            data = f.read()
        head = struct.unpack_from(">25I", data)
        start = head[0] + head[19] * 12  # header, and its colours
        line = head[12]
        rows = []
        for row in range(y, y + height):
            at = start + row * line + x * 4
            pixels = data[at:at + width * 4]
            rows.append(bytes(b for i in range(0, width * 4, 4) for b in pixels[i:i + 3]))
        return rows

    def close(self):
        self.process.terminate()
        self.process.wait()


def read_png(path):
    """Rows of (B, G, R) bytes: 8 bits, RGB, not interlaced."""
    data = open(path, "rb").read()
    at, width, height, packed = 8, 0, 0, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            assert (depth, colour, interlace) == (8, 2, 0), "another kind of PNG"
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw, rows, last = zlib.decompress(packed), [], bytearray(3 * width)
    for y in range(height):
        kind, row = raw[y * (3 * width + 1)], bytearray(raw[y * (3 * width + 1) + 1:
                                                           (y + 1) * (3 * width + 1)])
        for i in range(len(row)):
            left = row[i - 3] if i >= 3 else 0
            up, corner = last[i], last[i - 3] if i >= 3 else 0
            if kind == 1:
                row[i] = (row[i] + left) & 255
            elif kind == 2:
                row[i] = (row[i] + up) & 255
            elif kind == 3:
                row[i] = (row[i] + (left + up) // 2) & 255
            elif kind == 4:
                p = left + up - corner
                best = min((abs(p - left), 0, left), (abs(p - up), 1, up),
                           (abs(p - corner), 2, corner))[2]
                row[i] = (row[i] + best) & 255
        last = row
        rows.append(bytes(b for i in range(0, len(row), 3) for b in reversed(row[i:i + 3])))
    return rows


class Scene:
    """A desktop with two guests."""

    def __init__(self, name, *options, env=None):
        self.directory = os.path.join(FOLDER, name)
        os.mkdir(self.directory, 0o700)
        self.session = FakeSession(self.directory)
        self.notes = self.session.add(FakeGuest("notes", "work", "#3060c0", (320, 240), 1,
                                                inputs=HAS_KEYBOARD | HAS_TABLET | HAS_PLAYBACK |
                                                HAS_CAPTURE))
        self.bank = self.session.add(FakeGuest("bank", "trusted", "#20a040", (400, 300), 2))
        self.desktop = Desktop(BUILD, self.directory, *options, env=env)
        for guest, colour in ((self.notes, 0xff8040), (self.bank, 0x4080ff)):
            guest.hello()
            guest.wait_presented(guest.draw(colour))

    def window(self, guest):
        return self.desktop.ask("window", guest=guest)

    def keys(self, guest):
        return [(e[3], e[4]) for e in guest.take().events if e[2] == EV_KEY]

    def screenshot(self):
        path = os.path.join(self.directory, "screen.png")
        self.desktop.ask("wait-still", ms=300)
        self.desktop.ask("screenshot", path=path)
        return read_png(path)

    def close(self):
        status = self.desktop.close()
        self.session.close()
        return status


def check_pictures(server, scene, where, what):
    picture = scene.screenshot()
    width, height = len(picture[0]) // 3, len(picture)
    x, y = where()

    def same():
        return server.part(x, y, width, height) == picture
    try:
        wait_for(same, 20)
    except TimeoutError:
        pass
    check(f"{what}: the server shows what was composed, {width} x {height}", same())
    return picture


def settle(scene):
    """What xdotool did has come."""
    scene.desktop.ask("wait-still", ms=100)


def main():
    server = Server()
    env = {"DISPLAY": server.display, "SDL_VIDEODRIVER": "x11", "SDL_AUDIODRIVER": "dummy",
           "XDG_CONFIG_HOME": FOLDER}
    size = ["--size", f"{SIZE[0]}x{SIZE[1]}"]
    x = Scene("x11", *size, env=env)
    window = server.do("search", "--sync", "--name", "^Exoshell$").split()[0]

    def where():
        words = dict(line.split("=") for line in
                     server.do("getwindowgeometry", "--shell", window).split("\n") if "=" in line)
        return int(words["X"]), int(words["Y"])

    def move(px, py):
        server.do("mousemove", "--window", window, px, py)

    server.do("windowfocus", "--sync", window)
    picture = check_pictures(server, x, where, "a window")
    check("its size is the one asked for", (len(picture[0]) // 3, len(picture)) == SIZE)

    other = Scene("headless", "--headless", *size, env={"XDG_CONFIG_HOME": FOLDER})
    check("without a display it is the same picture", other.screenshot() == picture)
    check("which ends well", other.close() == 0)

    # Keys go to the window that was clicked, and text as it is typed.
    c = x.window("bank")["content"]
    move(c["x"] + 200, c["y"] + 200)
    server.do("click", 1)
    wait_for(lambda: (BTN_LEFT, 0) in x.keys(x.bank), what="a click")
    check("a click has the focus", x.window("bank")["focused"])
    places = [e for e in x.bank.events if e[2] == EV_ABS]
    check("the pointer is where it was clicked",
              [e[4] * s // 32768 for e, s in zip(places[-2:], (400, 300))] == [200, 200])
    x.bank.events.clear()
    server.do("type", "--delay", 30, "aB")
    wait_for(lambda: (KEY_B, 0) in x.keys(x.bank) and (KEY_LEFTSHIFT, 0) in x.keys(x.bank),
             what="typed text")
    keys = x.keys(x.bank)
    check("a letter is a key, down and up", keys[:2] == [(KEY_A, 1), (KEY_A, 0)])
    check("a capital is typed with shift",
              keys.index((KEY_LEFTSHIFT, 1)) < keys.index((KEY_B, 1)) <
              keys.index((KEY_LEFTSHIFT, 0)))
    check("the other guest saw none of it", not x.keys(x.notes))

    x.bank.events.clear()
    server.do("click", 4)
    server.do("click", 5)
    server.do("click", 5)

    def turned(code):
        return sum(e[4] for e in x.bank.take().events if e[2] == EV_REL and e[3] == code)
    wait_for(lambda: len([e for e in x.bank.take().events if e[2] == EV_REL]) >= 6,
             what="the wheel")
    check("the wheel turns by notches", (turned(REL_WHEEL), turned(REL_WHEEL_HI_RES)) ==
              (-1, -120))

    # A drag of the title moves the window; of the content, it is the guest's.
    before = x.window("bank")["frame"]
    move(before["x"] + 150, before["y"] + 10)
    server.do("mousedown", 1)
    for step in range(1, 11):
        move(before["x"] + 150 + 12 * step, before["y"] + 10 + 15 * step)
    server.do("mouseup", 1)

    def moved():
        after = x.window("bank")["frame"]
        return (after["x"] - before["x"], after["y"] - before["y"]) == (120, 150)
    wait_for(moved, what="a window that was dragged")
    check("a title can be dragged", moved())
    c = x.window("bank")["content"]
    x.bank.events.clear()
    move(c["x"] + 10, c["y"] + 10)
    server.do("mousedown", 1)
    move(c["x"] + 100, c["y"] - 60)  # out of the window
    server.do("mouseup", 1)
    wait_for(lambda: (BTN_LEFT, 0) in x.keys(x.bank), what="a release outside")
    check("who saw the press sees the release", (BTN_LEFT, 1) in x.keys(x.bank))

    # Another window of the host takes the keyboard while a key is down.
    x.bank.events.clear()
    server.do("keydown", "a")
    wait_for(lambda: (KEY_A, 1) in x.keys(x.bank), what="a key that is held")
    server.unfocus()
    wait_for(lambda: (KEY_A, 0) in x.keys(x.bank), what="its release")
    check("a key comes up when the keyboard goes", x.keys(x.bank)[-1] == (KEY_A, 0))
    server.do("keyup", "a")
    server.do("windowfocus", "--sync", window)
    settle(x)
    x.bank.events.clear()
    server.do("key", "b")
    wait_for(lambda: (KEY_B, 0) in x.keys(x.bank), what="a key after that")
    check("and is back with it", x.keys(x.bank) == [(KEY_B, 1), (KEY_B, 0)])

    # Pixels of a guest that draws; a part only.
    x.bank.fill(0x00ff00, 400, 20)
    x.bank.wait_presented(x.bank.flush(0, 0, 400, 20))
    check_pictures(server, x, where, "after a small change")

    # A guest's pointer is all of one colour, and lies above the pixel that points.
    c = x.window("bank")["content"]
    x.bank.memory[8 << 20:(8 << 20) + 16384] = struct.pack("<I", 0xff00ff00) * 4096
    x.bank.cursor(8 << 20, hot=(0, 63))

    def rows_shown():
        width, _, pixels = server.cursor()
        return sorted({i // width for i, p in enumerate(pixels) if p == 0xff00ff00})
    move(c["x"] + 100, c["y"] + 100)
    wait_for(lambda: rows_shown() == list(range(64)), what="the guest's pointer")
    move(c["x"] + 100, c["y"] + 10)
    wait_for(lambda: rows_shown() == list(range(53, 64)), what="what is left of it")
    check("a guest's pointer is cut off at its window's edge", True)

    # The host's window gets another size; a maximized guest follows.
    x.desktop.ask("maximize", guest="notes")
    server.do("windowsize", "--sync", window, 811, 603)
    wait_for(lambda: x.desktop.ask("state")["width"] == 811, what="another size")
    state = x.desktop.ask("state")
    check("it follows the window's size", (state["width"], state["height"]) == (811, 603))
    c = x.window("notes")["content"]
    wait_for(lambda: x.notes.take().modes[-1][1:3] == (c["width"], c["height"]), what="a MODE")
    check("a maximized guest is told its size", c["width"] > 700)
    x.notes.wait_presented(x.notes.draw(0x203040, c["width"], c["height"]))
    check_pictures(server, x, where, "in another size")

    # Sound goes to the device that SDL has (here one that nobody hears).
    x.notes.send(SOUND, struct.pack("<4I", 0, 1, 48000, 2))
    x.notes.send(PCM, struct.pack("<2I", 0, 7680) + bytes(7680))
    wait_for(lambda: x.notes.take().played == 7680, what="PLAYED")
    x.notes.send(SOUND, struct.pack("<4I", 0, 0, 48000, 2))
    check("sound is played", x.notes.played == 7680)

    # The microphone is off until the person says otherwise, in the list of guests.
    x.notes.send(SOUND, struct.pack("<4I", 1, 1, 16000, 1))
    wait_for(lambda: any("microphone" in n["text"] for n in x.desktop.ask("notices")["notices"]),
             what="a notice")
    check("a guest that listens hears nothing", x.notes.take().captured == 0)
    x.desktop.ask("action", name="windows")
    x.desktop.ask("keys", chord="m")
    wait_for(lambda: x.notes.take().captured > 3200, what="sound of the microphone")
    check("unless the person lets it", x.notes.captured % 2 == 0)
    x.desktop.ask("keys", chord="m")
    x.desktop.ask("action", name="windows")

    # Nothing moves: nobody wakes up. The requests here do.
    time.sleep(1.5)  # the device closes
    x.desktop.ask("wait-still", ms=300)
    wakeups = x.desktop.ask("state")["wakeups"]
    time.sleep(1)
    check("nothing moves: it sleeps", x.desktop.ask("state")["wakeups"] - wakeups <= 2)

    server.ask_to_close(window)
    check("closing the window ends it", x.desktop.process.wait(20) == 0)
    check("and asks no guest to end", not x.session.was_asked("stop") and
              not x.session.was_asked("kill"))
    x.close()

    bare = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    out = subprocess.run([os.path.join(BUILD, "bin", "exo-desktop"), "--session", FOLDER],
                         capture_output=True, text=True, env=bare)
    check("without a display: one line that says what to do", out.returncode == 125 and
              out.stderr.count("\n") == 1 and "--headless" in out.stderr)
    server.close()
    return tap.done()


sys.exit(main())
