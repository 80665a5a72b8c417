"""The tests of test_channels_flood.sh: a guest floods its session, its VMM and its peer in
every way it has (tests/guest/flood.c, H-21), while another pair measures its round trips.
usage: channels_flood.py BUILD FOLDER GUESTS"""
import os
import re
import sys
import time

from session_rig import *
from vmmctl import Tap

BUILD, FOLDER, GUESTS = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
CHAN, FLOOD = os.path.join(GUESTS, "chan.elf"), os.path.join(GUESTS, "flood.elf")
KINDS = "connect half tiny bells ask rude delegate memory".split()
PING = re.compile(r"ping (\d+) rounds p50 (\d+) p99 (\d+) p999 (\d+) max (\d+)")
FDS_MORE, KIB_MORE = 600, 48 << 10  # what a flood may cost: 64 connects, 64 connections, …
tap = Tap()


def usage(pid):
    """Descriptors; KiB of its own (not rings and guests' memory, which are shared)."""
    with open(f"/proc/{pid}/status") as f:
        kib = int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])
    return len(os.listdir(f"/proc/{pid}/fd")), kib


def end_of(s, name, seconds=60):
    answer = s.control.call("wait", guest=name, timeout_ms=seconds * 1000, timeout=seconds + 5)
    return answer.get("exit_code"), s.log(name)


def ping(s, rounds):
    s.start("watcher", CHAN, f"connect 77 stream timeout=40000 quiet ping {rounds} 8", uses=["near = port=77"])
    code, log = end_of(s, "watcher")
    m = PING.search(log)
    return [int(n) for n in m.groups()] if m and code == 0 else None, log


class Peak:
    """The most that a process had."""

    def __init__(self, pid):
        self.pid, self.before = pid, usage(pid)
        self.most = self.before

    def look(self, may_end=False):
        try:
            self.most = tuple(map(max, self.most, usage(self.pid)))
        except (FileNotFoundError, ProcessLookupError, TypeError):  # the last: a zombie has no size
            if not may_end:
                raise

    def more(self):
        return tuple(a - b for a, b in zip(self.most, self.before))


def flood(s, kinds, seconds, rounds):
    """One flood; the neighbour's round trips meanwhile, or None."""
    s.start("flood", FLOOD, f"door {seconds} {' '.join(kinds)}", uses=["door = delegate"],
            limits=["grants = 8M"])
    wait_for(lambda: "flooding" in s.log("flood"))
    peaks = {n: Peak(s.guest(n)["pid"]) for n in ("near", "door", "flood")}
    peaks["session"] = Peak(s.process.pid)
    measured, end = [], time.monotonic() + seconds - 0.2
    while time.monotonic() < end or not measured:
        got, log = ping(s, rounds)
        if not got:
            return None, peaks, log
        measured.append(got)
        for name, p in peaks.items():
            if name != "flood" or (s.guest("flood") or {}).get("state") in ("running", "ready"):
                p.look(may_end=name == "flood")
    code, log = end_of(s, "flood")
    measured.sort(key=lambda m: m[2])
    if code:
        log = f"exit {code}: {log} {s.guest('flood')}"
    return measured[len(measured) // 2], peaks, log


def bounded(peaks):
    return {n: p.more() for n, p in peaks.items() if p.more()[0] > FDS_MORE or p.more()[1] > KIB_MORE}


def main():
    s = Session(BUILD, FOLDER)
    try:
        s.start("near", CHAN, "serve 10 stream count=0 threads quiet echo", provides=["near = 10 stream"])
        s.start("door", CHAN, "serve 10 stream count=0 threads quiet echo", provides=["door = 10 stream"])
        for name in ("near", "door"):
            s.wait_state(name, "ready")
        quiet, log = ping(s, 5000)
        flood(s, KINDS, 1, 500)  # what is allocated once
        before = usage(s.process.pid)
        tap.check(quiet, "two guests talk", log)
        for kinds, seconds in [([k], 1) for k in KINDS] + [(KINDS, 3)]:
            name = kinds[0] if len(kinds) == 1 else "all of it"
            got, peaks, log = flood(s, kinds, seconds, 2000)
            did = re.findall(r"^(\w+) (\d+) (\d+)$", log, re.M)
            tap.check(got and did and not log.startswith("exit"), f"H-21 {name}: a neighbour goes on",
                      f"{got} {log}")
            over = bounded(peaks)
            tap.check(not over, f"H-21 {name}: session and VMMs stay within bounds", over)
            if got and quiet:
                print(f"# {name}: neighbour's p50 {got[1]} p99 {got[2]} ns, without {quiet[1]} and "
                      f"{quiet[2]}: {got[2] / quiet[2]:.2f}; done and refused:", *did)
        # A half-closed connection counts for 5 s.
        back = wait_for(lambda: not s.wires() and usage(s.process.pid)[0] <= before[0] + 8, 12)
        tap.check(back, "afterwards the session has what it had before",
                  f"{before} then {usage(s.process.pid)} {s.wires()}")
        grants = [g for g in s.control.ask("wires")["grants"] if g["origin"] == "guest"]
        tap.check(not grants, "and no grant of the flood is left", grants[:3])
        again, log = ping(s, 5000)
        tap.check(again, "and its guests talk", log)
    finally:
        status, error = s.end()
        tap.check(status == 0 and not error, "the session ends in order", f"{status} {error!r}")
    sys.exit(tap.done())


main()
