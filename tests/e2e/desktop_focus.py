"""The tests of test_desktop_focus.sh: who gets the keyboard, and what of it.
usage: desktop_focus.py BUILD FOLDER"""
import os
import sys

from desktop_guests import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
A, B, C, D, E = 30, 48, 46, 32, 18  # KEY_A…
SHIFT, ESC, F10, F11, F12 = 42, 1, 68, 87, 88
LEFT = 272
tap = Tap()


def press(*codes):
    return [(c, s) for c in codes for s in ("down", "up")]


def compare(p, what, **tables):
    """The whole tables of the guests since they were started."""
    p.mark(*tables)
    for name, wanted in tables.items():
        wanted = in_order(wanted)
        tap.check(p.table(name) == wanted, f"{what}: what {name} saw",
                  f"saw {p.table(name)}", f"wanted {wanted}")


def two(p, *more):
    for i, name in enumerate(("one", "two") + more):
        p.start(name, "-c #ff0000", "desk-input")
        p.ask("place", guest=name, x=20 + 300 * i, y=60, width=250, height=300)
    p.focus("one")


def held(p):
    """Keys and a button that are down while the focus moves, by all ways."""
    two(p)
    wanted = {"one": [], "two": []}

    def across(name, code, move):
        p.focus("one")
        p.key(code, True)
        move()
        p.key(C)  # to whom has it now
        p.key(code, False)

    def by_chord():
        p.ask("keys", chord="super+tab")

    def by_click():
        p.ask("click", x=30, y=30, guest="two", button="left")

    def by_list():
        p.focus("two")
    for code, move in ((A, by_list), (B, by_chord), (SHIFT, by_list)):
        across("one", code, move)
        wanted["one"] += press(code)
        wanted["two"] += press(C)
    across("one", D, by_click)
    wanted["one"] += press(D)
    wanted["two"] += press(LEFT, C)
    # A release in the wrong order; a key that is pressed again elsewhere after that.
    p.focus("one")
    p.key(A, True)
    p.key(B, True)
    p.focus("two")
    p.key(B, False)
    p.key(B)
    p.key(A, False)
    p.key(A)
    wanted["one"] += [(A, "down"), (B, "down"), (B, "up"), (A, "up")]
    wanted["two"] += press(B, A)
    # A button: the window it was pressed in has it until it comes up.
    p.ask("pointer", x=50, y=50, guest="one")
    p.ask("button", button="left", down=True)
    p.focus("two")
    p.ask("pointer", x=50, y=50, guest="two")
    p.ask("button", button="right", down=True)
    p.ask("button", button="left", down=False)
    p.ask("button", button="right", down=False)
    wanted["one"] += [(LEFT, "down"), (LEFT + 1, "down"), (LEFT, "up"), (LEFT + 1, "up")]
    compare(p, "across the focus", **wanted)


def panels(p):
    """Keys that are down when a window of the shell's own takes the keyboard."""
    two(p)
    wanted = []
    for panel in ("launcher", "windows", "graph", "help"):
        p.key(A, True)
        p.ask("button", button="left", down=False)
        p.ask("action", name=panel)
        wait_for(lambda: p.ask("window", panel=panel)["focused"], "the panel's focus")
        p.key(B)  # the panel's
        p.key(A, False)
        p.ask("close", panel=panel)
        wait_for(lambda: p.is_focused("one"), "the focus coming back")
        p.released()
        p.key(D)
        wanted += press(A, D)
    # The secure attention chord: all that is down comes up, once.
    p.key(A, True)
    p.ask("pointer", x=50, y=50, guest="one")
    p.ask("button", button="left", down=True)
    p.key(29, True)
    p.key(56, True)
    p.key(111, True)
    wait_for(lambda: p.ask("window", panel="attention")["focused"], "the panel's focus")
    p.key(B)
    for code in (111, 56, 29, A):
        p.key(code, False)
    p.ask("button", button="left", down=False)
    p.key(ESC)
    wait_for(lambda: p.is_focused("one"), "the focus coming back")
    p.released()
    p.key(D)
    p.mark("one", "two")
    saw = p.table("one")
    tap.check(saw[:len(wanted)] == wanted, "across panels: what one saw", f"{saw}", f"{wanted}")
    rest = saw[len(wanted):]
    tap.check(rest[:3] == [(A, "down"), (29, "down"), (56, "down")] and
              sorted(rest[3:6]) == sorted((c, "up") for c in (A, 29, 56)) and
              rest[6:] == press(D, LEFT), "secure attention: releases, once each, and no more",
              f"{rest}")
    tap.check(p.table("two") == [], "the other saw nothing", f"{p.table('two')}")


def death(p):
    """Who has the focus ends with a key down, by all ways."""
    two(p, "three")
    wanted = []

    def crash():
        p.key(F12)

    def leave():
        p.key(ESC)

    def kill():
        p.kill_vmm("three")

    def ask():
        p.ask("close", guest="three")
    for how in (kill, leave, crash, ask):
        if "three" not in p.windows():
            p.start("three", "-c #00ff00", "desk-input")
        p.focus("three")
        p.key(A, True)
        p.said("three", f"key {A} down")
        how()
        p.gone("three")
        state = p.ask("state")
        p.key(E)  # at once: for nobody, if it is held back still
        later = p.ask("state")
        tap.check(state["held"] or not later["held"], f"{how.__name__}: input is held back")
        if later["held"]:
            tap.check(p.is_focused("one"), f"{how.__name__}: who had it before has the focus")
        else:
            wanted += press(E)  # a machine so slow that the time was over
        p.released()
        p.key(B)
        p.key(A, False)
        wanted += press(B)
        wait_for(lambda: p.session.guest("three")["state"] in ("ended", "failed"), "its end")
    compare(p, "death with the focus", one=wanted, two=[])


def restarted(p):
    """One that is started again has its window again, and takes no focus by that."""
    two(p)
    p.start("three", "-c #00ff00", "desk-input", lifecycle=["restart = always", "backoff = 50ms"])
    for i in range(2):
        p.focus("three")
        p.key(A, True)
        p.said("three", f"key {A} down", i + 1)
        number = p.session.guest("three")["number"]
        p.kill_vmm("three")
        wait_for(lambda: p.session.guest("three")["number"] != number and
                 "three" in p.windows(), "another start of it")
        p.shown("three")
        wait_for(lambda: not p.is_focused("three") and p.is_focused("one"), "the focus moving on")
        p.key(A, False)
        p.released()
        p.key(B)
    compare(p, "a guest that is started again", one=press(B, B), two=[])
    p.focus("three")
    p.key(C)
    p.said("three", f"key {C} up")
    table = p.table("three")
    tap.check(table == [(A, "down"), (A, "down")] + press(C),
              "started again: it gets its keys, and no release of another's", f"{table}")


def newcomers(p):
    """Keys go on to the one in focus, whoever appears."""
    two(p)
    codes = (A, B, C, D, E)
    typed = []

    def typing(n):
        for i in range(n):
            time.sleep(0.002)  # faster than any person
            p.key(codes[len(typed) % 5])
            typed.append(codes[len(typed) % 5])
    for i in range(10):
        p.launch(f"new{i}", "-c #0000ff", "desk-input")
        typing(10)
    for i in range(10):
        while f"new{i}" not in p.windows():
            typing(5)
    for what in ("open", "sizes"):
        p.launch(what, what, "desk-hostile", display=["windows = 8"])
        while "rounds" not in p.text(what):
            typing(5)
        typing(100)
        tap.check(p.is_focused("one"), f"{what}: who has the focus keeps it")
        p.control.ask("kill", guest=what)
    p.mark("one", "two", *[f"new{i}" for i in range(10)])
    tap.check(p.table("one") == press(*typed), f"all {len(typed)} keys arrived, in order",
              f"{len(p.table('one'))} events")
    tap.check(not any(p.table(n) for n in p.windows() if n != "one"), "and went nowhere else")


run(tap, BUILD, FOLDER, (held, panels, death, restarted, newcomers))
sys.exit(tap.done())
