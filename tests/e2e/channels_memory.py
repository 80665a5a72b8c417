"""The tests of test_channels_memory.sh: memory that guests create and offer, seen from
VMMs that the test speaks for. usage: channels_memory.py BUILD FOLDER"""
import fcntl
import mmap
import os
import struct
import sys

from session_rig import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
tap = Tap()
MIB = 1 << 20
EAGAIN, EPERM, ENOENT, EEXIST, EBUSY, EINVAL, ENOSPC, ENOBUFS, EDQUOT = (
    -11, -1, -2, -17, -16, -22, -28, -105, -122)


def mapping(v, status=0, offset=0x1000, timeout=5):
    """Does what a VMM does with MEM_MAP: (fields, fd)."""
    got = v.expect(MEM_MAP, timeout)
    if not got:
        return None, None
    mem, size, _, flags, _ = struct.unpack("<QQQIi", got[0])
    v.send(MEM_MAPPED, struct.pack("<QQQIi", mem, size, offset, flags, status))
    return dict(mem=mem, bytes=size, flags=flags), got[1][0]


def unmapping(v, timeout=5):
    """The number in the next MEM_UNMAP, or None. It is obeyed when STATS is answered."""
    got = v.expect(MEM_UNMAP, timeout)
    return struct.unpack_from("<Q", got[0])[0] if got else None


def create(v, t, size, offset=0x1000):
    t.send("MEM_CREATE", bytes=size)
    fields, fd = mapping(v, offset=offset)
    return t.receive(), fields, fd


def accept(v, t, ports, offset=0x1000, flags=WAIT):
    t.send("MEM_ACCEPT", flags=flags, **ports)
    fields, fd = mapping(v, offset=offset)
    return t.receive(), fields, fd


class Pair:
    """Two connected puppets with their conversations."""

    def __init__(self, s, tag="", **more):
        self.b = s.puppet("b" + tag, provides=[f"svc{tag} = 10 stream"])
        self.a = s.puppet("a" + tag, uses=[f"svc{tag} ="], **more)
        at_a, at_b = wired(self.a, self.b, "svc" + tag)
        self.conn = at_a["conn"]
        self.ta, self.tb = self.a.talk(), self.b.talk()
        self.pa = dict(local_port=40001, peer_port=self.a.slot("svc" + tag))
        self.pb = dict(local_port=10, peer_port=0x40000000 | at_b["conn"])


def creating(s, p):
    made, asked, fd = create(p.a, p.ta, 10000)
    tap.check(made["status"] == 0 and made["bytes"] == 12288 and made["offset"] == 0x1000 and
              asked["mem"] == made["mem"] and asked["flags"] == 0 and fcntl.fcntl(fd, 1034) & 7 == 7,
              "memory is made in whole pages, sealed and mapped", f"{made} {asked}")
    got = [p.ta.call("MEM_CREATE", bytes=n)["status"] for n in (0, 65 * MIB, 2 ** 64 - 1, 64 * MIB)]
    tap.check(got == [EINVAL, EDQUOT, EDQUOT, EDQUOT], "nothing, or more than the quota: EINVAL, EDQUOT",
              f"{got}")
    p.ta.send("MEM_CREATE", bytes=4096)
    mapping(p.a, status=-28)
    full = p.ta.receive()
    tap.check(full["status"] == ENOSPC, "a full window: ENOSPC", f"{full}")
    rest = 64 * MIB - 12288
    big, _, fd2 = create(p.a, p.ta, rest)
    none = p.ta.call("MEM_CREATE", bytes=4096)["status"]
    p.ta.call("MEM_RELEASE", mem=big["mem"])
    gone = unmapping(p.a)
    p.a.is_alive(0.2)
    again, _, fd3 = create(p.a, p.ta, rest)
    tap.check(big["status"] == 0 and none == EDQUOT and gone == big["mem"] and again["status"] == 0,
              "the quota is used to the byte, and given back", f"{big} {none} {again}")
    p.ta.call("MEM_RELEASE", mem=again["mem"])
    p.ta.call("MEM_RELEASE", mem=made["mem"])
    tap.check(p.ta.call("MEM_RELEASE", mem=made["mem"])["status"] == ENOENT and
              p.ta.call("MEM_RELEASE", mem=99)["status"] == ENOENT, "released twice: ENOENT")
    p.a.is_alive(0.2)
    p.a.waiting.clear()
    for f in (fd, fd2, fd3):
        os.close(f)


def offering(s, p):
    made, _, fd = create(p.a, p.ta, 8192)
    ours = mmap.mmap(fd, 8192)
    ours[:5] = b"hello"
    tap.check(p.tb.call("MEM_ACCEPT", **p.pb)["status"] == EAGAIN, "nothing was offered: EAGAIN")
    tap.check(p.b.expect(MEM_MAP, 0.05) is None, "and nothing is mapped before it is accepted")
    bad = [p.ta.call("MEM_OFFER", mem=made["mem"], flags=READ_ONLY | MOVE, **p.pa)["status"],
           p.ta.call("MEM_OFFER", mem=77, **p.pa)["status"],
           p.ta.call("MEM_OFFER", mem=made["mem"], local_port=1, peer_port=2)["status"],
           p.tb.call("MEM_OFFER", mem=made["mem"], **p.pb)["status"]]
    tap.check(bad == [EINVAL, ENOENT, ENOENT, ENOENT],
              "offers of what one has not, or nowhere, are refused", f"{bad}")
    p.tb.send("MEM_ACCEPT", flags=WAIT, **p.pb)
    p.ta.call("MEM_OFFER", mem=made["mem"], flags=READ_ONLY, **p.pa)
    asked, theirs = mapping(p.b, offset=0x5000)
    got = p.tb.receive()
    view = mmap.mmap(theirs, 8192, prot=mmap.PROT_READ)
    tap.check(got["status"] == 0 and got["mem"] == made["mem"] and got["bytes"] == 8192 and
              got["offset"] == 0x5000 and got["flags"] == READ_ONLY and asked["flags"] == 1 and
              view[:5] == b"hello", "who waits gets it, read-only", f"{got}")
    try:
        mmap.mmap(theirs, 8192, prot=mmap.PROT_WRITE | mmap.PROT_READ)
        writable = True
    except OSError:
        writable = False
    try:
        os.write(theirs, b"x")
        writable = True
    except OSError:
        pass
    tap.check(not writable and fcntl.fcntl(theirs, fcntl.F_GETFL) & 3 == os.O_RDONLY,
              "H-34 a compromised VMM can't write what is read-only")
    tap.check(p.tb.call("MEM_OFFER", mem=made["mem"], **p.pb)["status"] == EPERM and
              p.tb.call("MEM_REVOKE", mem=made["mem"])["status"] == EPERM,
              "only the owner offers and revokes: EPERM")
    p.ta.send("MEM_REVOKE", mem=made["mem"])
    early = p.ta.receive(0.2)
    gone = unmapping(p.b)
    p.b.is_alive(0.2)
    done = p.ta.receive()
    tap.check(early is None and gone == made["mem"] and done["status"] == 0,
              "revoking is answered when the other one has lost it", f"{early} {gone} {done}")
    tap.check(p.tb.call("MEM_RELEASE", mem=made["mem"])["status"] == ENOENT,
              "which then has nothing to release")
    p.ta.call("MEM_OFFER", mem=made["mem"], **p.pa)
    got, asked, theirs2 = accept(p.b, p.tb, p.pb, flags=0)
    shared = mmap.mmap(theirs2, 8192)
    shared[0:1] = b"J"
    tap.check(got["status"] == 0 and asked["flags"] == 0 and ours[:5] == b"Jello",
              "without flags it is shared by both", f"{got}")
    p.ta.call("MEM_RELEASE", mem=made["mem"])
    unmapping(p.a)
    p.a.is_alive(0.1)
    tap.check(p.b.expect(MEM_UNMAP, 0.2) is None, "it lives as long as its last mapping")
    p.tb.call("MEM_RELEASE", mem=made["mem"])
    tap.check(unmapping(p.b) == made["mem"], "and ends with that")
    p.b.is_alive(0.1)
    for f in (fd, theirs, theirs2):
        os.close(f)


def moving(s, p):
    made, _, fd = create(p.a, p.ta, 4096)
    p.tb.send("MEM_ACCEPT", flags=WAIT, **p.pb)
    p.ta.call("MEM_OFFER", mem=made["mem"], flags=MOVE, **p.pa)
    early = p.b.expect(MEM_MAP, 0.3)
    gone = unmapping(p.a)
    p.a.is_alive(0.2)
    asked, theirs = mapping(p.b)
    got = p.tb.receive()
    tap.check(early is None and gone == made["mem"] and got["status"] == 0 and got["mem"] == gone,
              "moved: the sender has surely lost it before the receiver gets it",
              f"{early} {gone} {got}")
    tap.check(p.ta.call("MEM_OFFER", mem=made["mem"], **p.pa)["status"] == ENOENT and
              p.ta.call("MEM_RELEASE", mem=made["mem"])["status"] == ENOENT and
              p.tb.call("MEM_OFFER", mem=made["mem"], flags=READ_ONLY, **p.pb)["status"] == 0,
              "it belongs to the receiver now")
    tap.check(p.tb.call("MEM_OFFER", mem=made["mem"], flags=MOVE, **p.pb)["status"] == EBUSY,
              "what is offered to somebody can't be moved: EBUSY")
    back, _, fd2 = accept(p.a, p.ta, p.pa)
    tap.check(back["status"] == 0 and back["flags"] == READ_ONLY, "an offer the other way", f"{back}")
    p.ta.call("MEM_RELEASE", mem=made["mem"])
    unmapping(p.a)
    p.a.is_alive(0.1)
    p.tb.call("MEM_RELEASE", mem=made["mem"])
    unmapping(p.b)
    p.b.is_alive(0.1)
    big, _, fd3 = create(p.b, p.tb, 60 * MIB)
    mine, _, fd4 = create(p.a, p.ta, 8 * MIB)
    p.ta.call("MEM_OFFER", mem=mine["mem"], flags=MOVE, **p.pa)
    unmapping(p.a)
    p.a.is_alive(0.2)
    over = p.tb.call("MEM_ACCEPT", **p.pb)
    tap.check(over["status"] == EDQUOT, "what is moved is charged to the receiver: EDQUOT", f"{over}")
    p.tb.call("MEM_RELEASE", mem=big["mem"])
    unmapping(p.b)
    p.b.is_alive(0.1)
    got, _, fd5 = accept(p.b, p.tb, p.pb)
    room, _, fd6 = create(p.a, p.ta, 64 * MIB)
    tap.check(got["status"] == 0 and room["status"] == 0, "the offer stays, and the sender's quota is free",
              f"{got} {room}")
    for f in (fd, theirs, fd2, fd3, fd4, fd5, fd6):
        os.close(f)


def limits(s, p):
    made, _, fd = create(p.a, p.ta, 4096)
    got = [p.ta.call("MEM_OFFER", mem=made["mem"], **p.pa)["status"] for _ in range(65)]
    tap.check(got == [0] * 64 + [ENOBUFS], "64 offers wait at an end, no more: ENOBUFS", f"{got}")
    first, _, fd2 = accept(p.b, p.tb, p.pb)
    rest = [p.tb.call("MEM_ACCEPT", **p.pb) for _ in range(63)]
    tap.check(all(r["status"] == 0 and r["offset"] == first["offset"] for r in rest) and
              p.tb.call("MEM_ACCEPT", **p.pb)["status"] == EAGAIN,
              "the same memory again is the same mapping")
    p.ta.call("MEM_OFFER", mem=made["mem"], flags=READ_ONLY, **p.pa)
    tap.check(p.tb.call("MEM_ACCEPT", **p.pb)["status"] == EEXIST, "with other rights: EEXIST")
    many = 0
    while True:
        p.ta.send("MEM_CREATE", bytes=4096)
        fields, f = mapping(p.a, timeout=0.3)
        answer = p.ta.receive()
        if answer["status"]:
            break
        os.close(f)
        many += 1
    tap.check(many == 255 and answer["status"] == ENOBUFS, "256 mappings of one guest: ENOBUFS",
              f"{many} {answer}")
    os.close(fd)
    os.close(fd2)


def dying(s, p):
    made, _, fd = create(p.a, p.ta, 4096)
    p.ta.call("MEM_OFFER", mem=made["mem"], **p.pa)
    got, _, fd2 = accept(p.b, p.tb, p.pb)
    other, _, fd3 = create(p.a, p.ta, 4096)
    p.ta.call("MEM_OFFER", mem=other["mem"], flags=READ_ONLY, **p.pa)
    p.a.sock.close()
    os.kill(p.a.pid, 9)
    gone = unmapping(p.b)
    tap.check(gone == made["mem"], "the owner dies: the memory is taken away from who has it", f"{gone}")
    tap.check(p.tb.call("MEM_ACCEPT", **p.pb)["status"] == ENOENT, "and what it offered is gone")
    p.b.is_alive(0.2)
    q = Pair(s, "2")
    made, _, fd4 = create(q.a, q.ta, 4096)
    q.ta.call("MEM_OFFER", mem=made["mem"], flags=MOVE, **q.pa)
    unmapping(q.a)
    q.a.is_alive(0.1)
    q.b.state(q.conn, CLOSED)
    q.a.closed()
    q.a.state(q.conn, CLOSED)
    wait_for(lambda: all(w["conn"] != q.conn for w in s.wires()))
    full, _, fd5 = create(q.a, q.ta, 64 * MIB)
    tap.check(full["status"] == 0, "what is on its way when the connection ends is gone", f"{full}")
    q.ta.call("MEM_RELEASE", mem=full["mem"])
    q.a.is_alive(0.1)
    r = Pair(s, "3")
    made, _, fd6 = create(r.a, r.ta, 4096)
    r.ta.call("MEM_OFFER", mem=made["mem"], **r.pa)
    r.tb.send("MEM_ACCEPT", **r.pb)
    asked = r.b.expect(MEM_MAP)
    r.ta.send("MEM_REVOKE", mem=made["mem"])
    lost = r.tb.receive()
    early = r.ta.receive(0.2)
    r.b.send(MEM_MAPPED, struct.pack("<QQQIi", made["mem"], 4096, 0x1000, 0, 0))
    gone = unmapping(r.b)
    r.b.is_alive(0.2)
    done = r.ta.receive()
    tap.check(lost["status"] == ENOENT and early is None and gone == made["mem"] and
              done["status"] == 0, "revoked while it is being mapped: it is unmapped again",
              f"{lost} {early} {gone} {done}")
    q = Pair(s, "4")
    made, _, fd7 = create(q.a, q.ta, 4096)
    os.close(fd7)
    q.ta.call("MEM_OFFER", mem=made["mem"], **q.pa)
    q.tb.send("MEM_ACCEPT", **q.pb)
    q.b.expect(MEM_MAP)
    q.ta.send("MEM_REVOKE", mem=made["mem"])
    ended = q.b.was_ended()
    q.b.exit()
    done = q.ta.receive()
    tap.check(ended and done and done["status"] == 0,
              "H-34 a VMM that answers what comes after MEM_MAP, but not that, is ended", f"{done}")
    r.ta.send("MEM_CREATE", bytes=4096)
    asked = r.a.expect(MEM_MAP)
    r.ta.sock.close()
    mem, = struct.unpack_from("<Q", asked[0])
    r.a.send(MEM_MAPPED, struct.pack("<QQQIi", mem, 4096, 0x2000, 0, 0))
    t = r.a.talk()
    tap.check(t.call("MEM_RELEASE", mem=mem)["status"] == 0, "the asker hangs up meanwhile: no harm")
    for f in (fd, fd2, fd3, fd4, fd5, fd6):
        os.close(f)


def main():
    for function in (creating, offering, moving, limits, dying):
        folder = os.path.join(FOLDER, function.__name__)
        s = puppet_session(BUILD, folder)
        try:
            function(s, Pair(s))
        finally:
            status, error = s.end()
            tap.check(status == 0 and not error, f"{function.__name__}: the session ends in order",
                      f"status {status}, {error!r}")
    sys.exit(tap.done())


main()
