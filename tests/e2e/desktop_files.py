"""The tests of test_desktop_files.sh: the clipboard and files between a person and real guests.
usage: desktop_files.py BUILD FOLDER"""
import os
import re
import sys

from desktop_guests import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
C, F, G, R, S, V, ESC, ENTER, CTRL, LEFTSHIFT = 46, 33, 34, 19, 31, 47, 1, 28, 29, 42
tap = Tap()


def start(p, name, *more, **sections):
    """Until its window's title has come: then it has its connection to the desktop."""
    p.start(name, *more, **sections)
    wait_for(lambda: p.ask("window", guest=name)["title"], f"{name}'s title")


def clipboard_is(p, kind, size=None, sender=None):
    c = p.ask("clipboard")
    return (c["format"] == kind and (size is None or c["bytes"] == size) and
            (sender is None or c["from"] == sender))


def chord(p, key):
    p.ask("keys", chord=f"ctrl+shift+{key}")


def clipboard(p):
    start(p, "a", "-n 2", display=["windows = 2"])
    start(p, "b", "")
    start(p, "c", "")
    p.focus("a")
    tap.check(clipboard_is(p, "none"), "nothing is there before")
    chord(p, "c")
    wait_for(lambda: clipboard_is(p, "text", 14, "a"), "what was copied")
    tap.check(True, "a person copies out of a guest")
    for name in "bc":
        tap.check("paste" not in p.text(name) and "copy" not in p.text(name),
                  f"which {name} does not learn")
    p.control.ask("kill", guest="a")
    p.gone("a")
    p.released()
    p.focus("b")
    chord(p, "v")
    p.said("b", "paste 1: from the guest, 14 bytes")
    tap.check(clipboard_is(p, "none"), "it is pasted into another, and wiped, though a has ended")
    chord(p, "v")
    p.mark("b", "c")
    tap.check(p.text("b").count("paste") == 1, "a second time there is nothing", p.text("b"))
    tap.check("paste" not in p.text("c"), "and nothing for who was not asked")
    codes = {code for code, _ in p.table("b")}
    tap.check(codes <= {CTRL, LEFTSHIFT}, "the chord's keys are not the guest's", f"{codes}")


def second(p):
    """Out of a window that is not the guest's first."""
    start(p, "a", "-n 2", display=["windows = 2"])
    start(p, "b", "")
    p.shown("a", 1)
    wait_for(lambda: p.ask("window", guest="a", scanout=1)["title"], "its title")
    p.focus("a", 1)
    chord(p, "c")
    wait_for(lambda: clipboard_is(p, "text", 14, "a"), "what was copied")
    p.focus("b")
    chord(p, "v")
    p.said("b", "paste 1: from the guest, 14 bytes")
    tap.check(True, "a second window is copied from")
    p.focus("a", 1)
    p.key(F)
    wait_for(lambda: has_chooser(p), "the chooser")
    p.key(ESC)
    p.said("a", "Operation canceled")
    tap.check(True, "and may ask for a file")


def unasked(p):
    start(p, "a", "", "desk-files")
    start(p, "b", "")
    p.focus("a")
    p.key(C)
    p.said("a", "unasked")
    p.focus("b")
    chord(p, "v")
    p.mark("b")
    tap.check(clipboard_is(p, "none") and "paste" not in p.text("b"),
              "what nobody asked for is not taken", f"{p.ask('clipboard')}")


# ---- files -------------------------------------------------------------------------------


def has_chooser(p):
    return any(w.get("panel") == "chooser" for w in p.ask("windows")["windows"])


def choose(p, key, path=None):
    """The guest asks, and the person answers; None: no."""
    p.focus("a")
    p.key(key)
    wait_for(lambda: has_chooser(p), "the chooser")
    if path is None:
        p.key(ESC)
    else:
        p.ask("type", text=path)
        again = 0.0

        def chosen():  # Enter counts only when the panel was there for a moment
            nonlocal again
            if time.monotonic() >= again:
                p.key(ENTER)
                again = time.monotonic() + 0.5
            return not has_chooser(p)
        wait_for(chosen, "its choice")
    wait_for(lambda: not has_chooser(p), "the chooser's end")


def put(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def get(path):
    with open(path) as f:
        return f.read()


def tried(p, name, times=1):
    """What the guest says it did with its file."""
    p.said("a", f"{name}: done", times)
    return dict(re.findall(rf"^{re.escape(name)}: (\w+): (.*)$", p.text("a"), re.M))


def files(p):
    folder = os.path.join(p.folder, "files")
    os.mkdir(folder)
    given = put(folder, "given.txt", "what is given\n")
    secret = put(folder, "secret.txt", "secret\n")
    both = put(folder, "both.txt", "to be written to\n")
    fresh = os.path.join(folder, "fresh.txt")
    names = set(os.listdir(folder))
    start(p, "a", "", "desk-files")

    choose(p, F)
    p.said("a", "no file: Operation canceled")
    tap.check(not grants(p), "cancelled: nothing is given")

    choose(p, F, given)
    got = tried(p, "given.txt")
    tap.check(got.get("read") == "'what is given'", "a chosen file is read", f"{got}")
    tap.check(got.get("write") != "ok" and got.get("cut") != "ok" and
              get(given) == "what is given\n", "and not written to, if it was not to be", f"{got}")
    tap.check(got.get("list") == "'given.txt'", "no other name is there", f"{got}")

    choose(p, G, both)
    got = tried(p, "both.txt")
    tap.check(got.get("write") == "ok" and got.get("cut") == "ok" and get(both) == "GUEST",
              "one to read and write is written to", f"{got}")

    choose(p, S, fresh)
    got = tried(p, "fresh.txt")
    tap.check(got.get("write") == "ok" and get(fresh) == "GUEST", "one to save is made", f"{got}")

    c = p.ask("window", guest="a")["content"]
    p.ask("drop", x=c["x"] + 5, y=c["y"] + 5, path=given)
    got = tried(p, "given.txt", 2)
    tap.check(get(given) == "what is given\n", "a dropped one is to be read", f"{got}")

    bad = [w for w in ("REACHED", "MADE", "REMOVED") if w in p.text("a")]
    tap.check(not bad, "nothing but the files is reached, made or removed", p.text("a"))
    tap.check(set(os.listdir(folder)) == names | {"fresh.txt"} and get(secret) == "secret\n",
              "on the host neither", f"{os.listdir(folder)}")

    before = grants(p)
    tap.check(len(before) == 4, "each is a grant", f"{before}")
    p.focus("a")
    p.key(R)
    p.said("a", "given.txt: anew: 'what is given'")
    for g in before:
        p.control.ask("revoke", grant=g)
    p.key(R)
    wait_for(lambda: len(re.findall("given.txt: anew", p.text("a"))) == 2, "another try")
    tap.check(p.text("a").count("anew: 'what") == 1 and p.text("a").count("again: 'what") == 1,
              "once revoked it is not read any more, an open descriptor neither", p.text("a"))
    tap.check(not grants(p), "no grant is left")


def grants(p):
    """Those of files."""
    return [g["grant"] for g in p.control.ask("wires")["grants"]
            if g["guest"] == "a" and g["service"] != "desktop"]


run(tap, BUILD, FOLDER, (clipboard, second, unasked, files))
sys.exit(tap.done())
