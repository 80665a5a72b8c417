"""The tests of test_desktop_session.sh: a session and a desktop that the test plays, with
puppets for VMMs. usage: desktop_session.py BUILD FOLDER GUESTS"""
import fcntl
import os
import shutil
import socket
import struct
import sys
import time

from p9client import Client, Gone, P9Error
from session_rig import *
from vmmctl import Tap

BUILD, FOLDER, GUESTS = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3]
tap = Tap()
F_GET_SEALS = 1034
SCREEN = 128
KEYBOARD, TABLET, MOUSE, TOUCH, PLAYBACK, CAPTURE = 1, 2, 4, 8, 16, 32


def section(function):
    """Runs a group of tests in a session of its own; afterwards it ends in order."""
    folder = os.path.join(FOLDER, function.__name__)
    session = puppet_session(BUILD, folder)
    try:
        function(session)
    finally:
        status, error = session.end()
        tap.check(status == 0 and not error, f"{function.__name__}: the session ends in order",
                  f"status {status}, {error!r}")
        shutil.rmtree(folder)


class Desktop:
    """A client that is the desktop, and the sockets that it was given."""

    def __init__(self, s, subscribe=False):
        self.client = s.client()
        if subscribe:
            self.client.ask("subscribe")
        self.answer = self.client.call("desktop")
        self.displays, self.seen = {}, []

    def event(self, name, guest=None, timeout=10):
        """The next such event; others are kept."""
        end = time.monotonic() + timeout
        while True:
            for i, e in enumerate(self.client.events):
                if e["event"] == name and guest in (None, e.get("guest")):
                    return self.client.events.pop(i)
            try:
                line = self.client.read_line(max(0.001, end - time.monotonic()))
            except TimeoutError:
                return None
            self.client.events.append(line)

    def display(self, guest, timeout=10):
        """The event of this guest's display. Its socket is in self.displays."""
        e = self.event("display", guest, timeout)
        if e:
            self.displays[guest] = socket.socket(fileno=self.client.fds.pop(0))
        return e

    def hangs_up(self):
        try:
            while True:
                self.client.read_line(5)
        except (EOFError, ConnectionResetError):
            return True
        except TimeoutError:
            return False

    def close(self):
        self.client.close()
        for d in self.displays.values():
            d.close()


def joined(desktop, vmm):
    """Are these the two ends of one socket?"""
    desktop.send(b"to the VMM")
    vmm.settimeout(5)
    got = vmm.recv(64)
    vmm.send(b"back")
    desktop.settimeout(5)
    return got == b"to the VMM" and desktop.recv(64) == b"back"


def given(v):
    """The VMM's end that came with EXO_VMM_DISPLAY, or None."""
    got = v.expect(DISPLAY)
    return socket.socket(fileno=got[1][0]) if got and got[0] == b"" and len(got[1]) == 1 else None


def configured(s):
    """What a VMM is told of its display, and who gets none."""
    v = s.puppet("shown", display=["size = 800x600", "windows = 3", "memory = 8M",
                                   "input = touch mouse", "sound = playback"])
    c, picture = v.config, v.fd("picture")
    seals = fcntl.fcntl(picture, F_GET_SEALS)
    tap.check(c["flags"] & SCREEN and c["picture_bytes"] == 8 << 20 and c["scanouts"] == 3 and
              c["inputs"] == TOUCH | MOUSE | PLAYBACK and
              (c["width"], c["height"]) == (800, 600) and
              c["scale"] == 120 and v.fd("display") is None,
              "a VMM is told of its display as its manifest has it", f"{c}")
    tap.check(os.fstat(picture).st_size == 8 << 20 and os.fstat(picture).st_blocks == 0 and
              seals & 6 == 6, "picture memory has a sealed size and is empty", f"seals {seals}")
    grants = [g for g in s.control.ask("wires")["grants"] if g["guest"] == "shown"]
    tap.check([(g["service"], g["origin"], g["rights"]) for g in grants] ==
              [("desktop", "manifest", ["connect"])] and v.slot("desktop") >> 24 == 1,
              "with [display] comes the grant of the service desktop", f"{grants}")
    plain = s.puppet("plain")
    c = plain.config
    tap.check(not c["flags"] & SCREEN and plain.fd("picture") is None and not c["scanouts"] and
              not c["width"] and not c["picture_bytes"], "without [display] there is none", f"{c}")
    desktop = Desktop(s)
    tap.check(desktop.display("shown") and not desktop.event("display", timeout=0.3),
              "and the desktop does not hear of it")
    desktop.close()


def options(s):
    """start's field display, of guests with and without a manifest."""
    image, meet = os.path.join(s.folder, "image.elf"), os.path.join(s.folder, "meet")

    def start(**fields):
        number = s.control.send("start", **fields)
        v = s.meet_puppet(fields.get("name", "x"))
        s.control.answer(number)
        v.send(STARTED)
        v.send(READY)
        return v
    v = start(program=image, name="bare", args=[meet], display={})
    c = v.config
    tap.check((c["scanouts"], c["width"], c["height"], c["picture_bytes"], c["inputs"]) ==
              (1, 640, 480, 64 << 20, KEYBOARD | TABLET) and v.slot("desktop"),
              "a program without manifest has the usual display when it is asked for", f"{c}")
    v.ended()
    s.wait_state("bare", "ended")
    v = start(program=image, name="bare", args=[meet], display={
        "width": 100, "height": 50, "windows": 2, "memory": 1 << 20, "input": [],
        "sound": ["capture"]})
    c = v.config
    tap.check((c["scanouts"], c["width"], c["height"], c["picture_bytes"], c["inputs"]) ==
              (2, 100, 50, 1 << 20, CAPTURE), "and one of its own kind", f"{c}")
    v = start(manifest=s.manifest("both", image, meet, display=["windows = 4"]), name="both",
              display={"width": 300})
    c = v.config
    tap.check((c["scanouts"], c["width"], c["height"]) == (4, 300, 480),
              "what start says goes over the manifest", f"{c}")
    for wrong, words in (({"width": 0}, "width and height"), ({"windows": 17}, "windows"),
                         ({"memory": 3 << 20}, "memory"), ({"input": ["nose"]}, "nose"),
                         ({"sound": ["keyboard"]}, "keyboard"),
                         ({"width": 16384, "height": 16384}, "no room")):
        a = s.control.call("start", program=image, display=wrong)
        tap.check(not a["ok"] and a["error"]["code"] == "invalid" and
                  words in a["error"]["message"],
                  f"display {wrong} is refused with its reason", f"{a}")
    tap.check(s.control.code("start", program=image, display={"depth": 8}) == "bad-request",
              "unknown fields of display are an error")


def attached(s):
    """Displays before and after the desktop comes; busy; a hang-up."""
    before = s.puppet("before", label="trusted", display=["size = 320x200", "windows = 2"])
    desktop = Desktop(s)
    tap.check(desktop.answer["ok"], "a client becomes the desktop", f"{desktop.answer}")
    e = desktop.display("before")
    keys = "number", "label", "scanouts", "width", "height", "colour"
    tap.check(e and {k: e[k] for k in keys} ==
              {"number": before.config["guest"], "label": "trusted", "scanouts": 2, "width": 320,
               "height": 200, "colour": "#808080"},
              "it is told of a guest that was there", f"{e}")
    tap.check(joined(desktop.displays["before"], given(before)),
              "the guest's VMM has the other end of its socket")
    other = s.client()
    tap.check(other.code("desktop") == "busy" and desktop.client.code("desktop") == "busy",
              "there is one desktop at a time")
    after = s.puppet("after", display=[])
    e = desktop.display("after")
    tap.check(e and e["number"] == after.config["guest"] and after.fd("display") is not None and
              joined(desktop.displays["after"], socket.socket(fileno=os.dup(after.fd("display")))),
              "a guest that starts later begins with a socket", f"{e}")
    os.close(after.fds.pop(after.config["display"]))
    old = desktop.displays["before"]
    desktop.close()
    tap.check(wait_for(lambda: other.code("desktop") == "ok"), "when it hangs up another may come")
    other.events += []
    guests = {g["name"]: g["state"] for g in s.control.ask("ps")["guests"]}
    tap.check(guests == {"before": "ready", "after": "ready"}, "and the guests go on", f"{guests}")
    second = Desktop.__new__(Desktop)
    second.client, second.displays = other, {}
    names = sorted(second.display(None)["guest"] for _ in range(2))
    tap.check(names == ["after", "before"] and given(before) and given(after),
              "which gets new sockets to all", f"{names}")
    after.ended(reason=1, status=3)
    s.wait_state("after", "ended")
    again = s.puppet("after", display=[])
    e = second.display("after")
    tap.check(e and e["number"] == again.config["guest"] != after.config["guest"],
              "a restarted guest has a display of its own", f"{e}")
    second.close()
    del old


def events(s):
    """The desktop's other news: only if it asks for them."""
    desktop = Desktop(s, subscribe=True)
    v = s.puppet("shown", display=[])
    kinds = [desktop.event(k, "shown") is not None for k in ("display", "started", "ready")]
    v.ended()
    tap.check(all(kinds) and desktop.event("ended", "shown"), "events of subscribe come too",
              f"{kinds}")
    desktop.close()


def restarted(s):
    """The session is killed; the desktop comes again and finds displays."""
    shown = s.puppet("shown", display=["windows = 2", "size = 200x100"])
    liar, modest = s.puppet("liar"), s.puppet("modest", display=["windows = 4"])
    first = Desktop(s)
    first.display("shown")
    given(shown)
    s.crash()
    tap.check(first.hangs_up(), "a killed session hangs up on its desktop")
    first.close()
    s.begin()
    early = Desktop(s)
    hello(shown, scanouts=9)
    hello(liar, scanouts=1)
    hello(modest, scanouts=3)
    for v in (shown, liar, modest):
        channels(v)
    e, e2 = early.display("shown"), early.display("modest")
    tap.check(e and (e["scanouts"], e["width"], e["height"]) == (2, 200, 100) and
              joined(early.displays["shown"], given(shown)),
              "the next session's desktop has the display of a guest of the last", f"{e}")
    tap.check(e2 and e2["scanouts"] == 3 and not early.event("display", timeout=0.3),
              "H-34 a VMM has no more display than it was given, whatever it says", f"{e2}")
    early.close()
    late = Desktop(s)
    tap.check(late.display("shown") and joined(late.displays["shown"], given(shown)),
              "and so has one that comes when all have spoken")
    late.close()
    for v in (shown, liar, modest):
        v.ended()
        v.exit()
    for name in ("shown", "liar", "modest"):
        s.wait_state(name, "ended")


def crowd(s):
    """Many guests; a desktop that does not read is dropped, and nobody else is hurt."""
    puppets = [s.puppet(f"g{i}", display=["memory = 1M", "size = 1x1"]) for i in range(8)]
    for _ in range(40):
        Desktop(s).close()
    desktop = Desktop(s)
    names = sorted(desktop.display(None)["guest"] for _ in puppets)
    tap.check(names == sorted(v.name for v in puppets) and all(v.is_alive(0.05) for v in puppets),
              "desktops that come and go quickly do no harm", f"{names}")
    fds = len(os.listdir(f"/proc/{s.process.pid}/fd"))
    desktop.close()
    for _ in range(20):
        d = Desktop(s)
        for _ in puppets:
            d.display(None)
        d.close()
    for v in puppets:
        v.is_alive(0.01)
    d = Desktop(s)
    wait_for(lambda: len(os.listdir(f"/proc/{s.process.pid}/fd")) <= fds)
    now = len(os.listdir(f"/proc/{s.process.pid}/fd"))
    tap.check(now <= fds, "and leave no descriptors behind", f"{fds} then {now}")
    d.close()


def file_client(v, port):
    """The guest connects to what was offered: a 9P client, or the refusal's word."""
    v.request(port)
    payload, fds = v.expect(VSOCK_REPLY)
    fields = struct.unpack("<IIIiIIIIQQ", payload)
    if not fds:
        return REASONS[fields[7]]
    sock = socket.socket(fileno=fds[0])
    sock.setblocking(True)
    c = Client(sock)
    c.info = fields[8], fields[5], OPENER  # for CHANNELS
    return c


def servers(s):
    """Processes exo-fs of the session."""
    with open(f"/proc/{s.process.pid}/task/{s.process.pid}/children") as f:
        children = f.read().split()
    names = []
    for pid in children:
        try:
            with open(f"/proc/{pid}/comm") as f:
                names.append(f.read().strip())
        except OSError:
            pass
    return names.count("exo-fs")


def offered(s):
    """A file for one guest, until the grant or the guest ends."""
    folder = os.path.join(s.folder, "host")
    os.mkdir(folder)
    path, secret = os.path.join(folder, "a file.txt"), os.path.join(folder, "secret")
    for p, text in ((path, "chosen"), (secret, "SECRET")):
        with open(p, "w") as f:
            f.write(text)
    desktop = Desktop(s)
    client = desktop.client
    v, other = s.puppet("paint", display=[]), s.puppet("other", display=[])
    tap.check(s.control.code("offer-file", guest="paint", path=path) == "refused",
              "only the desktop offers files")
    a = client.ask("offer-file", guest="paint", path=path)
    tap.check(a["name"] == "a file.txt" and a["port"] >> 24 == 1, "the desktop does", f"{a}")
    c = file_client(v, a["port"])
    f = c.walk("a file.txt")
    c.open(f)
    tap.check(c.list() == ["a file.txt"] and c.read(f) == b"chosen" and servers(s) == 1,
              "the guest finds the file, and nothing else")
    bad = []
    for call in (lambda: c.walk("secret"), lambda: c.walk(".."), lambda: c.create(c.walk(), "x"),
                 lambda: c.open(c.walk("a file.txt"), 2), lambda: c.unlink("a file.txt"),
                 lambda: c.link(c.root, f, "y"), lambda: c.symlink("z", secret)):
        try:
            call()
            bad.append(call)
        except P9Error:
            pass
    tap.check(not bad and sorted(os.listdir(folder)) == ["a file.txt", "secret"],
              "H-28: and can do no more with it")
    grants = [g for g in s.control.ask("wires")["grants"] if g["grant"] == a["grant"]]
    tap.check(len(grants) == 1 and grants[0]["guest"] == "paint" and
              grants[0]["origin"] == "person" and "a_file.txt" in grants[0]["service"],
              "the grant can be seen", f"{grants}")
    other.request(a["port"])
    word = other.refusal()
    tap.check(word and word[0] in ("no-slot", "stale"), "another guest cannot come to it",
              f"{word}")
    s.control.ask("grant", guest="other", service=grants[0]["service"])
    port = other.talk().call("RESOLVE", name=grants[0]["service"])["port"]
    got = file_client(other, port)
    tap.check(isinstance(got, str), "nor with a grant for its name: it is one guest's", f"{got}")
    new = os.path.join(folder, "new")
    b = client.ask("offer-file", guest="paint", path=new, rights="rw", create=True)
    d = file_client(v, b["port"])
    g = d.walk("new")
    d.open(g, 2)
    d.write(g, b"written")
    tap.check(open(new).read() == "written" and servers(s) == 2 and b["port"] != a["port"],
              "a file is made when it is to be, and written")
    for p, code in ((os.path.join(folder, "none"), "not-found"), (folder, "invalid"),
                    (folder + "/", "invalid"), ("/dev/null", "invalid"), ("/", "invalid")):
        got = client.code("offer-file", guest="paint", path=p)
        tap.check(got == code, f"{os.path.basename(p) or p} is not offered: {code}", got)
    os.mkfifo(os.path.join(folder, "fifo"))
    got = client.code("offer-file", guest="paint", path=os.path.join(folder, "fifo"))
    tap.check(got == "invalid" and client.ask("hello"),
              "nor a FIFO, and nobody waits for its writer")
    # One is taken back.
    tap.check(client.ask("revoke", grant=b["grant"])["revoked"] == 1 and
              v.closed() == (d.info[1], "revoked"), "revoke ends it for the guest's VMM")
    tap.check(wait_for(lambda: not answers(d)), "H-34 and it ends, whatever that does")
    d.close()
    tap.check(wait_for(lambda: servers(s) == 1), "and its server is gone")
    v.request(b["port"])
    word = v.refusal()
    tap.check(word and word[0] in ("revoked", "stale", "no-slot"), "its port leads nowhere",
              f"{word}")
    tap.check(c.read(f) == b"chosen", "the other file is still there")
    grant = client.ask("offer-file", guest="paint", path=path)["grant"]
    client.ask("revoke", grant=grant)
    tap.check(client.ask("offer-file", guest="paint", path=path)["grant"] != grant,
              "it can be offered again")
    many = [client.code("offer-file", guest="paint", path=path) for _ in range(70)]
    tap.check(many.count("ok") <= 64 and many[-1] == "limit", "64 files a guest",
              f"{many.count('ok')}")
    # A session that is killed takes no file away.
    desktop.close()
    s.crash()
    s.begin()
    hello(v)
    channels(v, c.info)
    hello(other)
    channels(other)
    s.wait_state("paint", "ready")
    tap.check(c.read(f) == b"chosen", "open connections outlive a session")
    again = file_client(v, a["port"])
    tap.check(isinstance(again, Client) and again.list() == ["a file.txt"],
              "and the next session offers the file still", f"{again}")
    fds = len(os.listdir(f"/proc/{s.process.pid}/fd"))
    again.close()
    c.close()
    v.ended()
    s.wait_state("paint", "ended")
    tap.check(wait_for(lambda: servers(s) == 0), "with the guest its files' servers end")
    left = [g for g in s.control.ask("wires")["grants"] if g["service"].startswith("file-") and
            g["guest"] == "paint"]
    now = len(os.listdir(f"/proc/{s.process.pid}/fd"))
    tap.check(not left and now < fds - 40, "and its grants, and descriptors",
              f"{left} {fds} then {now}")


def answers(client):
    """Does the 9P client's server still answer?"""
    try:
        client.walk()
        return True
    except (Gone, P9Error):
        return False


def controlled(s):
    """A guest with a grant for "control" is a client, with less rights."""
    programs = os.path.join(s.folder, "programs")
    os.mkdir(programs)
    image, meet = os.path.join(s.folder, "image.elf"), os.path.join(s.folder, "meet")
    with open(os.path.join(programs, "tool.exo"), "w") as f:
        f.write(f"[program]\nfile = {image}\nargs = {meet}\n[display]\n")
    s.end()
    os.environ["EXO_PATH"] = programs
    s.begin()
    term, stranger = s.puppet("term", uses=["control ="], label="trusted"), s.puppet("stranger")

    def talk(v, port):
        v.request(port)
        fd, conn = v.reply_fd()
        if fd is None:
            return None, 0
        sock = socket.socket(fileno=fd)
        sock.setblocking(True)
        return Control(sock), conn
    c, conn = talk(term, term.slot("control"))
    names = [g["name"] for g in c.ask("ps")["guests"]]
    tap.check(names == ["term", "stranger"], "a guest that may is a client of the session",
              f"{names}")
    stranger.request(1 << 24)
    tap.check(stranger.refusal()[0] in ("no-slot", "stale"), "one that may not is none")
    tap.check([c.code(op) for op in ("shutdown", "listen", "connect", "desktop", "offer-file")] ==
              ["refused"] * 5, "operations that lead out are refused")
    c.ask("subscribe")
    number = c.send("start", program="tool")
    tool = s.meet_puppet("tool")
    answer = c.answer(number)
    tool.send(STARTED)
    tap.check(answer["ok"] and answer["guest"] == "tool" and tool.config["scanouts"] == 1 and
              s.guest("tool")["label"] == "untrusted", "it starts what is among the programs",
              f"{answer}")
    tap.check(wait_for(lambda: c.ask("hello") and any(e["event"] == "ready" for e in c.events)),
              "and hears of it")
    tap.check([c.code("start", program=p) for p in ("/bin/true", image, "../image.elf", "image")] ==
              ["refused"] * 3 + ["not-found"], "and nothing else")
    # Its VMM holds the socket: descriptors that it sends are closed.
    fds = len(os.listdir(f"/proc/{s.process.pid}/fd"))
    for _ in range(20):
        socket.send_fds(c.sock, [b'{"id":"x","op":"ps"}\n'], [0, 1, 2])
        c.answer("x")
    got = c.code("start", fds=[0, 1, 2], program="tool")
    c.ask("hello")
    now = len(os.listdir(f"/proc/{s.process.pid}/fd"))
    tap.check(now == fds and got == "refused", "H-34 descriptors do not come in by it",
              f"{fds} then {now}, {got}")
    watcher = s.client()
    watcher.ask("audit", service="control")
    found = [e for e in watcher.events if "term" in (e.get("guest"), e.get("from"))]
    tap.check("connect" in [e["what"] for e in found], "the audit log has its connection",
              f"{watcher.events}")
    watcher.close()
    wire = [w for w in s.wires() if w["service"] == "control"]
    tap.check(len(wire) == 1 and (wire[0]["from"], wire[0]["to"], wire[0]["path"]) ==
              ("term", "host", "host"), "so have the wires", f"{wire}")
    host = Control(socket.socket(fileno=s.control.take_fd("connect", service="control")))
    tap.check(host.code("ps") == "ok" and host.code("shutdown") == "refused",
              "a host program that connects has no more")
    host.close()
    socks = [talk(term, term.slot("control"))[0] for _ in range(4)]
    got = socks[3].read_line(5)
    tap.check(got["error"]["code"] == "limit", "4 connections a guest", f"{got}")
    for x in socks:
        x.close()
    number = c.send("stop", guest="tool", timeout_ms=5000)
    tool.expect(SIGNAL)
    tool.ended()
    tap.check(c.answer(number)["ok"], "it stops guests")
    grant = [g["grant"] for g in s.control.ask("wires")["grants"] if g["service"] == "control" and
             g["guest"] == "term"]
    s.control.ask("revoke", grant=grant[0])
    try:
        while c.read_line(5):
            pass
        over = False
    except (EOFError, ConnectionResetError):
        over = True
    except TimeoutError:
        over = False
    tap.check(over and term.closed() == (conn, "revoked"), "H-34 a grant that is revoked ends it, "
              "whatever the VMM does")
    del os.environ["EXO_PATH"]


def streams():
    """Real guests: streams that were given, to a guest that does not end with the client; and
    a display that a real VMM has."""
    folder = os.path.join(FOLDER, "streams")
    os.mkdir(folder)
    s = Session(BUILD, folder)
    cat = os.path.join(GUESTS, "cat.elf")
    giver = s.client()
    given_in, (out, given_out) = socket.socketpair(), os.pipe()
    giver.ask("start", (given_in[1].fileno(), given_out, given_out), program=cat, name="cat")
    given_in[1].close()
    os.close(given_out)
    giver.close()
    given_in[0].sendall(b"typed\n")
    got = os.read(out, 100)
    tap.check(got == b"typed\n", "a guest keeps the streams of a client that has gone", f"{got}")
    tap.check(s.guest("cat")["state"] == "ready" and s.log("cat") == "",
              "and is nobody's; its log is empty")
    given_in[0].close()
    tap.check(s.wait_state("cat", "ended") and os.read(out, 100) == b"", "it ends by itself")
    os.close(out)
    chan = os.path.join(GUESTS, "test", "chan.elf")
    s.control.ask("start", manifest=s.manifest("asker", chan, uses=["control ="]),
                  args=["connect", "control", "stream", "say", '{"id":1,"op":"ps"}\n'])
    got = wait_for(lambda: '"name":"asker"' in s.log("asker"), 20)
    tap.check(got, "a real guest asks what runs by the service control", s.log("asker"))
    s.control.ask("kill", guest="asker")
    desktop = Desktop(s)
    given_in = socket.socketpair()
    s.control.ask("start", (given_in[1].fileno(), 1, 1), program=cat, name="shown",
                  display={"width": 320, "height": 200})
    given_in[1].close()
    e = desktop.display("shown")

    def greeting():
        """The VMM's first message: type, picture bytes, scanouts, inputs; its memfd's size."""
        sock = desktop.displays["shown"]
        sock.setblocking(True)
        sock.settimeout(10)
        data, fds, _, _ = socket.recv_fds(sock, 8192, 2)
        size = os.fstat(fds[0]).st_size
        os.close(fds[0])
        return struct.unpack_from("<I", data, 4) + struct.unpack_from("<QII", data, 16) + (size,)
    hello = (64, 64 << 20, 1, KEYBOARD | TABLET, 64 << 20)
    tap.check(e and greeting() == hello, "a real VMM greets the desktop with its pictures")
    desktop.close()
    desktop = Desktop(s)
    tap.check(desktop.display("shown") and greeting() == hello, "and the next one")
    path = os.path.join(folder, "offered")
    with open(path, "w") as f:
        f.write("x")
    s.control.ask("start", program=chan, name="reader", display={},
                  args=["serve", "9", "stream", "hold"])
    s.wait_state("reader", "ready")
    offer = desktop.client.ask("offer-file", guest="reader", path=path)
    s.control.ask("kill", guest="reader")
    s.wait_state("reader", "ended")
    tap.check(offer["port"] and not [g for g in s.control.ask("wires")["grants"]
                                     if g["grant"] == offer["grant"]],
              "a file that was offered to a guest that was killed is not any more")
    s.crash()
    desktop.close()
    s.begin()
    desktop = Desktop(s)
    tap.check(desktop.display("shown") and greeting() == hello,
              "and that of a session that came after a crash")
    given_in[0].close()
    tap.check(s.wait_state("shown", "ended"), "and goes on all the while")
    desktop.close()
    status, error = s.end()
    tap.check(status == 0 and not error, "streams: the session ends in order",
              f"{status} {error!r}")


streams()
for function in (controlled, offered, configured, options, attached, events, restarted, crowd):
    section(function)
sys.exit(tap.done())
