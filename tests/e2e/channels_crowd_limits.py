"""The tests of test_channels_crowd_limits.sh: what guests are told when there is no more,
and that they are told soon. usage: channels_crowd_limits.py BUILD FOLDER GUESTS"""
import os
import re
import sys
import time

from session_rig import *
from vmmctl import Tap

BUILD, FOLDER, GUESTS = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
CHAN, CAPS = os.path.join(GUESTS, "chan.elf"), os.path.join(GUESTS, "caps.elf")
ENOBUFS = "connect: 105"
tap = Tap()


def run(s, name, program, args, **sections):
    s.start(name, program, args, **sections)
    answer = s.control.call("wait", guest=name, timeout_ms=20000, timeout=25)
    return answer.get("exit_code"), s.log(name)


def budgets(s):
    s.start("echo", CHAN, "serve 10 stream count=0 threads quiet echo", provides=["echo = 10 stream"])
    s.wait_state("echo", "ready")
    for name, options, limits, fit in (("the guest's buffer", "", ["buffer = 40K"], (1, 3)),
                                       ("the grant's buffer", "buffer=40K", [], (1, 3)),
                                       ("the grant's connections", "connections=2", [], (2, 2)),
                                       ("the guest's connections", "", ["connections = 1"], (1, 1))):
        began = time.monotonic()
        code, log = run(s, "user", CHAN, "connect echo stream conns=5 ping 10 64",
                        uses=[f"echo = {options}"], limits=limits)
        made = log.count("connected")
        tap.check(fit[0] <= made <= fit[1] and ENOBUFS in log and time.monotonic() - began < 5 and
                  log.count("ping 10 rounds") == made,
                  f"{name} is used up: ENOBUFS, and what there is works", f"{code} {log}")
    wait_for(lambda: not s.wires())


def slots(s):
    """256 slots; the grants beyond are refused, or have no slot."""
    codes = [s.control.code("grant", guest="many", service=f"service{i}") for i in range(300)]
    code, log = run(s, "many", CAPS, "slots slot service0 slot service299")
    found = re.search(r"slots (\d+)", log)
    tap.check(found and int(found[1]) == min(256, codes.count("ok")) and set(codes) <= {"ok", "limit"},
              "a table of slots that is full", f"{ {c: codes.count(c) for c in codes} } {log[-200:]}")
    tap.check(re.search(r"^slot \d+$", log, re.M) and "slot: 2" in log.splitlines()[-1],
              "the first is there, the one beyond is not granted: ENOENT", log[-200:])


def circle(s):
    """Each is started by the other's connect, and waits for it before it is ready."""
    for name, other in (("one", "two"), ("two", "one")):
        s.control.ask("add", manifest=s.manifest(
            name, CAPS, f"connect {other} stream serve {name} stream accept",
            provides=[f"{name} = 10 stream"], uses=[f"{other} ="],
            lifecycle=["start = demand", "start-timeout = 500ms"]))
    began = time.monotonic()
    answer = s.control.call("connect", service="one", timeout_ms=8000)
    took = time.monotonic() - began
    tap.check(took < 4, f"guests that wait for each other's readiness: an answer in {took:.1f} s",
              answer, s.log("one"), s.log("two"))
    over = wait_for(lambda: all(g["state"] not in ("starting",) for g in s.control.ask("ps")["guests"]), 5)
    tap.check(over, "and nobody waits on", s.control.ask("ps")["guests"])


def main():
    for function in (budgets, slots, circle):
        folder = os.path.join(FOLDER, function.__name__)
        os.mkdir(folder)
        s = Session(BUILD, folder)
        try:
            function(s)
        finally:
            status, error = s.end()
            tap.check(status == 0 and not error, f"{function.__name__}: the session ends in order",
                      f"{status} {error!r}")
    sys.exit(tap.done())


main()
