"""The tests of test_window_service.sh: window-events.elf in a session, whose desktop is played
here. usage: window_service.py BUILD FOLDER"""
import os
import select
import socket
import struct
import sys
import threading
import time

from displaypeer import *
from session_rig import Session, wait_for
from vmmctl import Tap

BUILD, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
GUEST = os.path.join(BUILD, "guests/test/window-events.elf")
TITLE, ATTENTION, CHOOSE, COPIED = 1, 2, 3, 4
SETTINGS, FOCUS, CHOSEN, DROPPED, COPY, PASTE = range(64, 70)
FIELDS = "type bytes id scanout flags rights status port format total offset scale".split()
TEXT, PNG = 1, 2
KEY_B, KEY_F, KEY_O, KEY_S, KEY_T, KEY_Y = 48, 33, 24, 31, 20, 21
KEY_BRACKET, KEY_E = 13, 18
tap = Tap()


class Service:
    """The desktop's end of a guest's connection to the service."""

    def __init__(self, sock):
        self.sock = sock

    def send(self, kind, data=b"", **fields):
        fields = dict(dict.fromkeys(FIELDS, 0), bytes=len(data), type=kind) | fields
        values = [fields[f] for f in FIELDS]
        try:
            self.sock.send(struct.pack("<6Ii5I", *values) + data)
        except OSError:
            pass

    def settings(self, layout=b"us", scale=120, dark=False):
        self.send(SETTINGS, layout, scale=scale, flags=int(dark))

    def receive(self, timeout=10):
        """Fields and data; None: hung up or nothing came."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return None
        try:
            packet = self.sock.recv(40000)
        except OSError:
            return None
        if not packet:
            return None
        return dict(zip(FIELDS, struct.unpack("<6Ii5I", packet[:48]))), packet[48:]

    def expect(self, kind, timeout=10):
        while True:
            got = self.receive(timeout)
            if got is None or got[0]["type"] == kind:
                return got

    def hung_up(self, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if select.select([self.sock], [], [], 0.1)[0]:
                try:
                    if not self.sock.recv(40000):
                        return True
                except OSError:
                    return True
        return False


class Desktop:
    """A client of the session that is the desktop; displays answer in a thread of their own."""

    def __init__(self, session):
        self.client = session.client()
        self.client.ask("desktop")
        self.client.ask("listen", service="desktop", type="seqpacket")
        self.peers, self.services = {}, []
        self.over = False
        threading.Thread(target=self.serve, daemon=True).start()

    def event(self, name, timeout=15):
        end = time.monotonic() + timeout
        while True:
            for i, e in enumerate(self.client.events):
                if e["event"] == name:
                    return self.client.events.pop(i)
            self.client.events.append(self.client.read_line(max(0.01, end - time.monotonic())))

    def display(self):
        e = self.event("display")
        self.peers[e["guest"]] = Peer(socket.socket(fileno=self.client.fds.pop(0)))
        return self.peers[e["guest"]]

    def service(self):
        e = self.event("connection")
        self.services.append(Service(socket.socket(fileno=self.client.fds.pop(0))))
        return self.services[-1], e

    def serve(self):
        while not self.over:
            for p in list(self.peers.values()):
                if not p.hung_up and p.receive(0.02):
                    continue
            time.sleep(0.002)

    def close(self):
        self.over = True
        time.sleep(0.1)
        self.client.close()
        for p in self.peers.values():
            p.close()
        for service in self.services:
            service.sock.close()


def said(s, text, times=1, timeout=60):
    return wait_for(lambda: s.log("w").count(text) >= times, timeout, 0.05)


def start(s, *display, args=""):
    s.start("w", GUEST, args, display=list(display))


def settings_and_focus(s):
    d = Desktop(s)
    start(s, "windows = 2")
    peer = d.display()
    service, event = d.service()
    got = service.expect(TITLE)
    tap.check(event["service"] == "desktop" and event["from"] == "w" and got and
              got[1] == b"window 0" and got[0]["scanout"] == 0, "it connects, and says its title",
              f"{event} {got}")
    peer.mode(0, 640, 480)
    service.settings(b"de", 240, True)
    tap.check(said(s, "0 settings scale 240 dark de"), "settings are told", s.log("w"))
    service.send(FOCUS, flags=1)
    ok = said(s, "0 focus 1")
    peer.keys(KEY_Y)
    peer.keys(KEY_BRACKET, KEY_E)
    tap.check(ok and said(s, "key 21 down mods 0 symbol 122 text 'z'") and said(s, "text 'é'"),
              "keys are those of the layout, accents too", s.log("w"))
    peer.keys(KEY_T)
    got = service.expect(TITLE)
    tap.check(got and got[1] == b"new title" and said(s, "title: ok"), "another title", f"{got}")
    peer.keys(KEY_B)
    tap.check(service.expect(ATTENTION) and said(s, "attention: ok"), "it asks for attention")
    peer.keys(KEY_O)
    got = service.expect(TITLE)
    tap.check(got and got[1] == b"window 1" and got[0]["scanout"] == 1, "a second window's title")
    service.send(FOCUS, scanout=1, flags=1)
    ok = said(s, "0 focus 0") and said(s, "1 focus 1")
    peer.keys(57)
    tap.check(ok and said(s, "1 key 57 down"), "keys go to the window with the focus", s.log("w"))
    peer.key(KEY_A, True)
    ok = said(s, "1 key 30 repeat")
    service.send(FOCUS, scanout=1, flags=0)
    ok &= said(s, "1 focus 0")
    time.sleep(0.2)
    before = s.log("w").count("key 30 repeat")
    time.sleep(0.3)
    tap.check(ok and s.log("w").count("key 30 repeat") == before,
              "no key is repeated without the focus", s.log("w"))
    peer.key(KEY_A, False)
    d.close()
    # It goes on, and finds the next desktop.
    ok = said(s, "0 focus 1", 2)
    d = Desktop(s)
    peer = d.display()
    time.sleep(1.1)  # it does not try twice in a second
    peer.mode(0, 700, 500)
    service, _ = d.service()
    titles = {service.expect(TITLE)[1], service.expect(TITLE)[1]}
    tap.check(ok and titles == {b"new title", b"window 1"}, "the next desktop is told the titles",
              f"{titles} {s.log('w')}")
    peer.keys(KEY_ESC)
    tap.check(s.wait_state("w", "ended"), "and it ends", f"{s.guest('w')}")
    d.close()


def clipboard(s):
    d = Desktop(s)
    start(s)
    peer = d.display()
    service, _ = d.service()
    service.settings()
    service.send(COPY, id=7)
    got = service.expect(COPIED)
    tap.check(got and got[1] == b"from the guest" and got[0]["id"] == 7 and
              got[0]["format"] == TEXT and got[0]["total"] == 14, "what is copied", f"{got}")
    service.send(PASTE, b"to the guest", format=TEXT, total=12)
    tap.check(said(s, "paste 1: to the guest, 12 bytes"), "what is pasted", s.log("w"))
    data = b"0123456789" * 10000
    for at in range(0, len(data), 30000):
        service.send(PASTE, data[at:at + 30000], format=TEXT, total=len(data), offset=at)
    tap.check(said(s, ", 100000 bytes"), "in pieces", s.log("w"))
    service.send(PASTE, b"half", format=TEXT, total=8)
    service.send(PASTE, b"another", format=TEXT, total=7)
    tap.check(said(s, "paste 1: another, 7 bytes"), "one that was not finished is forgotten")
    bad = (("a piece out of order", dict(data=b"x", format=TEXT, total=8, offset=3)),
           ("more than there is", dict(data=b"12345", format=TEXT, total=4)),
           ("a format that there is none of", dict(data=b"x", format=9, total=1)),
           ("too much text", dict(data=b"x", format=TEXT, total=(1 << 20) + 1)),
           ("a scanout that there is none of", dict(data=b"x", format=TEXT, total=1, scanout=16)))
    for name, fields in bad:
        service.send(PASTE, fields.pop("data"), **fields)
        ok = service.hung_up()
        time.sleep(1.05)
        peer.keys(57)  # somebody is there: it tries again
        service, _ = d.service()
        tap.check(ok, f"{name}: the guest hangs up")
        service.settings()
    for name, kind, data, fields in (
            ("text that is not UTF-8", SETTINGS, b"\xff", dict(scale=120)),
            ("an unknown type", 99, b"", {}), ("a size that is not", FOCUS, b"", dict(bytes=5)),
            ("a name that leaves its folder", CHOSEN, b"../x", dict(port=5))):
        service.send(kind, data, **fields)
        ok = service.hung_up()
        time.sleep(1.05)
        peer.keys(57)
        service, _ = d.service()
        tap.check(ok, f"{name}: the guest hangs up")
        service.settings()
    peer.keys(KEY_ESC)
    tap.check(s.wait_state("w", "ended"), "and the guest lives", f"{s.guest('w')}")
    d.close()


def files(s):
    notes, new = os.path.join(FOLDER, "notes.txt"), os.path.join(FOLDER, "new.txt")
    with open(notes, "w") as f:
        f.write("a line of notes\n")
    d = Desktop(s)
    start(s)
    peer = d.display()
    service, _ = d.service()
    service.settings()
    peer.keys(KEY_F)
    got = service.expect(CHOOSE)
    tap.check(got and got[1] == b"notes.txt" and got[0]["rights"] == 1 and not got[0]["flags"],
              "it asks for a file", f"{got}")
    id = got[0]["id"]
    service.send(CHOSEN, id=id, status=-125)
    tap.check(said(s, f"file {id}: Operation canceled"), "which the person may refuse", s.log("w"))
    a = d.client.ask("offer-file", guest="w", path=notes)
    service.send(CHOSEN, b"notes.txt", id=id, port=a["port"], rights=1)
    tap.check(said(s, "file notes.txt rights 1: a line of notes"), "it reads what was chosen",
              s.log("w"))
    peer.keys(KEY_S)
    got = service.expect(CHOOSE)
    a = d.client.ask("offer-file", guest="w", path=new, rights="rw", create=True)
    service.send(CHOSEN, b"new.txt", id=got[0]["id"], port=a["port"], rights=3)
    ok = got[0]["flags"] == 1 and said(s, "file new.txt rights 3")
    tap.check(ok and wait_for(lambda: open(new).read() == "written by the guest\n"),
              "it writes one that is made for it", s.log("w"))
    a = d.client.ask("offer-file", guest="w", path=notes, rights="rw")
    service.send(DROPPED, b"notes.txt", port=a["port"], rights=3)
    tap.check(said(s, "0 dropped") and said(s, "file notes.txt rights 3: a line of notes") and
              wait_for(lambda: open(notes).read() == "a line of notes\nwritten by the guest\n"),
              "one is dropped", s.log("w"))
    peer.keys(KEY_ESC)
    tap.check(s.wait_state("w", "ended"), "and it ends")
    d.close()


def section(function):
    folder = os.path.join(FOLDER, function.__name__)
    os.mkdir(folder)
    s = Session(BUILD, folder)
    try:
        function(s)
    finally:
        s.end()


for part in (settings_and_focus, clipboard, files):
    section(part)
sys.exit(tap.done())
