"""A session and guests that are not there, for tests of exo-desktop alone.

FakeSession serves the control socket (docs/control.md) as far as the desktop asks; FakeGuest is the
VMM's end of a display connection (include/exo/display.h) with picture memory of its own.
Desktop starts exo-desktop and speaks with it by desktop.sock.
"""
import array
import ctypes
import fcntl
import json
import mmap
import os
import socket
import struct
import subprocess
import threading
import time

MAGIC = 0x31595044
MODE, INPUT, PRESENTED, PLAYED, CAPTURED = range(1, 6)
HELLO, SCANOUT, FLUSH, CURSOR, SOUND, PCM = range(64, 70)
XRGB, ARGB, XBGR = 1, 2, 3
KEYBOARD, TABLET, MOUSE, TOUCH = range(4)
HAS_KEYBOARD, HAS_TABLET, HAS_MOUSE, HAS_TOUCH, HAS_PLAYBACK, HAS_CAPTURE = (1 << i for i in range(6))
EV_SYN, EV_KEY, EV_REL, EV_ABS = range(4)

F_ADD_SEALS, SEAL_SHRINK, SEAL_GROW = 1033, 2, 4


def wait_for(condition, seconds=20, what="a condition"):
    """Until it holds: its value. Raises when it does not come to hold."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come about")
        time.sleep(0.01)


class FakeGuest:
    """The VMM's end; what the desktop sends is collected by `take`."""

    def __init__(self, name, label="work", colour="#3060c0", size=(320, 240), number=1,
                 memory=16 << 20, inputs=HAS_KEYBOARD | HAS_TABLET, scanouts=1, seal=True):
        self.name, self.label, self.colour, self.number = name, label, colour, number
        self.width, self.height = size
        self.scanouts, self.inputs = scanouts, inputs
        self.sock, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setblocking(False)
        self.fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, memory)
        if seal:
            fcntl.fcntl(self.fd, F_ADD_SEALS, SEAL_SHRINK | SEAL_GROW)
        self.memory_bytes = memory
        self.memory = mmap.mmap(self.fd, memory)
        self.modes, self.presented, self.events = [], [], []
        self.played = self.captured = 0
        self.sequence = 0
        self.gone = False

    def send(self, kind, body, fds=(), size=None, magic=MAGIC):
        size = 16 + len(body) if size is None else size
        packet = struct.pack("<4I", magic, kind, size, 0) + body
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([packet], rights)

    def hello(self, memory=None, fd=True):
        self.send(HELLO, struct.pack("<QII", memory or self.memory_bytes, self.scanouts,
                                     self.inputs), [self.fd] if fd else [])

    def show(self, width, height, offset=0, stride=None, form=XRGB, scanout=0):
        self.send(SCANOUT, struct.pack("<Q6I", offset, stride or width * 4, width, height, form,
                                       scanout, self.sequence))

    def flush(self, x, y, width, height, scanout=0, sequence=None):
        self.sequence += 1
        self.send(FLUSH, struct.pack("<6I", scanout, self.sequence if sequence is None else sequence,
                                     x, y, width, height))
        return self.sequence

    def cursor(self, offset, visible=1, hot=(0, 0), scanout=0):
        self.send(CURSOR, struct.pack("<Q4I", offset, scanout, visible, *hot))

    def fill(self, colour, width, height, offset=0):
        self.memory[offset:offset + width * height * 4] = struct.pack("<I", colour) * (width * height)

    def draw(self, colour, width=None, height=None):
        """A window full of one colour; the flush's sequence."""
        width, height = width or self.width, height or self.height
        self.fill(colour, width, height)
        self.show(width, height)
        return self.flush(0, 0, width, height)

    def take(self):
        """What came is sorted into modes, presented, events, played."""
        while not self.gone:
            try:
                m = self.sock.recv(8192)
            except BlockingIOError:
                return self
            except ConnectionResetError:
                m = b""
            if not m:
                self.gone = True
                return self
            _, kind, size, _ = struct.unpack_from("<4I", m)
            assert size == len(m), "a message of another size"
            if kind == MODE:
                self.modes.append(struct.unpack_from("<5I", m, 16))
            elif kind == PRESENTED:
                self.presented.append(struct.unpack_from("<2IQ", m, 16))
            elif kind == PLAYED:
                self.played += struct.unpack_from("<2I", m, 16)[1]
            elif kind == CAPTURED:
                self.captured += struct.unpack_from("<2I", m, 16)[1]
            elif kind == INPUT:
                device, scanout, count, _ = struct.unpack_from("<4I", m, 16)
                for i in range(count):
                    self.events.append((device, scanout) + struct.unpack_from("<HHi", m, 32 + 8 * i))
        return self

    def wait_presented(self, sequence):
        wait_for(lambda: any(p[1] == sequence for p in self.take().presented) or self.gone,
                 what=f"the presentation of {self.name}'s flush {sequence}")

    def close(self):
        for end in (self.sock, self.theirs):
            if end:
                end.close()
        self.memory.close()
        os.close(self.fd)


class FakeSession:
    """One client at a time, the desktop. `asked` has every request."""

    def __init__(self, directory):
        self.guests, self.asked, self.client = [], [], None
        self.lock = threading.Lock()
        self.attached = False
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = os.path.join(directory, "control")
        if os.path.exists(path):
            os.unlink(path)
        self.listener.bind(path)
        self.listener.listen(4)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.client, self.attached = client, False
            try:
                for line in client.makefile("rb"):
                    self._answer(json.loads(line))
            except (OSError, AttributeError):
                pass  # closed here

    def _say(self, o, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.client.sendmsg([json.dumps(o).encode() + b"\n"], rights)

    def _answer(self, request):
        with self.lock:
            self.asked.append(request)
            answer = {"id": request["id"], "ok": True}
            if request["op"] == "ps":
                answer["guests"] = [self._entry(g) for g in self.guests]
            self._say(answer)
            if request["op"] == "desktop":
                self.attached = True
                for g in self.guests:
                    self._display(g)
            if request["op"] in ("kill", "stop"):
                self.guests = [g for g in self.guests if g.name != request.get("guest")]
                self._say({"event": "ended", "guest": request.get("guest")})

    @staticmethod
    def _entry(g):
        return {"name": g.name, "state": "ready", "label": g.label, "colour": g.colour,
                "number": g.number, "paused": False}

    def _display(self, g):
        if g.theirs is None:
            g.sock.close()
            g.sock, g.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            g.sock.setblocking(False)
            g.sequence, g.gone = 0, False
        self._say({"event": "display", "guest": g.name, "number": g.number, "label": g.label,
                   "colour": g.colour, "scanouts": g.scanouts, "width": g.width,
                   "height": g.height, "fds": 1}, [g.theirs.fileno()])
        g.theirs.close()
        g.theirs = None

    def add(self, guest):
        with self.lock:
            self.guests.append(guest)
            if self.attached:
                self._display(guest)
        return guest

    def was_asked(self, op, guest=None):
        with self.lock:
            return any(r["op"] == op and (guest is None or r.get("guest") == guest)
                       for r in self.asked)

    def close(self):
        """As a session that dies; guests and the desktop go on."""
        self.listener.close()
        with self.lock:
            if self.client:
                self.client.shutdown(socket.SHUT_RDWR)
                self.client.close()
                self.client = None


class Desktop:
    """exo-desktop and its desktop.sock."""

    def __init__(self, build, directory, *options, env=None):
        self.directory = directory
        program = os.environ.get("EXO_DESKTOP", os.path.join(build, "bin", "exo-desktop"))
        self.process = subprocess.Popen([program, "--session", directory, *options],
                                        env=dict(os.environ, **(env or {})))
        self.sock = None
        self.id = 0

    def dial(self):
        path = os.path.join(self.directory, "desktop.sock")

        def attempt():
            assert self.process.poll() is None, "exo-desktop has ended"
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                s.connect(path)
            except OSError:
                s.close()
                return None
            return s
        self.sock = wait_for(attempt, what="desktop.sock")
        self.lines = self.sock.makefile("rb")

    def ask(self, op, **fields):
        """The answer; raises if it is not ok."""
        if not self.sock:
            self.dial()
        self.id += 1
        self.sock.sendall(json.dumps(dict(fields, id=self.id, op=op)).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        if not answer.get("ok"):
            raise RuntimeError(f"{op}: {answer.get('error')}")
        return answer

    def close(self):
        if self.sock:
            self.sock.close()
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)
