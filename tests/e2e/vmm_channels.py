"""The tests of test_vmm_channels.sh: channels between real guests of real VMMs,
with vmmbroker.py for the session. usage: vmm_channels.py BUILD TMP"""
import os
import re
import signal
import struct
import sys
import time

from vmmbroker import *

BUILD = os.path.abspath(sys.argv[1])
TMP = sys.argv[2]
EXE = os.path.join(BUILD, "bin/exo-vmm")
SLOT = 0x01000001
tap = Tap()

with open(os.path.join(BUILD, "guests/test/chan.elf"), "rb") as f:
    CHAN = f.read()


def code(text):
    return bytes.fromhex(re.sub(r"#[^\n]*", "", text).replace(" ", "").replace("\n", ""))


SPIN = code("ebfe")
KINDS = {"stream": STREAM, "seq": SEQPACKET}
PATHS = {"direct": (True, True), "switched": (False, False), "direct to switched": (True, False),
         "switched to direct": (False, True)}


class Pair:
    """A guest that serves and one that connects to it."""

    def __init__(self, server, client, kind="stream", direct=(True, True), ring=65536, **options):
        self.folder = os.path.join(TMP, f"pair{Pair.count}")
        Pair.count += 1
        os.mkdir(self.folder)
        self.broker = Broker(self.folder, ring)
        self.server = Guest(self.broker, EXE, CHAN, ("serve", 80, kind, "chunk=30000", *server),
                            direct=direct[1], **options)
        ok = self.broker.until(lambda: self.server.said("listening"))
        assert ok, self.notes()
        self.client = Guest(self.broker, EXE, CHAN, ("connect", SLOT, kind, "chunk=30000",
                                                      *client),
                            direct=direct[0], **options)
        self.broker.routes[self.client, SLOT] = self.server, 80

    count = 0

    def until(self, condition, timeout=20):
        return self.broker.until(condition, timeout)

    def ended(self, timeout=20):
        return self.until(lambda: self.client.hung_up and self.server.hung_up, timeout)

    def notes(self):
        return [f"guest {g.number}: {g.lines[-6:]} {g.ended}" for g in self.broker.guests] + \
            [f"states: {self.broker.states[-6:]}"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.broker.finish()


def data():
    """Every path and socket type: a megabyte each way through a ring of 64 KiB, and rounds."""
    for path, direct in PATHS.items():
        for kind in KINDS:
            with Pair(("sink",), ("source", 1 << 20), kind, direct) as p:
                done = p.ended()
                tap.check(done and p.server.said("received 1048576 ok") and
                          p.client.said("sent 1048576") and
                          p.client.ended[:2] == p.server.ended[:2] == ("EXIT", 0),
                          f"{path}, {kind}: a megabyte from the opener", *p.notes())
                told = ["direct" if d else "queued" for d in direct]
                tap.check(p.client.said(told[0]) and p.server.said(told[1]),
                          f"{path}, {kind}: the programs know the path", *p.notes())
            with Pair(("source", 1 << 20), ("sink",), kind, direct) as p:
                tap.check(p.ended() and p.client.said("received 1048576 ok"),
                          f"{path}, {kind}: a megabyte to the opener", *p.notes())
            with Pair(("echo",), ("ping", 1000, 100), kind, direct) as p:
                tap.check(p.ended() and p.client.said("ping 1000 rounds"),
                          f"{path}, {kind}: 1,000 rounds", *p.notes())


def no_exits():
    """On the direct path neither VMM has anything to do."""
    with Pair(("echo",), ("ping", 2000000, 8)) as p:
        p.until(lambda: p.client.said("connected"))
        time.sleep(0.2)
        counts = []
        for _ in range(2):
            p.client.send(STATS_REQUEST)
            p.server.send(STATS_REQUEST)
            p.until(lambda: p.client.answers and p.server.answers)
            counts.append([struct.unpack("<Q16xQ", g.answers.pop()[1][16:48])
                           for g in (p.client, p.server)])
            if len(counts) == 1:
                time.sleep(0.3)
        busy = not p.client.said("ping")
        moved = [a - b for g in (0, 1) for a, b in zip(counts[1][g], counts[0][g])]
        tap.check(busy and max(moved) < 20, "the direct path has no exits and wakes no event loop",
                  f"{counts}", *p.notes())


def revoked():
    for path, direct in PATHS.items():
        with Pair(("slow", 1), ("flood",), "stream", direct) as p:
            ok = p.until(lambda: p.broker.conns and p.client.said("connected"))
            time.sleep(0.1)
            p.broker.revoke(1)
            ok = ok and p.ended(5)
            tap.check(ok and p.client.said("end 4") and p.server.said("end 4"),
                      f"{path}: revoked in the middle, both ends see why", *p.notes())


def killed():
    for path, direct in PATHS.items():
        for victim in (0, 1):
            with Pair(("sum",), ("flood",), "stream", direct) as p:
                ok = p.until(lambda: p.client.said("connected"))
                time.sleep(0.05)
                guests = (p.client, p.server)
                guests[victim].process.kill()
                ok = ok and p.until(lambda: guests[1 - victim].hung_up, 5)
                tap.check(ok and guests[1 - victim].said("end 3") and guests[1 - victim].ended,
                          f"{path}: a VMM is killed, the {('acceptor', 'opener')[victim]} goes on",
                          *p.notes())


def refused():
    with Pair(("echo",), ("ping", 1)) as p:
        p.broker.routes.clear()
        tap.check(p.until(lambda: p.client.hung_up) and p.client.said("connect: "),
                  "no route: refused", *p.notes())
    with Pair(("echo",), ("ping", 1)) as p:
        p.broker.routes[p.client, SLOT] = p.server, 81
        tap.check(p.until(lambda: p.client.hung_up) and p.client.said("connect: 111"),
                  "nobody listens on the port: refused", *p.notes())


def adopted():
    """The shell goes and another comes, in the middle of it: nothing is lost."""
    for path, direct in PATHS.items():
        with Pair(("echo", "count=1"), ("ping", 30000, 100), "stream", direct, outlive=True) as p:
            ok = p.until(lambda: p.client.said("connected"))
            for g in (p.client, p.server):
                g.sock.close()
            time.sleep(0.1)
            hellos = [g.adopt() for g in (p.client, p.server)]
            for g, (hello, fds, channels) in zip((p.client, p.server), hellos):
                number, name, started, pid, ready = struct.unpack("<Q64sQII", hello[1][16:])
                ok = ok and hello[0] == HELLO and number == g.number and name[:5] == b"test\0" and \
                    pid == g.pid and ready == (g is p.server) and \
                    fds == ["anon_inode:[eventfd]"] * 2
                ok = ok and [(c[0], c[1]) for c in channels] == [(1001, 1)] and channels[0][3] > 0
            tap.check(ok, f"{path}: HELLO and CHANNELS to the second shell", f"{hellos}",
                      *p.notes())
            tap.check(p.ended(30) and p.client.said("ping 30000 rounds"),
                      f"{path}: the channel went on", *p.notes())


def nobody_listens():
    with Pair(("echo",), ("retry=1", "ping", 1), outlive=True) as p:
        p.client.sock.close()  # before it asks
        p.client.hung_up = True
        p.until(lambda: p.client.said("connect"), 5)
        tap.check(p.client.said("connect: 100"), "a request while there is no shell: ENETDOWN",
                  *p.notes())


for test in (data, no_exits, revoked, killed, refused, adopted, nobody_listens):
    test()
sys.exit(tap.done())
