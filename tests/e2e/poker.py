"""The tests of test_poker.sh. usage: poker.py BUILD TMP

A server takes two connections, one after the other: of tests/guest/poker.c, which
breaks the ring, and of an honest client, which must not notice."""
import os
import sys

from vmmbroker import *

BUILD, TMP = os.path.abspath(sys.argv[1]), sys.argv[2]
EXE = os.path.join(BUILD, "bin/exo-vmm")
SLOT = 0x01000001
tap = Tap()


def program(name):
    with open(os.path.join(BUILD, "guests/test", name + ".elf"), "rb") as f:
        return f.read()


CHAN, POKER = program("chan"), program("poker")
# What the server says of the connection: None if it need not notice anything.
BROKEN = "read: 104"
FULL = ("head", "head-back", "length", "length-race", "data-race", "tail", "scribble", "bells",
        "foreign", "events", "fin", "after", "window")
# Those that break a stream; "length" and the races are of messages.
BREAKS = {"stream": ("head", "head-back"), "seq": ("head", "head-back", "length")}


def attack(how, kind, direct_server=True):
    broker = Broker(TMP)
    server = Guest(broker, EXE, CHAN, ("serve", 80, kind, "count=2", "timeout=8000", "echo"),
                   direct=direct_server)
    poker = honest = None
    try:
        ok = broker.until(lambda: server.said("listening"))
        poker = Guest(broker, EXE, POKER, (SLOT, kind, how))
        broker.routes[poker, SLOT] = server, 80
        ok = ok and broker.until(lambda: poker.hung_up, 60)
        honest = Guest(broker, EXE, CHAN, ("connect", SLOT, kind, "ping", 200))
        broker.routes[honest, SLOT] = server, 80
        ok = ok and broker.until(lambda: honest.hung_up and server.hung_up, 60)
        path = "" if direct_server else ", switched server"
        notes = [f"{g.number}: {g.lines} {g.ended}" for g in broker.guests] + [f"states {broker.states}"]
        # Only its own end may be out of order: of the poker, a fault at most.
        tap.check(ok and poker.ended and (poker.ended[:2] == ("EXIT", 0) or how in ("after", "window")),
                  f"H-11 {how}, {kind}{path}: the poker did its worst", *notes)
        tap.check(ok and honest.said("ping 200 rounds") and honest.ended[:2] == ("EXIT", 0),
                  f"H-11 {how}, {kind}{path}: the next client is served", *notes)
        if direct_server and how in BREAKS[kind]:
            tap.check(server.said(BROKEN) and server.said("end 6"),
                      f"H-11 {how}, {kind}: the server saw a broken channel", *notes)
    finally:
        broker.finish()


def neighbours():
    """H-21: doorbells rung for ever, while others measure."""
    broker = Broker(TMP)
    server = Guest(broker, EXE, CHAN, ("serve", 80, "stream", "count=2", "threads", "echo"))
    ok = broker.until(lambda: server.said("listening"))
    poker = Guest(broker, EXE, POKER, (SLOT, "stream", "bells"))
    honest = Guest(broker, EXE, CHAN, ("connect", SLOT, "stream", "spin=0", "ping", 5000))
    broker.routes[poker, SLOT] = broker.routes[honest, SLOT] = server, 80
    ok = ok and broker.until(lambda: honest.hung_up and poker.hung_up, 30)
    tap.check(ok and honest.said("ping 5000 rounds") and poker.ended[:2] == ("EXIT", 0),
              "H-21 bells rung for ever: the other client gets its answers",
              *[f"{g.number}: {g.lines} {g.ended}" for g in broker.guests])
    for line in honest.lines:
        if line.startswith("ping"):
            print(f"# {line}")
    broker.finish()


for name in FULL:
    for socket_type in ("stream", "seq"):
        attack(name, socket_type)
for name in ("head", "length", "scribble", "tail", "after"):
    attack(name, "seq", direct_server=False)
neighbours()
sys.exit(tap.done())
