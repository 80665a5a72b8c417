"""The tests of test_channels.sh: guests that talk, share and end, in a session.
usage: channels_guests.py BUILD FOLDER GUESTS"""
import os
import re
import signal
import socket
import sys
import time

from session_rig import *
from vmmctl import Tap

BUILD, FOLDER, GUESTS = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
CHAN, CAPS = os.path.join(GUESTS, "chan.elf"), os.path.join(GUESTS, "caps.elf")
tap = Tap()
MIB = 1 << 20


def finish(s, name, timeout=30):
    """Waits for its end: (exit code, log)."""
    answer = s.control.call("wait", guest=name, timeout_ms=timeout * 1000, timeout=timeout + 5)
    return answer.get("exit_code"), s.log(name)


def said(s, name, words, timeout=10):
    return wait_for(lambda: words in s.log(name), timeout, 0.02)


def kill_vmm(s, name):
    os.kill(s.guest(name)["pid"], signal.SIGKILL)


def transfers(s):
    for kind, word in (("stream", "stream"), ("seqpacket", "seq")):
        for way, rate in (("direct", ""), ("switched", "rate=1G")):
            tag = f"{word}-{way}"
            s.start(f"sink-{tag}", CHAN, f"serve 10 {word} chunk=5000 sink", provides=[f"s-{tag} = 10 {kind}"])
            s.start(f"source-{tag}", CHAN, f"connect 77 {word} chunk=5000 source {8 * MIB}",
                    uses=[f"s-{tag} = port=77 {',' if rate else ''}{rate}"])
            out, log = finish(s, f"source-{tag}")
            into, got = finish(s, f"sink-{tag}")
            shown = "direct" if way == "direct" else "queued"
            tap.check(out == 0 and into == 0 and f"received {8 * MIB} ok" in got and shown in log,
                      f"8 MiB over a {kind} connection, {way}", f"{out} {log} / {into} {got}")
    s.start("slow", CHAN, "serve 10 stream sum", provides=["slow = 10 stream"])
    s.start("limited", CHAN, f"connect 77 stream source {4 * MIB}", uses=["slow = port=77, rate=2M"])
    began = time.monotonic()
    w = wait_for(lambda: [w for w in s.wires() if w["from"] == "limited" and w["tx_bytes"] > MIB])
    tap.check(w and w[0]["path"] == "switched" and w[0]["tx_bytes"] <= 4 * MIB and w[0]["to"] == "slow",
              "counters of a switched connection while it runs", f"{s.wires()}")
    code, log = finish(s, "limited")
    took = time.monotonic() - began
    tap.check(code == 0 and 1.5 < took < 4, "2 MiB a second are 2 MiB a second", f"{took:.3f} s {log}")
    s.start("sipper", CHAN, "serve 10 stream chunk=8192 slow 10", provides=["sip = 10 stream"])
    s.start("pourer", CHAN, f"connect 77 stream chunk=8192 source {MIB}", uses=["sip = port=77"])
    w = wait_for(lambda: [w for w in s.wires() if w["from"] == "pourer" and w["tx_bytes"] > 300000])
    tap.check(w and w[0]["path"] == "direct" and w[0]["tx_bytes"] <= MIB and w[0]["tx_messages"] > 30,
              "and of a direct one", f"{s.wires()}")
    tap.check(finish(s, "pourer")[0] == 0 and f"received {MIB}" in s.log("sipper"),
              "a slow reader gets everything", s.log("sipper"))
    s.start("echo", CHAN, "serve 10 stream count=0 threads quiet echo", provides=["echo = 10 stream"])
    s.start("many", CHAN, "connect 77 stream conns=60 quiet ping 5 64", uses=["echo = port=77"])
    code, log = finish(s, "many")
    tap.check(code == 0 and len(re.findall("ping 5 rounds", log)) == 60, "60 connections at once", log[-300:])
    s.start("greedy", CHAN, "connect 77 stream conns=4 hold 1", uses=["echo = port=77"],
            limits=["connections = 3"])
    code, log = finish(s, "greedy")
    tap.check("connect: 105" in log, "more than [limits] connections: ENOBUFS", log)


def reason_of(log):
    found = re.findall(r"^end (\d+)$", log, re.M)
    return REASONS[int(found[-1])] if found else None


def ends(s):
    s.start("holder", CHAN, "serve 10 stream count=0 threads hold", provides=["hold = 10 stream"])
    s.start("c1", CHAN, "connect 77 stream hold", uses=["hold = port=77"])
    s.start("c2", CHAN, "connect 77 stream hold", uses=["hold = port=77"])
    tap.check(said(s, "c1", "holding") and said(s, "c2", "holding"), "two connections")
    s.control.ask("revoke", guest="c1", service="hold")
    code, log = finish(s, "c1")
    tap.check(reason_of(log) == "revoked" and said(s, "holder", f"end {R['revoked']}"),
              "revoked: both guests know", f"{log} / {s.log('holder')}")
    tap.check(s.guest("c2")["state"] != "ended", "and no other connection")
    s.start("c3", CHAN, "connect 77 stream hold", uses=["hold = port=77, lease=400ms"])
    code, log = finish(s, "c3")
    tap.check(reason_of(log) == "expired", "a lease that is over", log)
    kill_vmm(s, "c2")
    tap.check(said(s, "holder", f"end {R['died']}"), "kill -9 of the opener: the acceptor knows",
              s.log("holder"))
    s.start("c4", CHAN, "connect 77 stream hold", uses=["hold = port=77"])
    said(s, "c4", "holding")
    kill_vmm(s, "holder")
    code, log = finish(s, "c4")
    tap.check(reason_of(log) == "died", "kill -9 of the acceptor: the opener knows", log)
    s.start("c5", CHAN, "connect 77 stream hold", uses=["hold = port=77"])
    code, log = finish(s, "c5")
    tap.check(code == 3 and "connect: " in log, "afterwards nobody is there", log)
    # In mid-transfer, in both directions: whoever lives must not hang.
    for round in range(4):
        s.start("sink", CHAN, "serve 10 stream sink", provides=["sink = 10 stream"])
        s.start("flooder", CHAN, "connect 77 stream flood", uses=["sink = port=77"])
        wait_for(lambda: s.wires() and any(w["service"] == "sink" for w in s.wires()), 5)
        time.sleep(0.05 * round)
        victim, other = ("sink", "flooder") if round % 2 else ("flooder", "sink")
        kill_vmm(s, victim)
        code, log = finish(s, other, 10)
        tap.check(code is not None and (reason_of(log) == "died" or "flood:" in log or "ok" in log),
                  f"kill -9 of the {'receiver' if round % 2 else 'sender'} in mid-transfer", f"{code} {log}")
        finish(s, victim)
    tap.check(wait_for(lambda: not [w for w in s.wires() if w["service"] == "sink"], 8),
              "nothing of it is left", f"{s.wires()}")


def on_demand(s):
    s.control.ask("add", manifest=s.manifest(
        "lazy", CHAN, "serve 10 seq count=0 threads echo", provides=["lazy = 10 seqpacket"],
        lifecycle=["start = demand", "restart = always", "backoff = 100ms"]))
    before = s.guest("lazy")["state"]
    s.start("c", CHAN, "connect 77 seq ping 100 100", uses=["lazy = port=77"])
    code, log = finish(s, "c")
    tap.check(before == "added" and code == 0 and s.guest("lazy")["state"] == "ready",
              "a connect starts the provider and waits for it", f"{before} {code} {log}")
    kill_vmm(s, "lazy")
    s.start("d", CHAN, "connect 77 seq retry=3000 ping 100 100", uses=["lazy = port=77"])
    code, log = finish(s, "d")
    tap.check(code == 0, "a killed one is back", f"{code} {log}")


def delegation(s):
    s.start("store", CHAN, "serve store seq count=0 threads echo", provides=["store = 10 seqpacket"])
    s.start("third", CAPS, "serve third stream accept peer take-wait connect-slot seq say three hear end",
            provides=["third = 12 stream"])
    s.start("second", CAPS, "serve second stream accept peer take-wait connect third stream "
            "offer-slot c sleep 300 connect-slot seq say two hear end",
            label="middle", provides=["second = 11 stream"], uses=["third ="])
    s.start("first", CAPS, "connect second stream offer store cg sleep 1500 revoke store sleep 300 "
            "connect store seq say one hear", label="top", uses=["second =", "store = delegate"])
    code, one = finish(s, "first")
    _, two = finish(s, "second")
    _, three = finish(s, "third")
    tap.check("peer first top" in two and "peer second middle" in three, "labels of the other end",
              f"{two} / {three}")
    tap.check("heard two" in two and "heard three" in three,
              "a capability sent over a channel, and on to a third guest", f"{two} / {three}")
    tap.check("revoked" in two and "revoked" in three and "heard one" in one,
              "revoked for both of them, not for the one who gave it", f"{one} / {two} / {three}")


def memory(s):
    s.start("taker", CAPS, "serve mem stream accept get-wait check 7 sleep 300 check 8 say ok end",
            provides=["mem = 10 stream"])
    s.start("giver", CAPS, f"connect mem stream mem {4 * MIB} fill 7 give ro sleep 150 fill 8 hear "
            "mem-revoke mem-release", uses=["mem ="])
    code, a = finish(s, "giver")
    _, b = finish(s, "taker")
    tap.check(code == 0 and b.count("check ok") == 2 and "heard ok" in a,
              "memory is shared read-only, and changes are seen", f"{a} / {b}")
    s.start("taker2", CAPS, "serve mem2 stream accept get-wait check 7 fill 9 check 9 say ok",
            provides=["mem2 = 10 stream"])
    s.start("giver2", CAPS, f"connect mem2 stream mem {4 * MIB} fill 7 give move hear",
            uses=["mem2 ="])
    code, a = finish(s, "giver2")
    _, b = finish(s, "taker2")
    tap.check(b.count("check ok") == 2 and "heard ok" in a, "moved: the receiver has it, read-write",
              f"{a} / {b}")
    s.start("taker3", CAPS, "serve mem3 stream accept get-wait check 7 say mine end sleep 200 poke alive",
            provides=["mem3 = 10 stream"])
    s.start("giver3", CAPS, f"connect mem3 stream mem {4 * MIB} fill 7 give rw hear sleep 60000",
            uses=["mem3 ="])
    said(s, "giver3", "heard mine")
    kill_vmm(s, "giver3")
    code, b = finish(s, "taker3")
    tap.check("check ok" in b and code is not None, "the owner dies in the middle: no hang", f"{code} {b}")


def host(s):
    s.start("echo", CHAN, "serve 10 stream count=0 threads echo", provides=["echo = 10 stream"])
    s.wait_state("echo", "ready")
    end = socket.socket(fileno=s.control.take_fd("connect", service="echo"))
    end.settimeout(10)
    data = os.urandom(MIB)
    sent = got = 0
    back = b""
    end.setblocking(False)
    deadline = time.monotonic() + 10
    while len(back) < len(data) and time.monotonic() < deadline:
        r, w, _ = select.select([end], [end] if sent < len(data) else [], [], 1)
        if w:
            sent += end.send(data[sent:sent + 65536])
        if r:
            back += end.recv(65536)
    tap.check(back == data, "a host program and a guest, 1 MiB each way", f"{sent} {len(back)}")
    end.close()
    tap.check(wait_for(lambda: not s.wires()), "its end is seen", f"{s.wires()}")
    listener = s.client()
    listener.ask("listen", service="collector", type="stream")
    s.start("c", CHAN, "connect 77 stream say hello", uses=["collector = port=77"])
    line = listener.read_line(10)
    theirs = socket.socket(fileno=listener.fds.pop(0))
    theirs.settimeout(5)
    text = theirs.recv(100)
    theirs.send(b"world")
    theirs.close()
    code, log = finish(s, "c")
    tap.check(line["from"] == "c" and text == b"hello" and "got world" in log,
              "a guest and a host program that listens", f"{line} {text} {log}")
    s.start("plain", CHAN, "serve 4711 stream greet")
    said(s, "plain", "listening")
    end = socket.socket(fileno=s.control.take_fd("connect", guest="plain", port=4711))
    end.settimeout(5)
    end.send(b"hey")
    tap.check(end.recv(10) == b"hey", "a guest without manifest, by its port")
    end.close()


def logs(s):
    s.start("sayer", CHAN, "serve 10 stream count=0 greet", provides=["say = 10 stream"])
    s.wait_state("sayer", "ready")
    for i in range(60):  # each prints 64 KiB
        end = socket.socket(fileno=s.control.take_fd("connect", service="say"))
        end.settimeout(10)
        try:
            end.sendall(b"%c" % (65 + i % 26) * 60000 + b"\n")
            end.recv(1)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it greets what came first, and has gone
        end.close()
    # A guest that hears of the last end in time says that, too.
    last = wait_for(lambda: re.search(r"HHH\s*(end \d+\s*)?$", s.log("sayer")[-100:]))
    text = s.log("sayer")
    tap.check(last and len(text) > 100000,
              "the log has what was said last",
              f"{len(text)} {text[-10:]!r}")
    paths = [os.path.join(s.directory, "log", n) for n in os.listdir(os.path.join(s.directory, "log"))]
    sizes = {os.path.basename(p): os.path.getsize(p) for p in paths}
    tap.check(all(size < 2 * MIB for size in sizes.values()) and max(sizes.values()) > 100000,
              "and is bounded", f"{sizes}")


def remove_all(s):
    for g in s.control.ask("ps")["guests"]:
        s.control.call("kill", guest=g["name"])
        s.control.call("remove", guest=g["name"])
    wait_for(lambda: not s.control.ask("ps")["guests"])
    time.sleep(0.1)


def descriptors(s):
    """What the session has open."""
    folder = f"/proc/{s.process.pid}/fd"
    found = []
    for fd in os.listdir(folder):
        try:
            found.append(os.readlink(os.path.join(folder, fd)))
        except FileNotFoundError:
            pass
    return sorted(found)


def main():
    names = sys.argv[4:] or "transfers ends on_demand delegation memory host logs".split()
    for name in names:
        folder = os.path.join(FOLDER, name)
        os.mkdir(folder)
        s = Session(BUILD, folder)
        try:
            # What is opened when it is first needed: the log of grants, inotify, …
            s.start("first-of-all", CHAN, "connect 77 stream hold", uses=["nothing = port=77"])
            remove_all(s)
            before = descriptors(s)
            globals()[name](s)
            remove_all(s)
            left = wait_for(lambda: len(descriptors(s)) <= len(before))
            tap.check(left, f"{name}: no descriptor is left behind", f"{before} then {descriptors(s)}")
        finally:
            status, error = s.end()
            tap.check(status == 0 and not error, f"{name}: the session ends in order", f"{status} {error!r}")
    sys.exit(tap.done())


main()
