"""The tests of test_desktop_remote.sh.
usage: desktop_remote.py BUILD FOLDER"""
import json
import os
import socket
import sys
import time

from desktop_rig import *
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
tap = Tap()


class Raw:
    """A client that says what it likes."""

    def __init__(self, directory):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(os.path.join(directory, "desktop.sock"))
        self.lines = self.sock.makefile("rb")

    def say(self, line):
        self.sock.sendall(line)

    def hear(self):
        line = self.lines.readline()
        return json.loads(line) if line else None

    def ask(self, **request):
        self.say(json.dumps(dict({"id": 1}, **request)).encode() + b"\n")
        return self.hear()

    def code(self, **request):
        answer = self.ask(**request)
        return "ok" if answer["ok"] else answer["error"]["code"]

    def ended(self):
        try:
            return self.lines.readline() == b""
        except ConnectionError:
            return True

    def close(self):
        self.lines.close()
        self.sock.close()


def lines(directory):
    c = Raw(directory)
    for line in (b"", b"nonsense", b"[]", b"3", b'{"op":"state"}', b'{"id":null,"op":"state"}', b"\xff\xfe",
                 b'{"id":1,"id":2,"op":"state"}', b'{"id":1}', b'{"id":1,"op":7}', b'{"id":1,"op":"dance"}',
                 b"[" * 3000):
        c.say(line + b"\n")
        answer = c.hear()
        tap.check(answer and answer["ok"] is False and answer["error"]["code"] == "bad-request",
                  f"refused: {line[:40]!r}")
    c.say(b'{"id":"a","op":"state"}\n{"id":"b","op":"state"}\n{"id":"c",')
    c.say(b'"op":"state"}\n')
    tap.check([c.hear()["id"] for _ in range(3)] == ["a", "b", "c"], "several lines in a packet, and a line in several")
    c.close()


def fields(directory):
    c = Raw(directory)
    bad = (dict(op="key", code=0, down=True), dict(op="key", code=768, down=True), dict(op="key", code=30),
           dict(op="key", key="nokey", down=True), dict(op="key", code=1.5, down=True), dict(op="key", code=2**70),
           dict(op="keys"), dict(op="keys", chord="super+"), dict(op="type"), dict(op="type", text="x" * 5000),
           dict(op="pointer", x=1), dict(op="pointer", x="1", y=1), dict(op="pointer", x=99999, y=1),
           dict(op="click", x=1, y=1, count=1000000), dict(op="click", x=1, y=1, button="third"),
           dict(op="button", down=1), dict(op="drag", x0=1, y0=1, x1=1), dict(op="wheel", x=1, y=1, dy=10**9),
           dict(op="touch", slot=99, phase=0, x=1, y=1), dict(op="touch", slot=0, phase=3, x=1, y=1),
           dict(op="drop", path="relative", x=1, y=1), dict(op="window"), dict(op="focus"), dict(op="place"),
           dict(op="action", name=""), dict(op="action"), dict(op="theme"), dict(op="theme", dark="yes"),
           dict(op="resize", width=1, height=1), dict(op="resize", width=10**6, height=10**6), dict(op="launch"),
           dict(op="wait-frame"), dict(op="wait-still"), dict(op="wait-still", ms=-1), dict(op="screenshot"),
           dict(op="screenshot", path="relative.png"), dict(op="compare", path="relative.png"),
           dict(op="compare", path="/dev/null", tolerance=256), dict(op="screencast"), dict(op="pixel", x=-1, y=0))
    for request in bad:
        got = c.code(**request)
        tap.check(got == "bad-request", f"refused: {str(request)[:60]}", got)
    for want, request in (("not-found", dict(op="focus", guest="nobody")),
                          ("not-found", dict(op="close", panel="nothing")),
                          ("not-found", dict(op="keymap", name="xx")),
                          ("not-found", dict(op="launch", program="no such program")),
                          ("invalid", dict(op="type", text="\u6f22")),
                          ("invalid", dict(op="screenshot", path="/nowhere/a.png")),
                          ("invalid", dict(op="screencast", path="relative")),
                          ("invalid", dict(op="pixel", x=9000, y=9000)),
                          ("not-found", dict(op="compare", path="/nowhere/a.png")),
                          ("not-found", dict(op="compare", path=os.path.abspath(__file__))),
                          ("timeout", dict(op="wait-frame", guest="nobody", within_ms=50))):
        got = c.code(**request)
        tap.check(got == want, f"{want}: {str(request)[:60]}", got)
    c.close()


def clients(directory):
    def gather():
        """Eight; once those before are gone."""
        them = [Raw(directory) for _ in range(8)]
        try:
            if all(c.ask(op="state") for c in them):
                return them
        except ConnectionError:
            pass
        for c in them:
            c.close()
        return None

    crowd = wait_for(gather, what="eight clients")
    ninth = Raw(directory)
    tap.check(ninth.ended(), "a ninth client is hung up on")
    crowd[0].say(b'{"id":1,"op":"wait-still","ms":60000,"within_ms":600000}\n')
    crowd[0].close()
    crowd[1].say(b'{"id":1,"op":"state"')
    crowd[1].close()
    tap.check(crowd[2].code(op="state") == "ok", "clients that go while they wait, or in a line")
    crowd[3].say(b"x" * 70000)
    tap.check(crowd[3].ended(), "a line without end ends its client")
    try:
        for _ in range(100000):
            crowd[4].sock.settimeout(1)
            crowd[4].say(b'{"id":1,"op":"state"}\n' * 100)
        greedy = False
    except (TimeoutError, ConnectionError):
        greedy = True
    tap.check(greedy, "a client that does not read does not fill the memory")
    tap.check(crowd[2].code(op="state") == "ok", "and the others are answered")
    for c in crowd[2:] + [ninth]:
        c.close()


def quiet(directory):
    c = Raw(directory)
    c.ask(op="wait-still", ms=200)
    before = c.ask(op="state")["wakeups"]
    time.sleep(1)
    tap.check(c.ask(op="state")["wakeups"] - before <= 2, "then it sleeps")
    c.say(b'{"id":1,"op":"wait-frame","guest":"nobody","within_ms":600000}\n')
    time.sleep(1)
    other = Raw(directory)
    tap.check(other.ask(op="state")["wakeups"] - before <= 6, "also while a script waits")
    other.close()
    c.close()


session_directory = os.path.join(FOLDER, "remote")
os.mkdir(session_directory, 0o700)
session = FakeSession(session_directory)
desktop = Desktop(BUILD, session_directory, "--headless", "--size", "640x480", "--keymap", "us",
                  env={"XDG_CONFIG_HOME": FOLDER})
try:
    desktop.ask("state")
    mode = os.stat(os.path.join(session_directory, "desktop.sock")).st_mode & 0o777
    tap.check(mode == 0o600, "desktop.sock is the person's alone")
    desktop.lines.close()
    desktop.sock.close()
    lines(session_directory)
    fields(session_directory)
    clients(session_directory)
    quiet(session_directory)
    tap.check(desktop.close() == 0, "it ends well")
    tap.check(not os.path.exists(os.path.join(session_directory, "desktop.sock")), "and its socket is gone")
finally:
    desktop.process.kill()
session.close()
tap.done()
