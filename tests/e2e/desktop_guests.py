"""A session with real guests and a desktop without a screen, for tests from a person's side.

`Place` has both. Guests are window-events.elf, which prints what happens to it, unless said
otherwise; `table` is what one of them saw of keys and buttons.
"""
import os
import re
import signal
import time

from desktop_rig import Desktop
from session_rig import Session

PATIENCE = 120 if os.environ.get("EXO_NESTED") else 30  # s; nobody waits so long if all goes well
LINE = re.compile(r"^(\d+) (key|button) (\d+) (down|up)", re.M)
BUTTONS = 256  # codes from there on
MARK = 74  # KP-: between tables


def wait_for(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come about")
        time.sleep(0.02)


def in_order(events):
    return sorted(events, key=lambda e: e[0] >= BUTTONS)


def pss(pid):
    """KiB of proportional set size."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))


def descriptors(pid):
    """How many are open; a session keeps the logs of guests that have ended."""
    folder, n = f"/proc/{pid}/fd", 0
    for fd in os.listdir(folder):
        try:
            n += "/log/" not in os.readlink(os.path.join(folder, fd))
        except OSError:
            pass  # closed meanwhile
    return n


class Place:
    def __init__(self, build, folder, *options, **env):
        os.mkdir(folder)
        self.build, self.folder = build, folder
        self.options = ("--headless", "--keymap", "us") + options
        self.env = dict({"XDG_CONFIG_HOME": folder, "HOME": folder}, **env)
        self.session = Session(build, folder)
        self.control = self.session.control
        self.desktop = None
        self.begin_desktop()

    def begin_desktop(self):
        self.desktop = Desktop(self.build, self.session.directory, *self.options, env=self.env)
        self.ask = self.desktop.ask
        wait_for(self.is_served, "the desktop's service")

    def is_served(self):
        services = self.session.control.ask("wires")["services"]
        return any(s["name"] == "desktop" for s in services)

    def crash_desktop(self):
        self.desktop.process.kill()
        self.desktop.process.wait()
        self.desktop.sock.close()

    # ---- guests ---------------------------------------------------------------------------

    def elf(self, name="window-events"):
        return os.path.join(self.build, "guests/test", name + ".elf")

    def launch(self, name, args="", elf="window-events", **sections):
        """Starts it and does not wait. sections: lines of the manifest."""
        sections.setdefault("display", [])
        self.control = self.session.control
        path = self.session.manifest(name, self.elf(elf), args, **sections)
        return self.control.ask("start", manifest=path)["guest"]

    def shown(self, name, scanout=0):
        """Until it has a window and a picture of it was composed."""
        self.ask("wait-frame", guest=name, scanout=scanout, within_ms=PATIENCE * 1000)

    def start(self, name, args="", elf="window-events", **sections):
        self.launch(name, args, elf, **sections)
        self.shown(name)
        return name

    def text(self, name):
        try:
            with open(os.path.join(self.session.directory, "log", name + ".log"),
                      errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def said(self, name, words, times=1):
        wait_for(lambda: self.text(name).count(words) >= times, f"{name}: {words}")

    def pid(self, name):
        return self.session.guest(name)["pid"]

    def kill_vmm(self, name):
        os.kill(self.pid(name), signal.SIGKILL)

    def is_focused(self, name):
        return self.ask("window", guest=name)["focused"]

    def focus(self, name, scanout=0):
        self.ask("focus", guest=name, scanout=scanout)

    def windows(self):
        """Of guests, by name."""
        return [w["guest"] for w in self.ask("windows")["windows"]
                if "guest" in w and "panel" not in w]

    def gone(self, name):
        wait_for(lambda: name not in self.windows(), f"{name}'s window going away")

    # ---- keys -----------------------------------------------------------------------------

    def key(self, code, down=None):
        for state in (True, False) if down is None else (down,):
            self.ask("key", code=code, down=state)

    def released(self):
        """Input is not held back any more."""
        wait_for(lambda: not self.ask("state")["held"], "the end of holding back")

    def mark(self, *names):
        """A key to each, after which its table is complete. Again if it is lost: to a guest that
        did not read."""
        self.released()
        for name in names:
            before = self.text(name).count(f"key {MARK} up")
            self.focus(name)
            again = 0.0

            def heard():
                nonlocal again
                if time.monotonic() >= again:
                    self.key(MARK)
                    again = time.monotonic() + 2
                return self.text(name).count(f"key {MARK} up") > before
            wait_for(heard, f"{name}'s hearing a key")

    def table(self, name):
        """(code, "down" or "up") in order, those of keys first: of two devices there is none.
        Marks are left out."""
        seen = [(int(c), s) for _, _, c, s in LINE.findall(self.text(name))]
        return in_order(e for e in seen if e[0] != MARK)

    def end(self):
        """Ends both; the desktop's exit status and the session's."""
        if self.desktop.process.poll() is None:
            status = self.desktop.close()
        else:
            status = self.desktop.process.returncode
        return status, self.session.end()[0]


def run(tap, build, folder, parts):
    """Each part in a place of its own; one that raises is a failure."""
    import traceback
    for part in parts:
        options = getattr(part, "options", ())
        place = Place(build, os.path.join(folder, part.__name__), *options)
        try:
            part(place)
        except Exception:
            tap.check(False, f"{part.__name__}: it could be carried out", traceback.format_exc())
        status = place.end()
        tap.check(status == (0, 0), f"{part.__name__}: desktop and session end well", f"{status}")
