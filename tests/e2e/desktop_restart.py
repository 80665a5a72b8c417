"""The tests of test_desktop_restart.sh: desktops and sessions that are killed, and many windows.
usage: desktop_restart.py BUILD FOLDER"""
import os
import sys

from desktop_guests import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
A, B, TAB, SUPER = 30, 48, 15, 125
COLOURS = {"red": "#ff0000", "green": "#00ff00", "blue": "#0000ff"}
tap = Tap()


def three(p):
    for i, (name, colour) in enumerate(COLOURS.items()):
        p.start(name, f"-c {colour}", "desk-input", lifecycle=["restart = no"])
        p.ask("place", guest=name, x=20 + 220 * i, y=60, width=180, height=140)


def looks_right(p):
    for name, colour in COLOURS.items():
        c = p.ask("window", guest=name)["content"]
        got = p.ask("pixel", x=c["x"] + 20, y=c["y"] + 20)
        if colour not in str(got).lower():
            return False
    return True


def works(p, what):
    """All windows are there with their pictures, and get their keys."""
    try:
        wait_for(lambda: sorted(p.windows()) == sorted(COLOURS), "three windows")
        for i, name in enumerate(COLOURS):
            p.ask("place", guest=name, x=20 + 220 * i, y=60, width=180, height=140)
        wait_for(lambda: looks_right(p), "their pictures")
        shown = True
    except TimeoutError:
        shown = False
    tap.check(shown, f"{what}: windows come back with their pictures", f"{p.ask('windows')}")
    for name in COLOURS:
        before = len(p.table(name))
        p.mark(name)
        p.key(B)
        p.mark(name)
        tap.check(p.table(name)[before:] == [(B, "down"), (B, "up")],
                  f"{what}: {name} gets its keys", f"{p.table(name)[before:]}")


def desktop_dies(p):
    three(p)
    pids = [p.pid(n) for n in COLOURS]
    for i in range(3):
        p.focus("red")
        p.key(A, True)
        p.said("red", f"key {A} down", i + 1)
        p.crash_desktop()
        p.said("red", f"key {A} up", i + 1)
        p.begin_desktop()
        works(p, f"desktop killed, {i + 1}")
    downs = [e for e in p.table("red") if e[0] == A]
    tap.check(downs == 3 * [(A, "down"), (A, "up")], "a key that was down comes up, once",
              f"{downs}")
    tap.check([p.pid(n) for n in COLOURS] == pids, "the guests are the same")


def session_dies(p):
    three(p)
    for i in range(2):
        p.focus("green")
        p.key(A, True)
        p.said("green", f"key {A} down", i + 1)
        p.session.crash()
        wait_for(lambda: not p.ask("state")["session"], "the session's loss")
        p.session.begin()
        wait_for(lambda: p.ask("state")["session"], "another session")
        wait_for(p.is_served, "the desktop's service")
        p.key(A, False)
        works(p, f"session killed, {i + 1}")
        ups = [e for e in p.table("green") if e[0] == A]
        tap.check(ups == (i + 1) * [(A, "down"), (A, "up")],
                  "a key that was down comes up, once", f"{ups}")
    p.start("late", "", "desk-input")
    tap.check("late" in p.windows(), "a new guest has its window")
    p.control.ask("kill", guest="late")
    p.gone("late")


def both_die(p):
    three(p)
    p.session.crash()
    p.crash_desktop()
    p.session.begin()
    p.begin_desktop()
    works(p, "both killed")
    p.crash_desktop()
    p.session.crash()
    p.session.begin()
    p.begin_desktop()
    works(p, "both killed, the other first")


def late(p):
    """Guests that are there before the desktop is."""
    p.desktop.close()
    p.launch("w", "", display=["windows = 2"])
    p.said("w", "window 0")
    p.begin_desktop()
    p.shown("w")
    wait_for(lambda: p.ask("window", guest="w")["title"] == "window 0", "its title")
    tap.check(True, "a guest that was first says its title, though nobody types")


def many(p):
    """64 windows of 8 guests."""
    desktop = p.desktop.process.pid
    p.start("first", "", "desk-input")
    p.control.ask("kill", guest="first")
    p.gone("first")
    before, session = descriptors(desktop), descriptors(p.session.process.pid)
    for g in range(8):
        p.launch(f"g{g}", f"-n 8 -c #{g}0{g}080", "desk-input", display=["windows = 8"],
                 program=["memory = 16M"])
    vmms = [p.pid(f"g{g}") for g in range(8)]
    for g in range(8):
        for scanout in range(8):
            p.shown(f"g{g}", scanout)
    tap.check(len(p.windows()) == 64, "64 windows are there", f"{len(p.windows())}")
    seen, turns = set(), 0
    p.key(SUPER, True)
    while turns < 64:
        p.key(TAB)
        turns += 1
        seen.update(w["window"] for w in p.ask("windows")["windows"] if w["focused"])
    p.key(SUPER, False)
    tap.check(len(seen) == 64, "the focus comes to each of them", f"{len(seen)}")
    p.ask("action", name="layout")
    p.ask("wait-still", ms=100, within_ms=PATIENCE * 1000)
    p.ask("action", name="layout")
    for scanout in range(7, 0, -1):  # of one guest, until it ends
        p.ask("close", guest="g0", scanout=scanout)
    for g in range(8):
        p.ask("close", guest=f"g{g}")
        p.gone(f"g{g}")
    wait_for(lambda: not any(os.path.exists(f"/proc/{v}") for v in vmms), "the end of all VMMs")
    tap.check(p.windows() == [], "all are closed, and their guests have ended")
    wait_for(lambda: descriptors(desktop) <= before, f"{before} descriptors of the desktop")
    wait_for(lambda: descriptors(p.session.process.pid) <= session, "those of the session")
    tap.check(True, "nothing is left open")


run(tap, BUILD, FOLDER, (desktop_dies, session_dies, both_die, late, many))
sys.exit(tap.done())
