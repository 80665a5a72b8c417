"""The tests of test_lifecycle.sh: how guests of a session begin, get ready, end and come
back, seen over the control socket.
usage: lifecycle.py BUILD FOLDER GUESTS"""
import os
import select
import signal
import socket
import sys
import threading
import time

from session_rig import *
from vmmctl import Tap

BUILD, FOLDER, GUESTS = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
PROBE, CHAN = os.path.join(GUESTS, "probe.elf"), os.path.join(GUESTS, "chan.elf")
ECHO = "serve 10 stream count=0 threads quiet echo"
tap = Tap()


def state(s, name):
    return (s.guest(name) or {}).get("state")


def events_of(client, last, timeout=10):
    """Names of events up to `last`."""
    names = []
    while last not in names:
        names.append(client.events.pop(0)["event"] if client.events
                     else client.read_line(timeout)["event"])
    return names


def echoes(fd):
    with socket.socket(fileno=fd) as sock:
        sock.settimeout(10)
        sock.sendall(b"hello")
        try:
            return sock.recv(16) == b"hello"
        except OSError:
            return False


# ---- attached ----------------------------------------------------------------------------


def attached(s):
    client = s.client()
    client.ask("start", program=PROBE, name="quick", args=["exit", "3"], attach=True)
    tap.check(events_of(client, "ended") == ["started", "ready", "ended"],
              "who is attached hears how it goes")
    begin, end = os.pipe()
    out_begin, out_end = os.pipe()
    client.ask("start", program=PROBE, name="cat", args=["cat"], attach=True,
               fds=(begin, out_end, out_end))
    os.close(begin)
    os.close(out_end)
    os.write(end, b"through")
    os.close(end)
    tap.check(os.read(out_begin, 64) == b"through" and os.read(out_begin, 64) == b"",
              "streams that are passed, to their ends")
    events_of(client, "ended")
    begin, end = os.pipe()
    client.ask("start", program=PROBE, name="left", args=["cat"], attach=True,
               fds=(begin, out_begin, out_begin))
    client.close()
    tap.check(s.wait_state("left", "ended") and "who started it" in s.guest("left")["detail"],
              "a guest ends with the client that is attached to it", s.guest("left"))
    for fd in (begin, end, out_begin):
        os.close(fd)


# ---- ready, on demand ------------------------------------------------------------------------


def demand(s):
    path = s.manifest("echo", CHAN, ECHO, provides=["echo = 10 stream"])
    s.control.ask("add", manifest=path)
    tap.check(state(s, "echo") == "added", "a guest that is only known")
    begin = time.monotonic()
    answers = [s.control.send("connect", service="echo") for _ in range(8)]
    good = [s.control.answer(number)["ok"] for number in answers]
    took = time.monotonic() - begin
    tap.check(all(good) and all(echoes(s.control.fds.pop(0)) for _ in range(8)),
              f"a connect starts it, others wait with it ({took * 1e3:.0f} ms)", good)
    tap.check(s.control.ask("stop", guest="echo")["state"] == "added", "stopped, it is still known")
    tap.check(echoes(s.control.take_fd("connect", service="echo")), "and started again")
    s.control.ask("stop", guest="echo")
    s.control.ask("remove", guest="echo")
    tap.check(s.control.code("connect", service="echo") == "not-found", "removed, it is not")

    bad = s.manifest("dies", PROBE, "exit 1", provides=["dies = 10 stream"],
                     lifecycle=["backoff = 3s"])
    s.control.ask("add", manifest=bad)
    codes = [s.control.code("connect", service="dies") for _ in range(5)]
    tap.check("ok" not in codes and s.log("dies").count("\n") <= 1 and state(s, "dies") == "added",
              "one that dies before it is ready is not started by each who asks", codes)
    s.control.ask("remove", guest="dies")

    slow = s.manifest("slow", PROBE, "sleep 60", provides=["slow = 10 stream"],
                      lifecycle=["start-timeout = 300ms"])
    s.control.ask("start", manifest=slow)
    tap.check(s.control.code("connect", service="slow") != "ok" and
              s.wait_state("slow", "ended") and "not get ready" in s.guest("slow")["detail"],
              "one that is never ready is ended after its start-timeout", s.guest("slow"))


# ---- required ----------------------------------------------------------------------------------


def required(s):
    s.control.ask("add", manifest=s.manifest("base", CHAN, ECHO, provides=["base = 10 stream"]))
    s.control.ask("add", manifest=s.manifest("mid", CHAN, ECHO, provides=["mid = 10 stream"],
                                             uses=["base = required"]))
    client = s.client()
    client.ask("subscribe")
    top = s.manifest("top", CHAN, "connect 77 stream say hello",
                     uses=["mid = required, port=77"])
    client.ask("start", manifest=top)
    answer = client.ask("wait", guest="top", timeout_ms=20000)
    order = [e["guest"] for e in client.events if e.get("event") == "ready"]
    tap.check(order == ["base", "mid", "top"] and answer["exit_code"] == 0,
              "what is required starts first, in order", order, answer, s.log("top"))
    client.close()
    one = s.manifest("one", PROBE, "sleep 9", provides=["one = 10 stream"], uses=["two = required"])
    two = s.manifest("two", PROBE, "sleep 9", provides=["two = 10 stream"], uses=["one = required"])
    s.control.ask("add", manifest=one)
    answer = s.control.call("start", manifest=two)
    tap.check(not answer["ok"] and "cycle: one requires two of two; two requires one of one" in
              answer["error"]["message"], "a cycle is an error that names it", answer)
    answer = s.control.call("start", manifest=s.manifest("lone", PROBE, uses=["none = required"]))
    tap.check("nobody provides" in answer.get("error", {}).get("message", ""),
              "so is what nobody provides", answer)
    for name in ("base", "mid", "one"):
        s.control.call("stop", guest=name)
        s.control.call("remove", guest=name)


# ---- restarts ------------------------------------------------------------------------------------


def restarts(s):
    path = s.manifest("store", CHAN, ECHO, provides=["st = 10 stream"],
                      lifecycle=["restart = on-failure", "backoff = 50ms", "restarts = 4"])
    s.control.ask("start", manifest=path)
    s.control.ask("wait", guest="store", **{"for": "ready"})
    fd = s.control.take_fd("connect", service="st")
    pid = s.guest("store")["pid"]
    os.kill(pid, signal.SIGKILL)
    with socket.socket(fileno=fd) as sock:
        sock.settimeout(5)
        tap.check(sock.recv(1) == b"", "a killed VMM: its connections end")
    wait_for(lambda: state(s, "store") != "ready", pause=0)
    tap.check(echoes(s.control.take_fd("connect", service="st")) and
              s.guest("store")["pid"] != pid and s.guest("store")["restarts"] == 1,
              "it is started again, and who connects waits for it", s.guest("store"))
    pauses = []
    for _ in range(3):
        s.wait_state("store", "ready")
        begin = time.monotonic()
        s.control.ask("signal", guest="store", signal=9)
        s.wait_state("store", "back-off", 5)
        s.wait_state("store", "ready", 5)
        pauses.append(time.monotonic() - begin)
    tap.check(pauses[0] >= 0.1 and pauses[1] >= 0.2 and 0.4 <= pauses[2] < 4,
              "each pause is twice as long", pauses)
    s.control.ask("signal", guest="store", signal=9)
    tap.check(s.wait_state("store", "failed"), "too often: it has failed", s.guest("store"))
    tap.check(s.control.code("connect", service="st") != "ok", "and is not started by connects")
    s.control.ask("start", manifest=path)
    s.control.ask("wait", guest="store", **{"for": "ready"})
    answer = s.control.ask("kill", guest="store")
    time.sleep(0.3)
    tap.check(answer["state"] == "ended" and state(s, "store") == "ended",
              "a person starts it, and ends it for good", answer)
    s.start("once", PROBE, "exit 0", lifecycle=["restart = on-failure"])
    tap.check(s.wait_state("once", "ended"), "on-failure: not after exit 0")


def stops(s):
    s.control.ask("start", program=PROBE, name="deaf", args=["ignore", "15", "sleep", "60"])
    s.control.ask("wait", guest="deaf", **{"for": "ready"})
    wait_for(lambda: False, 0.3)
    begin = time.monotonic()
    answer = s.control.ask("stop", guest="deaf", timeout_ms=300)
    tap.check(time.monotonic() - begin < 5 and answer["state"] == "ended", "stop ends a guest", answer)
    s.control.ask("start", program=PROBE, name="frozen", args=["sleep", "60"])
    s.control.ask("wait", guest="frozen", **{"for": "ready"})
    s.control.ask("pause", guest="frozen")
    answer = s.control.ask("stop", guest="frozen", timeout_ms=500)
    tap.check(answer["state"] == "ended", "also one that is paused", answer)


# ---- watchdog -----------------------------------------------------------------------------------------


def watchdogs(build, folder):
    s = puppet_session(build, os.path.join(folder, "puppets"))
    dog = s.puppet("dog", lifecycle=["watchdog = 300ms", "ready = notify"])
    talk = dog.talk()
    for _ in range(4):
        time.sleep(0.2)
        talk.call("ALIVE")
    tap.check(state(s, "dog") == "ready", "a watchdog that is fed")
    begin = time.monotonic()
    killed = dog.expect(KILL, 3)
    took = time.monotonic() - begin
    tap.check(killed is not None and 0.1 < took < 1,
              f"H-33: one that is not: the guest is killed ({took * 1e3:.0f} ms)")
    dog.ended(6, 9)
    dog.exit(0)
    tap.check(s.wait_state("dog", "ended") and "watchdog" in s.guest("dog")["detail"],
              "and that is how it ended", s.guest("dog"))
    mute = s.puppet("mute", started=False, ready=False)
    number = s.control.send("stop", guest="mute", timeout_ms=100)
    answer = s.control.answer(number, 20)
    tap.check(answer["ok"] and answer["state"] == "ended",
              "H-33: a VMM that neither starts nor ends is ended", answer)
    for puppet in (dog, mute):
        puppet.close()
    s.end()


# ---- the socket --------------------------------------------------------------------------------------------


def is_idle(s):
    def switches():
        with open(f"/proc/{s.process.pid}/status") as f:
            return [line for line in f if line.startswith("voluntary")]

    s.start("quiet", CHAN, ECHO, provides=["quiet = 10 stream"])
    s.control.ask("wait", guest="quiet", **{"for": "ready"})
    # Limits of time that were set before may still wake it up, once each.
    still = wait_for(lambda: switches() == (time.sleep(1.5), switches())[1], 30)
    tap.check(still, "an idle session with guests does not wake up", switches())


def noise(s, stop):
    """Clients that say nonsense, never read, and hang up in the middle."""
    while not stop.is_set():
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(os.path.join(s.directory, "control"))
            sock.setblocking(False)
            for _ in range(200):
                sock.send(b'{"id":1,"op":"wires"}\n[[[[[[\n{"id":2,"op":"ps","x":1}\n' * 10)
        except OSError:
            pass
        sock.close()


def noisy(s):
    s.control.ask("ps")
    stop = threading.Event()
    threads = [threading.Thread(target=noise, args=(s, stop)) for _ in range(2)]
    for t in threads:
        t.start()
    worst = 0
    for _ in range(50):
        begin = time.monotonic()
        s.control.ask("hello")
        worst = max(worst, time.monotonic() - begin)
    echo = echoes(s.control.take_fd("connect", service="quiet"))
    stop.set()
    for t in threads:
        t.join()
    tap.check(worst < 1 and echo, f"noise of others does not stop it ({worst * 1e3:.0f} ms)")


def handed_over(s):
    pid = s.guest("quiet")["pid"]
    path = s.manifest("named", CHAN, ECHO, provides=["renamed = 10 stream"])
    s.control.ask("start", manifest=path, name="other")
    s.wait_state("other", "ready")
    s.control.ask("shutdown", guests="leave")
    s.process.wait(20)
    s.begin()
    tap.check(s.wait_state("quiet", "ready") and s.guest("quiet")["pid"] == pid and
              echoes(s.control.take_fd("connect", service="quiet")),
              "a session that leaves its guests: the next one has them", s.guest("quiet"))
    tap.check(s.guest("other")["provides"] == ["renamed"] and
              echoes(s.control.take_fd("connect", service="renamed")),
              "also one that was given another name than its manifest's", s.guest("other"))
    s.control.ask("shutdown")
    s.process.wait(20)
    tap.check(wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 5),
              "one that does not ends them")
    s.begin()
    tap.check(s.guest("quiet") is None, "and the next does not know them")


def main():
    s = Session(BUILD, FOLDER)
    attached(s)
    demand(s)
    required(s)
    restarts(s)
    stops(s)
    is_idle(s)
    noisy(s)
    handed_over(s)
    status, error = s.end()
    tap.check(status == 0 and not error, "the session ends in order", status, error)
    watchdogs(BUILD, FOLDER)
    return tap.done()


sys.exit(main())
