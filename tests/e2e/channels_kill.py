"""The tests of test_channels_kill.sh: guests, their VMMs and the session are killed at
random instants of transfers between guests (tests/guest/rounds.c), round after round.
usage: channels_kill.py BUILD FOLDER GUESTS ROUNDS [SEED [FIRST]]

Every round opens a stream and a seqpacket transfer on each path, some out, some in, kills
one thing, and then looks at what each end that lives says."""
import collections
import os
import random
import re
import signal
import sys
import time

from session_rig import *
from vmmctl import Tap

BUILD, FOLDER, GUESTS = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
ROUNDS = int(sys.argv[4])
SEED = int(sys.argv[5]) if len(sys.argv) > 5 else random.randrange(1 << 31)
FIRST = int(sys.argv[6]) if len(sys.argv) > 6 else 0
PROGRAM = os.path.join(GUESTS, "rounds.elf")
SERVICES = {"sd": ("stream", ""), "ss": ("stream", "rate=1G"),
            "qd": ("seqpacket", ""), "qs": ("seqpacket", "rate=1G")}
VICTIMS = (["opener"] * 5 + ["acceptor"] * 4 + ["both"] + ["session"] * 3 + ["session and opener"] +
           ["program"] * 2 + ["grant"] * 2 + ["quit"] * 3)
TO_THE_END = ("session", "grant")  # after these, transfers go on
ALL_WELL = re.compile(r"(out|in) (\d+) (?:sent|got) (\d+)(?: acked (\d+))? reason (\d+) errno (\d+) (\w+)")
# What a connect may say while things are killed: docs/channels.md.
REFUSED = {13, 100, 101, 104, 105, 110, 111, 116}
IDLE_EVERY = 20
tap = Tap()


class Output:
    """A file that a guest writes to; what is new in it."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_APPEND, 0o600)
        self.at, self.rest, self.lines = 0, "", []

    def more(self):
        data = os.pread(self.fd, 1 << 20, self.at)
        self.at += len(data)
        *lines, self.rest = (self.rest + data.decode()).split("\n")
        self.lines += lines
        return self.lines

    def close(self):
        os.close(self.fd)


class Results:
    """What one end said of the transfers of a round."""

    def __init__(self, lines, numbers):
        self.begun, self.ended, self.refused, self.odd = set(), {}, {}, []
        for line in lines:
            m = ALL_WELL.fullmatch(line)
            words = line.split()
            if m and int(m[2]) in numbers:
                self.ended[int(m[2])] = {"way": m[1], "bytes": int(m[3]), "acked": m[4] and int(m[4]),
                                         "reason": REASONS[int(m[5])], "errno": int(m[6]), "word": m[7]}
            elif m:
                continue
            elif words and words[0] in ("open", "accepted") and len(words) == 2:
                self.begun.add(int(words[1]))
            elif words and words[0] == "refused" and len(words) == 3:
                self.refused[int(words[1])] = int(words[2])
            elif line:
                self.odd.append(line)
        self.begun &= numbers

    def is_complete(self):
        return self.begun <= set(self.ended)


class Rounds:
    def __init__(self):
        self.s = Session(BUILD, FOLDER)
        self.random = random.Random(SEED)
        self.pids, self.wrong = set(), []
        self.count = collections.Counter()
        self.bytes = 0
        self.server = None
        self.before = {}  # of a process: its descriptors when it was idle first
        self.memory = {}

    def complain(self, *what):
        self.wrong.append(" ".join(map(str, what)))
        print("#", *what, flush=True)

    # ---- guests -----------------------------------------------------------------------

    def start(self, name, args, **sections):
        output = Output(os.path.join(FOLDER, name + ".out"))
        null = os.open(os.devnull, os.O_RDWR)
        self.s.control.ask("start", fds=(null, output.fd, output.fd),
                           manifest=self.s.manifest(name, PROGRAM, args, **sections))
        os.close(null)
        return output

    def start_server(self):
        specs = " ".join(f"{n}:{'seq' if t == 'seqpacket' else 'stream'}" for n, (t, _) in SERVICES.items())
        self.server = self.start("server", "serve " + specs, provides=[
            f"{n} = {10 + i} {t}" for i, (n, (t, _)) in enumerate(SERVICES.items())])
        if not self.s.wait_state("server", "ready"):
            raise RuntimeError("no server")
        self.pids.add(self.s.guest("server")["pid"])

    def start_opener(self, first, total, retry, quit):
        specs = " ".join(f"{n}:{'seq' if t == 'seqpacket' else 'stream'}:{self.random.choice(['out', 'in'])}"
                         for n, (t, _) in SERVICES.items())
        return self.start("opener", f"open {first} {total} {retry} {quit} {specs}",
                          uses=[f"{n} = {o}" for n, (_, o) in SERVICES.items()])

    def pid(self, name):
        g = self.s.guest(name)
        if g and g["pid"] > 0 and g["state"] in ("running", "ready", "starting"):
            self.pids.add(g["pid"])
            return g["pid"]
        return None

    def kill_pid(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, TypeError):
            pass

    # ---- one round ----------------------------------------------------------------------

    def pause(self):
        """Often at once, often in the middle, seldom late."""
        time.sleep(self.random.choice([0.002, 0.015, 0.04, 0.08]) * self.random.random())

    def kill(self, victim, opener):
        """Kills it at some instant; the transfers that were open before."""
        pids = {n: self.pid(n) for n in ("opener", "server")}
        if self.random.random() < 0.6:  # the others: somewhere in the launch or the connects
            wait_for(lambda: len(Results(opener.more(), self.numbers).begun) == len(SERVICES), 5, 0.001)
        self.pause()
        opened = Results(opener.more(), self.numbers).begun
        if victim in ("opener", "both"):
            self.kill_pid(pids["opener"])
        if victim in ("acceptor", "both"):
            self.kill_pid(pids["server"])
        elif victim == "program":
            self.s.control.call("kill", guest="opener")
        elif victim == "grant":
            self.s.control.call("revoke", guest="opener", service=self.random.choice(list(SERVICES)))
        elif victim.startswith("session"):
            self.s.crash()
            if victim != "session":
                self.kill_pid(pids["opener"])
            self.pause()
            self.s.begin()
            self.before.pop("session", None)
        return opened

    def round(self, index, victim=None):
        self.random.seed(SEED * 1000003 + index)
        victim = victim or self.random.choice(VICTIMS)
        self.count[victim] += 1
        self.numbers = set(range(index * 16 + 1, index * 16 + 1 + len(SERVICES)))
        total = int(2 ** self.random.uniform(16, 22 if victim in TO_THE_END else 30))
        quit = self.random.randrange(1, 60) if victim == "quit" else 0
        if not self.server:
            self.start_server()
        opener = self.start_opener(index * 16 + 1, total, 10000 if victim == "session" else 0, quit)
        opened = self.kill(victim, opener)
        said = self.settle(f"round {index} ({victim})", victim, opener)
        self.judge(f"round {index} ({victim}, {total} bytes)", victim, total, opened, *said)
        opener.close()
        if victim in ("acceptor", "both"):
            self.wait_gone("server", index)
            self.server.close()
            self.server = None
        elif self.server:
            self.server.lines.clear()

    def wait_gone(self, name, index):
        over = ("ended", "failed", "added")
        if not wait_for(lambda: (self.s.guest(name) or {"state": "ended"})["state"] in over, 10):
            self.complain(f"round {index}: {name} does not end: {self.s.guest(name)}")

    def settle(self, name, victim, opener):
        """Until whoever lives has said all there is: what both ends said."""
        opener_lives = victim not in ("opener", "both", "program", "session and opener")
        server_lives = victim not in ("acceptor", "both")

        def done():
            a, b = Results(opener.more(), self.numbers), Results(self.server.more(), self.numbers)
            if opener_lives and len(a.ended) + len(a.refused) < len(SERVICES):
                return None
            return (a, b) if not server_lives or b.is_complete() else None

        got = wait_for(done, 15, 0.003)
        if not got:
            got = Results(opener.more(), self.numbers), Results(self.server.more(), self.numbers)
            self.complain(f"{name}: not all ended after 15 s:", opener.lines, self.server.lines)
            print("#", self.s.process.poll(), self.s.wires(), self.s.control.ask("ps")["guests"])
        self.wait_gone("opener", name)
        return got

    def judge(self, name, victim, total, opened, opener, server):
        for said in (opener, server):
            for n, e in said.ended.items():
                if e["word"] in ("bad", "hang") or e["bytes"] > total:
                    self.complain(f"{name}: transfer {n}: {e}")
            if said.odd:
                self.complain(f"{name}: {said.odd}")
        for n, code in opener.refused.items():
            if code not in REFUSED or victim in ("session", "quit"):
                self.complain(f"{name}: connect of {n}: errno {code}")
        if self.server and victim not in ("acceptor", "both"):
            # One that was asked to start just before has a moment for it.
            wait_for(lambda: (self.s.guest("server") or {}).get("state") == "ready", 5, 0.01)
            g = self.s.guest("server")
            if not g or g["state"] != "ready":
                raise RuntimeError(f"{name}: the server has gone: {g}")
        for n in opener.ended.keys() & server.ended.keys():
            a, b = opener.ended[n], server.ended[n]
            sender, receiver = (a, b) if a["way"] == "out" else (b, a)
            lost = sender["bytes"] - receiver["bytes"]
            if not sender["acked"] <= receiver["bytes"] <= sender["bytes"]:
                self.complain(f"{name}: transfer {n}: {sender} but {receiver}")
            # What a program sent before it exited arrives.
            if lost and victim == "quit" and sender is a:
                self.complain(f"{name}: transfer {n}: {lost} bytes lost: {sender} and {receiver}")
            self.count["whole" if a["word"] == b["word"] == "whole" else "cut"] += 1
            self.bytes += receiver["bytes"]
        self.count["seen by one end"] += len(opener.ended.keys() ^ server.ended.keys())
        if victim == "session":
            for n, e in opener.ended.items():
                if e["word"] != "whole" and (n in opened or e["reason"] != "session"):
                    self.complain(f"{name}: transfer {n} was open, and ended: {e}", server.ended.get(n))

    # ---- what is left ---------------------------------------------------------------------

    def descriptors(self, pid):
        found = collections.Counter()
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                where = os.readlink(f"/proc/{pid}/fd/{fd}")
            except FileNotFoundError:
                continue
            found[re.sub(r"\[\d+\]", "[]", where)] += 1
        return found

    def resident(self):
        with open(f"/proc/{self.s.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def idle(self, index):
        """Between rounds nothing is left of them: in the session, in the server's VMM."""
        if not wait_for(lambda: not self.s.wires(), 8):
            self.complain(f"round {index}: connections are left: {self.s.wires()}")
        if not self.server:
            self.start_server()
        for name, pid in (("session", self.s.process.pid), ("server", self.pid("server"))):
            now = self.descriptors(pid)
            key = (name, pid)
            if key not in self.before:
                self.before[key] = now
                continue
            before = self.before[key]
            # The queues of a VMM's vsock get an eventfd each, once, when they are busy: perhaps
            # only now. It removes doorbells lazily; the session forgets within its turn.
            most = sum(before.values()) + (3 if name == "server" else 0)
            if not wait_for(lambda: sum(self.descriptors(pid).values()) <= most, 8):
                self.complain(f"after round {index}: descriptors of the {name}:", self.descriptors(pid) - before)
        self.memory.setdefault(self.s.process.pid, []).append(self.resident())

    def files(self):
        return sorted(os.path.relpath(os.path.join(d, f), self.s.directory)
                      for d, _, names in os.walk(self.s.directory) for f in names
                      if not re.fullmatch(r".*\.(log|log\.1|jsonl\.1)", f))

    def clean(self):
        """Ends all guests: what the session has then."""
        for g in self.s.control.ask("ps")["guests"]:
            self.s.control.call("kill", guest=g["name"])
            self.s.control.call("remove", guest=g["name"])
        wait_for(lambda: not self.s.control.ask("ps")["guests"])
        if self.server:
            self.server.close()
        self.server = None

    def fresh(self):
        """A session that has had its first guests, and has none."""
        self.round(0, "session")
        self.round(0, "program")  # the log of grants is open again
        self.clean()
        time.sleep(0.1)
        return self.descriptors(self.s.process.pid), self.files()


def main():
    print(f"# seed {SEED}", flush=True)
    r = Rounds()
    began = time.monotonic()
    try:
        fds, files = r.fresh()
        for index in range(FIRST, FIRST + ROUNDS):
            r.round(index)
            if index % IDLE_EVERY == IDLE_EVERY - 1:
                r.idle(index)
            if len(r.wrong) > 5:
                break
        tap.check(not r.wrong, f"{ROUNDS} rounds: nothing acknowledged is lost, nobody hangs", *r.wrong[:5])
        r.clean()
        left = wait_for(lambda: sum(r.descriptors(r.s.process.pid).values()) <= sum(fds.values()), 8)
        tap.check(left, "the session has the descriptors that it had", r.descriptors(r.s.process.pid) - fds)
        tap.check(wait_for(lambda: r.files() == files), "and its folder the same files",
                  f"{files} then {r.files()}")
        with open(f"/proc/{r.s.process.pid}/maps") as f:
            rings = [line for line in f if "memfd" in line]
        tap.check(not rings, "and it has no ring mapped", *rings)
        growth = max([m[-1] - m[0] for m in r.memory.values()] or [0])
        tap.check(growth < 4096, "its memory does not grow", f"{growth} KiB: {r.memory}")
        alive = [p for p in r.pids if os.path.exists(f"/proc/{p}/exe") and
                 wait_for(lambda: not os.access(f"/proc/{p}/exe", os.R_OK), 5) is False]
        tap.check(not alive, "no VMM is left", alive)
    finally:
        status, error = r.s.end()
        tap.check(status == 0 and not error, "the session ends in order", f"{status} {error!r}")
    print(f"# {ROUNDS} rounds in {time.monotonic() - began:.1f} s: {dict(r.count)}, "
          f"{r.bytes >> 20} MiB checked")
    sys.exit(tap.done())


main()
