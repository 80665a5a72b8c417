"""The tests of test_channels_crowd.sh: 1,000 connections at once through one session.
usage: channels_crowd.py BUILD FOLDER GUESTS [GUESTS CONNECTIONS]

Every guest opens CONNECTIONS, and all are open before any is used; then each is used in
turn, and when all are done all are closed. What the session counts has to add up."""
import os
import re
import sys
import time

from session_rig import *
from vmmctl import Tap

BUILD, FOLDER, GUESTS = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
# Guests, connections of each, servers: a guest has 256 descriptors.
CROWDS = ([(5, 200, 5), (40, 25, 5)] if len(sys.argv) < 6 else
          [(int(sys.argv[4]), int(sys.argv[5]), 5)])
CHAN = os.path.join(GUESTS, "chan.elf")
ROUNDS, BYTES = 5, 64
tap = Tap()


def anonymous_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def guests_of(s, prefix):
    return [g for g in s.control.ask("ps")["guests"] if g["name"].startswith(prefix)]


def start_servers(s, servers):
    for i in range(servers):
        s.start(f"server{i}", CHAN, "serve 10 stream count=0 threads quiet chunk=4096 echo",
                provides=[f"echo{i} = 10 stream"], limits=["window = 256M"])
    for i in range(servers):
        s.wait_state(f"server{i}", "ready")


def start_guests(s, guests, each, servers):
    """Each opens its connections, one after the other; then it waits at the gate."""
    for i in range(guests):
        s.start(f"guest{i}", CHAN, f"connect echo{i % servers} stream conns={each} timeout=30000 "
                f"retry=20000 gate=gate quiet chunk=4096 ping {ROUNDS} {BYTES}",
                uses=[f"echo{i % servers} =", "gate ="],
                limits=[f"connections = {each + 1}", "buffer = 64M", "window = 64M"])


def data_wires(s):
    return [w for w in s.wires() if w["service"] != "gate"]


def gather(gate, guests, seconds):
    """Until all have come to the gate: their sockets."""
    waiting, end = [], time.monotonic() + seconds
    while len(waiting) < guests:
        try:
            gate.read_line(max(0.1, end - time.monotonic()))
        except TimeoutError:
            break
        waiting.append(socket.socket(fileno=gate.fds.pop(0)))
    return waiting


def release(waiting):
    for sock in waiting:
        sock.send(b"x")
        sock.close()


def crowd(s, guests, each, servers):
    what, total = f"{guests} guests with {each} connections each", guests * each
    start_servers(s, servers)
    gate = s.client()
    gate.ask("listen", service="gate", type="stream")
    pid = s.process.pid
    before, fds = anonymous_kib(pid), descriptors(pid)
    began = time.monotonic()
    start_guests(s, guests, each, servers)
    waiting = gather(gate, guests, 60)
    took = time.monotonic() - began
    wires = data_wires(s)
    memory, more = anonymous_kib(pid) - before, descriptors(pid) - fds
    tap.check(len(wires) == total and len({w["conn"] for w in wires}) == total,
              f"{what}: all are open at once", f"{len(wires)}, {len(waiting)} guests at the gate",
              s.log("guest0")[-500:])
    grants = {g["guest"]: g["connections"] for g in s.control.ask("wires")["grants"]
              if g["service"] != "gate"}
    tap.check(all(grants.get(f"guest{i}") == each for i in range(guests)) and
              sum(g["connections"] for g in guests_of(s, "server")) == total,
              f"{what}: and are counted for each grant and each guest",
              f"{grants} {[(g['name'], g['connections']) for g in guests_of(s, '')]}")
    rings = sum(w["buffer_bytes"] for w in wires)
    print(f"# {what}: {took * 1e3:.0f} ms to open, launches included; the session: {memory} KiB "
          f"({memory / total:.2f} a connection), {more / total:.2f} descriptors each, "
          f"rings {rings >> 20} MiB, paths {sorted({w['path'] for w in wires})}")
    release(waiting)
    waiting = gather(gate, guests, 60)
    counts = {tuple(w[k] for k in ("tx_bytes", "rx_bytes")) for w in data_wires(s)}
    tap.check(len(waiting) == guests and counts == {(ROUNDS * BYTES, ROUNDS * BYTES)},
              f"{what}: the counters of each are what went through it", f"{sorted(counts)[:10]}")
    release(waiting)
    over = wait_for(lambda: all(g["state"] == "ended" for g in guests_of(s, "guest")), 30)
    codes = {g.get("exit_code") for g in guests_of(s, "guest")}
    pings = sum(len(re.findall(f"ping {ROUNDS} rounds", s.log(f"guest{i}"))) for i in range(guests))
    tap.check(over and codes == {0} and pings == total, f"{what}: every byte came back",
              f"{codes} {pings}", s.log("guest0")[-500:])
    for g in s.control.ask("ps")["guests"]:
        s.control.call("kill", guest=g["name"])
        s.control.call("remove", guest=g["name"])
    gate.close()
    gone = wait_for(lambda: not s.wires() and descriptors(pid) <= fds, 12)
    tap.check(gone, f"{what}: all closed, nothing is left of them",
              f"{len(s.wires())} {fds} then {descriptors(pid)}", os.popen(f"ls -l /proc/{pid}/fd").read())


def main():
    s = Session(BUILD, FOLDER)
    try:
        for guests, each, servers in CROWDS:
            crowd(s, guests, each, servers)
    finally:
        status, error = s.end()
        tap.check(status == 0 and not error, "the session ends in order", f"{status} {error!r}")
    sys.exit(tap.done())


main()
