"""The tests of test_channels_restart.sh: a session is killed, and a new one finds its
guests, connections and grants. usage: channels_restart.py BUILD FOLDER GUESTS"""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

from session_rig import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
CHAN = os.path.join(os.path.abspath(sys.argv[3]), "chan.elf")
tap = Tap()
MIB = 1 << 20


def begin_with(s, *puppets):
    """Starts a session while the puppets wait for it."""
    s.crash()
    s.begin()


def adopted(s):
    server = s.puppet("server", provides=["echo = 10 stream"])
    client = s.puppet("client", uses=["echo = delegate"], label="trusted")
    liar = s.puppet("liar", uses=["echo ="])
    third = s.puppet("third", provides=["third = 11 stream"])
    a, b = wired(client, server, "echo", direct=True)
    l, k = wired(liar, server, "echo")
    s.control.ask("grant", guest="client", service="third", lease_ms=3600000)
    port = client.talk().call("RESOLVE", name="third")["port"]
    old_slot = client.slot("echo")
    s.crash()
    s.begin()
    hello(server)
    hello(client)
    hello(third, pid=1)
    tap.check(third.was_ended(), "H-34 a VMM that names another process as its own is ended")
    third.exit()
    hello(liar)
    channels(server, (b["cookie"], b["conn"], 0), (k["cookie"], k["conn"], 0))
    # One end of its own, as the other end of the client's, and one that never was.
    channels(client, (a["cookie"], a["conn"], OPENER | DIRECT))
    channels(liar, (l["cookie"], l["conn"], OPENER), (b["cookie"], 4711, 0))
    found = wait_for(lambda: len(s.wires()) == 2 and s.wires())
    tap.check(found and {w["conn"] for w in found} == {a["conn"], l["conn"]} and
              {w["from"] for w in found} == {"client", "liar"}, "connections of two ends are found again",
              f"{found}")
    tap.check(liar.closed() == (4711, "session") and liar.is_alive(0.1),
              "H-34 what only one end claims is closed")
    g = {(x["guest"], x["service"]): x for x in s.control.ask("wires")["grants"]}
    tap.check(("client", "echo") in g and 0 < g["client", "third"]["lease_ms"] <= 3600000,
              "grants are there, with what is left of a lease", f"{g}")
    talk = client.talk()
    tap.check(talk.call("RESOLVE", name="echo")["port"] == old_slot and
              talk.call("RESOLVE", name="third")["port"] == port, "slots are what they were")
    who = server.talk().call("LABEL", local_port=10, peer_port=0x40000000 | b["conn"])
    tap.check(who["status"] == 0 and (who["name"], who["label"]) == ("client", "trusted"),
              "labels too", f"{who}")
    again, at_b = wired(client, server, "echo")
    tap.check(again and again["conn"] not in (a["conn"], l["conn"]), "new connections have new numbers",
              f"{again}")
    s.control.ask("revoke", guest="client", service="echo")
    got = {client.closed(), client.closed()}
    tap.check(got == {(a["conn"], "revoked"), (again["conn"], "revoked")},
              "what was opened before is revoked like what is new", f"{got}")
    client.request(old_slot)
    tap.check(client.refusal() == ("stale", 116), "and the slot is stale")


def lies(s):
    """Claims about other guests' connections."""
    server = s.puppet("server", provides=["echo = 10 stream"])
    client = s.puppet("client", uses=["echo ="])
    thief = s.puppet("thief")
    silent = s.puppet("silent")
    a, b = wired(client, server, "echo")
    s.crash()
    s.begin()
    for v in (thief, server, client):
        hello(v)
    # The thief says that it is the opener; the real one has nothing to say.
    channels(thief, (a["cookie"], a["conn"], OPENER))
    channels(client)
    channels(server, (b["cookie"], b["conn"], 0))
    tap.check(server.closed(4) == (b["conn"], "session") and
              thief.closed(4) == (a["conn"], "session") and not s.wires(),
              "H-34 a guest can't claim what another's grant opened")
    tap.check(silent.was_ended(4) or not wait_for(lambda: not s.guest("silent") or
                                                  s.guest("silent")["state"] in ("ended", "failed")),
              "a VMM that does not answer the new session is ended")
    silent.exit()
    a, b = wired(client, server, "echo")
    tap.check(a["conn"] == b["conn"], "and the others go on")


def gone(s):
    first = s.puppet("first", provides=["echo = 10 stream"])
    second = s.puppet("second", uses=["echo ="])
    s.crash()
    first.sock.close()
    os.close(first.fd("listen"))
    first.exit()
    time.sleep(0.1)
    s.begin()
    hello(second)
    channels(second)
    second.request(second.slot("echo"))
    got = second.refusal()
    state = s.guest("first")
    tap.check(got and got[0] in ("not-ready", "absent") and (not state or state["state"] == "ended"),
              "a guest that ended meanwhile has ended", f"{got} {state}")
    first = s.puppet("first", provides=["echo = 10 stream"])
    a, b = wired(second, first, "echo")
    tap.check(a is not None, "and can be started again")
    stray = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.crash()
    stray.bind(os.path.join(s.directory, "guests/stray.sock"))
    stray.listen(1)
    s.begin()
    for v in (first, second):
        hello(v)
        channels(v)
    stray.settimeout(5)
    link, _ = stray.accept()
    message = link.recv(8192)
    tap.check(struct.unpack_from("<II", message)[1] == KILL and
              not os.path.exists(os.path.join(s.directory, "guests/stray.sock")),
              "a guest that no state names is killed")


def real(folder):
    """Guests of ours, whose data goes on all the time."""
    s = Session(BUILD, folder)
    try:
        s.start("server", CHAN, "serve 10 stream count=0 threads chunk=4096 slow 10",
                provides=["echo = 10 stream"])
        s.start("sender", CHAN, f"connect 77 stream retry=5000 source {2 * MIB}",
                uses=["echo = port=77"])
        wait_for(lambda: len(s.wires()) == 1)
        before = s.wires()[0]
        time.sleep(0.2)
        pids = {n: s.guest(n)["pid"] for n in ("server", "sender")}
        s.crash()
        time.sleep(0.3)
        alive = all(os.path.exists(f"/proc/{p}") for p in pids.values())
        s.begin()
        back = wait_for(lambda: s.wires() or (s.guest("sender") or {}).get("state") == "ended")
        tap.check(alive, "guests outlive a killed session")
        after = s.wires()
        if after:
            tap.check(after[0]["conn"] == before["conn"] and after[0]["path"] == before["path"] and
                      after[0]["from"] == "sender", "the new session finds their connection",
                      f"{before} {after}")
        tap.check({n: s.guest(n)["pid"] for n in pids} == pids, "and them", f"{pids}")
        s.start("second", CHAN, "connect 77 stream retry=5000 source 40960", uses=["echo = port=77"])
        ended = s.control.call("wait", guest="second", timeout_ms=20000)
        tap.check(ended.get("exit_code") == 0, "an adopted provider serves new clients",
                  f"{ended} {s.log('second')}")
        ended = s.control.call("wait", guest="sender", timeout_ms=60000, timeout=70)
        whole = wait_for(lambda: f"received {2 * MIB}" in s.log("server"))
        tap.check(ended.get("exit_code") == 0 and whole,
                  "a transfer that went on all the time has lost nothing",
                  f"{ended} {s.log('sender')} {s.log('server')}")
        tap.check("listening" in s.log("server"), "logs go on", s.log("server"))
        answer = s.control.call("stop", guest="server", timeout_ms=500)
        tap.check(answer["ok"] and wait_for(lambda: not os.path.exists(f"/proc/{pids['server']}")),
                  "an adopted guest can be stopped", f"{answer}")
        s.start("holder", CHAN, "connect 77 stream hold", uses=["echo = port=77"])
    finally:
        status, error = s.end()
        tap.check(status == 0 and not error, "the session ends in order", f"{status} {error!r}")


def left(folder):
    """shutdown with guests left."""
    s = Session(BUILD, folder)
    try:
        s.start("server", CHAN, "serve 10 stream count=0 echo", provides=["echo = 10 stream"])
        s.wait_state("server", "ready")
        pid = s.guest("server")["pid"]
        s.control.ask("shutdown", guests="leave")
        status = s.process.wait(10)
        time.sleep(0.2)
        tap.check(status == 0 and os.path.exists(f"/proc/{pid}"), "guests can be left to the next session")
        s.process.stdout.close()
        s.process.stderr.close()
        s.begin()
        tap.check(s.wait_state("server", "ready") and s.guest("server")["pid"] == pid,
                  "which finds them", f"{s.guest('server')}")
    finally:
        status, error = s.end()
        tap.check(status == 0 and not error and wait_for(lambda: not os.path.exists(f"/proc/{pid}")),
                  "the last one ends them", f"{status} {error!r}")


def refused(folder, env, *args):
    """What exo session says when it does not start, on one line; or its status."""
    p = subprocess.run([os.path.join(BUILD, "bin/exo"), "session", *args], capture_output=True,
                       text=True, timeout=10, cwd=folder, env={**os.environ, **env})
    lines = p.stderr.splitlines()
    return lines[0] if p.returncode == 125 and len(lines) == 1 else f"status {p.returncode} {lines}"


def starting(folder):
    place = os.path.join(folder, "run")
    os.symlink("/tmp", os.path.join(folder, "link"))
    for name, env, words in (
            ("a relative path", dict(EXO_SESSION="run"), "absolute"),
            ("a long path", dict(EXO_SESSION="/tmp/" + "x" * 200), "shorter"),
            ("a symbolic link", dict(EXO_SESSION=os.path.join(folder, "link")), "link: "),
            ("a folder that is not there", dict(EXO_SESSION=folder + "/a/b/c"), "No such file")):
        got = refused(folder, env)
        tap.check(words in got, f"{name} is refused", got)
    if os.getuid() == 0:
        os.mkdir(place)
        os.chown(place, 65534, 65534)
        got = refused(folder, dict(EXO_SESSION=place))
        tap.check("somebody else" in got, "somebody else's folder is refused", got)
        os.rmdir(place)
    else:
        tap.skip("somebody else's folder is refused", "not root")
    got = refused(folder, {}, "--private", "77")
    tap.check("not a stream socket" in got, "--private without a socket", got)
    os.mkdir(place, 0o755)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(os.path.join(folder, "notify"))
    p = subprocess.Popen([os.path.join(BUILD, "bin/exo"), "session"], stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, EXO_SESSION=place,
                                  NOTIFY_SOCKET=os.path.join(folder, "notify")))
    line = p.stdout.readline()
    notify.settimeout(5)
    tap.check(notify.recv(100) == b"READY=1" and f"{place}/control" in line,
              "it says when it listens, and where", line)
    tap.check(os.stat(place).st_mode & 0o777 == 0o700, "its folder is the person's alone")
    p.send_signal(signal.SIGINT)
    tap.check(p.wait(10) == 0 and not os.path.exists(os.path.join(place, "control")),
              "SIGINT ends it in order")
    p.stdout.close()


def private(folder):
    """exo session --private: guests end with its one client."""
    ours, theirs = socket.socketpair()
    p = subprocess.Popen([os.path.join(BUILD, "bin/exo"), "session", "--private", str(theirs.fileno())],
                         pass_fds=[theirs.fileno()], cwd=folder, stderr=subprocess.PIPE,
                         env=dict(os.environ, EXO_SESSION="/nonexistent"))
    theirs.close()
    c = Control(ours)
    path = os.path.join(folder, "server.exo")
    with open(path, "w") as f:
        f.write(f"[program]\nfile = {CHAN}\nargs = serve 10 stream count=0 hold\n"
                "[provides]\necho = 10 stream\n")
    c.ask("start", manifest=path)
    c.ask("wait", guest="server", **{"for": "ready"})
    pid = c.ask("ps")["guests"][0]["pid"]
    tap.check(wait_for(lambda: c.ask("log", guest="server") and
                       any("listening" in e.get("text", "") for e in c.events)),
              "a private session has logs too", f"{c.events}")
    c.close()
    status = p.wait(10)
    tap.check(status == 0 and wait_for(lambda: not os.path.exists(f"/proc/{pid}")) and
              not p.stderr.read() and os.listdir(folder) == ["server.exo"],
              "it ends with its client, guests and all, and leaves nothing", f"{status}")
    p.stderr.close()


def main():
    for function in (adopted, lies, gone):
        s = puppet_session(BUILD, os.path.join(FOLDER, function.__name__))
        try:
            function(s)
        finally:
            status, error = s.end()
            tap.check(status == 0 and not error, f"{function.__name__}: the session ends in order",
                      f"status {status}, {error!r}")
    for function in (starting, private, real, left):
        os.mkdir(os.path.join(FOLDER, function.__name__))
        function(os.path.join(FOLDER, function.__name__))
    sys.exit(tap.done())


main()
