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


with open(os.path.join(BUILD, "guests/test/window.elf"), "rb") as f:
    WINDOW = f.read()


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
    with Pair(("echo",), ("ping", 8000000, 8)) as p:
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


def last_words():
    """How a guest ended is heard also if its VMM left something unread: here one of two messages."""
    fake = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fakevmm.py")
    broker = Broker(TMP)
    guests = [Guest(broker, fake, b"", ("end", "exit", status)) for status in (3, 4)]
    for g in guests:
        g.send(STATS_REQUEST)
        g.send(STATS_REQUEST)
    for g in guests:
        g.process.wait(10)
    heard = guests[1].end()[:2]
    broker.until(lambda: guests[0].hung_up)
    tap.check(guests[0].ended and guests[0].ended[:2] == ("EXIT", 3) and heard == ("EXIT", 4),
              "the end of a VMM that left a message unread is heard", f"{guests[0].ended} {heard}")
    broker.finish()


def adopted():
    """The shell goes and another comes, in the middle of it: nothing is lost."""
    for path, direct in PATHS.items():
        with Pair(("spin=0", "echo"), ("spin=0", "ping", 30000, 100), "stream", direct,
                  outlive=True) as p:
            ok = p.until(lambda: p.client.said("connected"))
            for g in (p.client, p.server):
                g.sock.close()
            time.sleep(0.1)
            hellos = [g.adopt() for g in (p.client, p.server)]
            for g, (hello, fds, channels) in zip((p.client, p.server), hellos):
                number, name, started, pid, ready = struct.unpack("<Q64sQII8x", hello[1][16:])
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
        tap.check(p.client.said("connect: 100") and p.client.said(f"end {R_SESSION}"),
                  "a request while there is no shell: ENETDOWN", *p.notes())
    with Pair(("echo",), ("ping", 1), outlive=True) as p:
        while p.client.receive()[0] != VSOCK_REQUEST:
            pass
        p.client.sock.close()  # without an answer
        p.client.hung_up = True
        p.until(lambda: p.client.said("connect"), 5)
        tap.check(p.client.said("connect: 100"), "a shell that goes without an answer: ENETDOWN",
                  *p.notes())


def one_shell_after_the_other():
    folder = os.path.join(TMP, "shells")
    os.mkdir(folder)
    path = os.path.join(folder, "listen")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(4)
    vmm = Vmm(EXE, elf(SPIN), flags=OUTLIVE, listen=listener.fileno(), guest=5).wait_started()
    listener.close()
    hellos = []
    before = None
    for n in range(5):
        other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        other.connect(path)
        other.settimeout(0.1)
        try:
            early = other.recv(8192)
        except TimeoutError:
            early = None
        vmm.sock.close()
        vmm.sock = other
        hellos.append((early, vmm.receive()[0], vmm.received, vmm.receive()[0]))
        fds = len(os.listdir(f"/proc/{vmm.pid}/fd"))
        before = before or fds
    tap.check(hellos == [(None, HELLO, [], CHANNELS)] * 5 and fds == before,
              "one shell after the other, and only one at a time", f"{hellos} {before} {fds}")
    vmm.send(STATS_REQUEST, size=3)
    end = vmm.end()
    tap.check(end[0] == "KILLED" and "not one of ours" in end[2],
              "H-34 a later shell is not believed more than the first", f"{end}")
    vmm.finish()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path + "2")
    listener.listen(4)
    vmm = Vmm(EXE, elf(code("b900f00000 f390 e2fc") + EXIT42), flags=OUTLIVE,
              listen=listener.fileno()).wait_started()
    listener.close()
    vmm.sock.close()
    tap.check(vmm.process.wait(5) in (0, 1), "a guest that ends while nobody listens is gone")
    vmm.finish()



# Copies window[0] to window[8] for ever: what it sees there, and that it may write.
COPY = code("a1000000c0 a3080000c0 ebf4")
# Reads window[0], then writes there.
WRITE = code("a1000000c0 c705 000000c0 01000000 ebfe")
# Counts at window[0].
COUNT = code("ff05000000c0 ebf8")
# The doorbell of the vsock device, in slot 2 behind console and rng, with value 1, for ever.
RING = code("c705 083100d0 01000000 ebf4")


def raw(program, name="raw", **options):
    folder = os.path.join(TMP, f"{name}{Pair.count}")
    Pair.count += 1
    os.mkdir(folder)
    broker = Broker(folder)
    return broker, Guest(broker, EXE, elf(program), **options).wait_started()


def mem_map(g, number, fd, size, flags=0):
    g.send(MEM_MAP, struct.pack("<QQQIi", number, size, 0, flags, 0), fds=(fd,))
    kind, m = g.receive()
    if kind == STARTED:
        kind, m = g.receive()
    assert kind == MEM_MAPPED, kind
    number, size, offset, flags, status = struct.unpack("<QQQIi", m[16:48])
    return status, offset


def mem_unmap(g, number):
    g.send(MEM_UNMAP, struct.pack("<QQQIi", number, 0, 0, 0, 0))


def sync(g):
    g.send(STATS_REQUEST)
    return g.receive()[0] == STATS


def seen(fd, value, timeout=1.0):
    """Puts a value where the guest copies from: does its copy appear?"""
    os.pwrite(fd, struct.pack("<I", value), 0)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if struct.unpack("<I", os.pread(fd, 4, 8))[0] == value:
            return True
    return False


def memory():
    broker, g = raw(COPY, window=2 * MIB)
    fd, other = sealed(8192), sealed(8192)
    tap.check(mem_map(g, 1, fd, 8192) == (0, 0) and seen(fd, 41), "granted memory is the guest's")
    tap.check(mem_map(g, 1, fd, 8192)[0] == -17, "the same number twice: EEXIST")
    tap.check(mem_map(g, 2, other, 8192) == (0, 8192), "the next piece lies behind it")
    mem_unmap(g, 1)
    sync(g)
    tap.check(not seen(fd, 42, 0.2) and struct.unpack("<I", os.pread(fd, 4, 8))[0] == 41,
              "what was taken away it neither sees nor changes")
    mem_unmap(g, 1)
    mem_unmap(g, 99)
    tap.check(sync(g), "taking away what is not there is nothing")
    tap.check(mem_map(g, 3, fd, 8192) == (0, 0) and seen(fd, 43), "and it can come back")
    big = sealed(2 * MIB)
    tap.check(mem_map(g, 4, big, 2 * MIB)[0] == -28, "more than the window: ENOSPC")
    for name, bad, size in (("grows", sealed(8192, seals=0x2), 8192),
                            ("shrinks", sealed(8192, seals=0x4), 8192),
                            ("is shorter", sealed(4096), 8192), ("is longer", sealed(8192), 4096),
                            ("is no memory", os.open("/dev/zero", os.O_RDWR), 4096)):
        tap.check(mem_map(g, 5, bad, size)[0] == -22, f"H-34 memory that {name}: EINVAL")
        os.close(bad)
    # As many as there may be, again and again: nothing is used up.
    statuses = {mem_map(g, 100 + i, other, 8192)[0] for i in range(200)}
    for i in range(200):
        mem_unmap(g, 100 + i)
    tap.check(statuses == {0} and mem_map(g, 6, other, 8192)[0] == 0, "200 pieces and back")
    broker.finish()

    broker, g = raw(WRITE)
    read_only = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    tap.check(sync(g), "a guest may write to its window where nothing is")
    broker.finish()
    # Mapped before the guest gets there: it is stopped before its first instruction.
    broker, g = raw(code("a1000000c0 85c0 74f7") + WRITE)
    os.pwrite(fd, struct.pack("<I", 7), 0)
    status, offset = mem_map(g, 1, read_only, 8192, 1)
    end = g.end()
    tap.check(status == 0 and end[:2] == ("FAULT", signal.SIGSEGV) and "granted to read" in end[2] and
              os.pread(fd, 4, 0) == struct.pack("<I", 7),
              f"H-32 a write to memory it may only read ends the guest: {end[2]}", f"{end} {status}")
    broker.finish()
    # The same from ring 3, which runs on the CPU itself and not in KVM's emulator.
    broker = Broker(TMP)
    g = Guest(broker, EXE, WINDOW, ("write",), window=2 * MIB)
    broker.until(lambda: g.said("window of 2097152"))
    status, offset = mem_map(g, 1, read_only, 8192, 1)
    tap.check(status == 0 and broker.until(lambda: g.hung_up) and
              g.ended[:2] == ("FAULT", signal.SIGSEGV) and "granted to read" in g.ended[2] and
              os.pread(fd, 4, 0) == struct.pack("<I", 7) and not g.said("written"),
              f"H-32 the same from ring 3: {g.ended}", *g.lines)
    broker.finish()
    broker = Broker(TMP)
    g = Guest(broker, EXE, WINDOW, ("fill",), window=16 * MIB)
    tap.check(broker.until(lambda: g.hung_up) and g.said(f"filled {16 * MIB}") and
              g.ended[:2] == ("EXIT", 0), "all of the window is memory", f"{g.ended}", *g.lines)
    broker.finish()
    for each in (fd, other, big, read_only):
        os.close(each)


def slow_shell():
    """A shell that sends and does not read: the answers wait, in order."""
    broker, g = raw(SPIN, window=16 * MIB)
    fd = sealed(4096)
    g.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    for i in range(700):
        g.send(MEM_MAP, struct.pack("<QQQIi", i + 1, 4096, 0, 0, 0), fds=(fd,))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:  # until they are all carried out
        with open(f"/proc/{g.pid}/maps") as f:
            if f.read().count("memfd:ring") >= 512:
                break
    got = []
    for i in range(700):
        kind, m = g.receive()
        got.append((kind, *struct.unpack("<Q20xi", m[16:48])))
    tap.check([x[:2] for x in got] == [(MEM_MAPPED, i + 1) for i in range(700)] and
              [x[2] for x in got] == [0] * 512 + [-28] * 188,
              "a shell that reads late gets every answer, in order", f"{got[:3]} {got[-3:]}")
    g.send(PAUSE, struct.pack("<II", 1, 0))
    tap.check(sync(g), "and goes on")
    broker.finish()
    os.close(fd)


def loud_guest():
    """More requests than a shell that does not read can take: its own question is answered."""
    with open(os.path.join(BUILD, "guests/test/flood.elf"), "rb") as f:
        flood = f.read()
    broker = Broker(TMP)
    g = Guest(broker, EXE, flood, ("0x%x" % SLOT, 60, "half"))
    while not g.said("flooding"):
        time.sleep(0.01)
        g.read_output()
    time.sleep(0.5)
    g.send(STATS_REQUEST)
    time.sleep(0.5)
    broker.until(lambda: g.answers)
    tap.check([kind for kind, _ in g.answers] == [STATS],
              "a guest's requests leave room for answers", f"{g.ended} {g.lines}")
    broker.finish()


def paused():
    broker, g = raw(COUNT)
    fd = sealed(4096)
    mem_map(g, 1, fd, 4096)
    count = lambda: struct.unpack("<I", os.pread(fd, 4, 0))[0]
    time.sleep(0.05)
    runs = count() > 0
    g.send(PAUSE, struct.pack("<II", 1, 0))
    g.send(PAUSE, struct.pack("<II", 1, 0))
    sync(g)
    at = count()
    time.sleep(1.2)  # the watchdog asks meanwhile
    tap.check(runs and count() == at and sync(g), "a paused guest stands still")
    g.send(PAUSE, struct.pack("<II", 0, 0))
    sync(g)
    time.sleep(0.05)
    tap.check(count() > at, "and goes on")
    g.send(PAUSE, struct.pack("<II", 1, 0))
    sync(g)
    g.kill()
    tap.check(g.end()[:2] == ("KILLED", 9), "a paused guest can be killed")
    broker.finish()
    os.close(fd)
    broker, g = raw(code("fa f4 ebfd"))  # halted for good: found out a quarter of a second later
    g.send(PAUSE, struct.pack("<II", 1, 0))
    sync(g)
    time.sleep(1)
    alive = g.process.poll() is None
    g.send(PAUSE, struct.pack("<II", 0, 0))
    tap.check(alive and g.end()[0] == "HALTED", "nobody is judged while paused")
    broker.finish()


def channel_payload(conn=1, request=0, port=80, kind=STREAM, side=1, flags=1, ring=65536, peer=5,
                    rate=0):
    return struct.pack("<IIIIIIIIQQ", conn, request, port, kind, side, flags, ring, peer, 0, rate)


def messages():
    """H-34's counterpart: what no shell of ours sends ends the guest, and leaves nothing open."""
    mem = lambda number=1, size=4096, offset=0, flags=0, status=0: \
        struct.pack("<QQQIi", number, size, offset, flags, status)
    two = 2
    bad = {
        "connection 0": (CHANNEL, channel_payload(conn=0), two),
        "an offer to the opener's side": (CHANNEL, channel_payload(side=0), two),
        "an answer to the acceptor's side": (CHANNEL, channel_payload(request=7), two),
        "a side that does not exist": (CHANNEL, channel_payload(side=2), two),
        "a type that does not exist": (CHANNEL, channel_payload(kind=3), two),
        "unknown flags": (CHANNEL, channel_payload(flags=2), two),
        "a rate that nobody can hold to": (CHANNEL, channel_payload(rate=1), two),
        "a ring of 3000 bytes": (CHANNEL, channel_payload(ring=3000), two),
        "a ring of 2 KiB": (CHANNEL, channel_payload(ring=2048), two),
        "a ring of 2 GiB": (CHANNEL, channel_payload(ring=1 << 31), two),
        "a channel with one fd": (CHANNEL, channel_payload(), 1),
        "a channel without fds": (CHANNEL, channel_payload(), 0),
        "a channel with three fds": (CHANNEL, channel_payload(), 3),
        "an end of connection 0": (CHANNEL_CLOSE, struct.pack("<II", 0, 1), 0),
        "an end without reason": (CHANNEL_CLOSE, struct.pack("<II", 1, 0), 0),
        "an end for a reason that does not exist": (CHANNEL_CLOSE, struct.pack("<II", 1, 15), 0),
        "memory 0": (MEM_MAP, mem(0), 1),
        "half a page": (MEM_MAP, mem(size=2048), 1),
        "no page": (MEM_MAP, mem(size=0), 1),
        "memory at a place of its choice": (MEM_MAP, mem(offset=4096), 1),
        "unknown flags of memory": (MEM_MAP, mem(flags=2), 1),
        "memory with an answer in it": (MEM_MAP, mem(status=-1), 1),
        "memory without fd": (MEM_MAP, mem(), 0),
        "an fd with what is taken away": (MEM_UNMAP, mem(), 1),
        "half a pause": (PAUSE, struct.pack("<II", 2, 0), 0),
        "a list with more to it": (CHANNELS_REQUEST, bytes(8), 0),
        "a reply for a reason that does not exist":
            (VSOCK_REPLY, vsock_payload(1, 1, status=-111, reason=15), 0),
    }
    fd = sealed(4096 + 2 * 65536)
    for name, (kind, payload, nfds) in bad.items():
        broker, g = raw(SPIN)
        g.send(kind, payload, fds=[fd] * nfds)
        end = g.end()
        tap.check(end[0] == "KILLED" and "not one of ours" in end[2], f"H-34 {name}", f"{end}")
        broker.finish()
    # Of a guest without channels nothing of the kind may come.
    for name, (kind, payload, nfds) in {"a channel": (CHANNEL, channel_payload(), 2),
                                        "memory": (MEM_MAP, mem(), 1)}.items():
        vmm = Vmm(EXE, elf(SPIN), flags=VSOCK).wait_started()
        vmm.send(kind, payload, fds=[fd] * nfds)
        end = vmm.end()
        tap.check(end[0] == "KILLED" and "not one of ours" in end[2],
                  f"H-34 {name} for a guest without channels", f"{end}")
        vmm.finish()
    # Right in form and impossible: refused, the guest goes on, no fd stays open.
    broker = Broker(TMP)
    g = Guest(broker, EXE, CHAN, ("serve", 80, "stream", "hold"))
    broker.until(lambda: g.said("listening"))
    opened = lambda: len(os.listdir(f"/proc/{g.pid}/fd"))
    before = opened()
    for ring in (sealed(4096), sealed(4096 + 2 * 65536, seals=0), os.open("/dev/null", os.O_RDWR)):
        g.send(CHANNEL, channel_payload(conn=len(broker.states) + 1), fds=(ring, g.bells[0]))
        broker.until(lambda n=len(broker.states): len(broker.states) > n, 3)
        os.close(ring)
    g.send(CHANNEL_CLOSE, struct.pack("<II", 4711, R_REVOKED))
    tap.check([s[1:3] for s in broker.states] == [(n, REFUSED) for n in (1, 2, 3)] and sync(g) and
              opened() == before, "H-34 rings that are none are refused", f"{broker.states}")
    broker.finish()
    os.close(fd)


def doorbells():
    """A doorbell of nobody's is an exit that does nothing."""
    broker, g = raw(RING)
    g.send(STATS_REQUEST)
    first = struct.unpack("<Q", g.receive()[1][16:24])[0]
    time.sleep(0.2)
    g.send(STATS_REQUEST)
    last = struct.unpack("<Q", g.receive()[1][16:24])[0]
    tap.check(last > first, "ringing nobody is an exit")
    broker.finish()


# What a guest may try with its window; after a reset the device serves again.
SERVES = """
init
queue 0 8
ok
desc 0 buf 16 2
avail 0 0
idx 1
kick
used 1
read 32 used+4 0xffffffff 0
"""
HOSTILE = {
    "H-17 a buffer in the window": """
dev 4
init
queue 0 8
ok
desc 0 0xc0000000 0x10 2
avail 0 0
idx 1
kick
status 0x40 0x40
""" + SERVES,
    "H-17 a buffer across the window's begin": """
dev 4
init
queue 0 8
ok
desc 0 0xbffffff8 0x10 2
avail 0 0
idx 1
kick
status 0x40 0x40
""" + SERVES,
    "H-12 a ring in the window": """
dev 4
init
queue 0
write 32 dev+0x38 8
write 32 dev+0x80 0xc0000000
write 32 dev+0x84 0
write 32 dev+0x44 1
read 32 dev+0x44 1 0
""" + SERVES,
    "H-18 the window's registers, and doorbells of any width and value": """
dev 19
write 32 dev+0xac 0
read 32 dev+0xb0 0xffffffff 0x200000
read 32 dev+0xb4 0xffffffff 0
read 32 dev+0xb8 0xffffffff 0xc0000000
read 32 dev+0xbc 0xffffffff 0
write 32 dev+0xac 1
read 32 dev+0xb0 0xffffffff 0xffffffff
read 32 dev+0xb8 0xffffffff 0xffffffff
write 32 dev+0xb0 0
write 32 dev+0xac 0
read 32 dev+0xb0 0xffffffff 0x200000
write 32 dev+0x108 0
write 32 dev+0x108 1
write 32 dev+0x108 0xffffffff
write 16 dev+0x108 1
write 8 dev+0x10b 1
write 32 dev+0x10c 1
write 32 dev+0x110 1
dev 4
""" + SERVES,
}


def hostile():
    with open(os.path.join(BUILD, "guests/hostile.elf"), "rb") as f:
        program = f.read()
    for name, script in HOSTILE.items():
        broker = Broker(TMP)
        reader, writer = os.pipe()
        g = Guest(broker, EXE, program, (script,), window=2 * MIB, stderr=writer)
        os.close(writer)
        tap.check(broker.until(lambda: g.hung_up) and g.ended[:2] == ("EXIT", 0), name,
                  f"{g.ended} {os.read(reader, 4096)}")
        os.close(reader)
        broker.finish()


def eventfds(g):
    fds = f"/proc/{g.pid}/fd"
    return sum("eventfd" in os.readlink(f"{fds}/{n}") for n in os.listdir(fds))


def bells_go():
    """The doorbell of an other end: at once when revoked, else a while after the last connection."""
    with Pair(("count=0", "hold"), ("hold",)) as p:
        p.until(lambda: p.client.said("holding") and p.server.said("holding"))
        before = eventfds(p.server)
        p.broker.revoke(1)
        p.server.send(STATS_REQUEST)
        p.until(lambda: p.server.answers)
        after = eventfds(p.server)
        tap.check(before - after == 1, "revoked: the doorbell is gone at once",
                  f"{before} {after}", *p.notes())
    with Pair(("count=0", "greet"), ("say", "x")) as p:
        p.until(lambda: p.client.hung_up)
        now = eventfds(p.server)
        p.until(lambda: False, 1.5)
        tap.check(now - eventfds(p.server) == 1, "closed: it goes after a while",
                  f"{now} {eventfds(p.server)}", *p.notes())


def many():
    for path in ("direct", "switched"):
        direct = PATHS[path]
        with Pair(("threads", "count=0", "echo"), ("conns=150", "ping", 20), "stream", direct, ring=4096,
                  ram=256 * MIB) as p:
            p.until(lambda: len(p.broker.conns) == 150 or p.client.hung_up, 20)
            fds = [len(os.listdir(f"/proc/{g.pid}/fd")) for g in p.broker.guests]
            tap.check(p.until(lambda: p.client.hung_up) and p.client.said("ping 20 rounds"),
                      f"{path}: 150 connections at once", f"fds {fds}", *p.notes())
            tap.check(max(fds) < 700, f"{path}: with {max(fds)} fds", f"{fds}")


for test in (data, no_exits, revoked, killed, refused, last_words, adopted, nobody_listens,
             one_shell_after_the_other, memory, slow_shell, loud_guest, paused, messages, doorbells, hostile, bells_go,
             many):
    test()
sys.exit(tap.done())
