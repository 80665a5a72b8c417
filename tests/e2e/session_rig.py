"""A session for tests: exo session in a folder of its own, its control socket, guests of
manifests, and puppets: VMMs whose words the test speaks (puppetvmm.py), so that a
session is seen from outside as a guest's VMM sees it, honest or not."""
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time

from vmmctl import receive_packet

HERE = os.path.dirname(os.path.abspath(__file__))
MAGIC = 0x314D4D56
(CONFIG, SIGNAL, KILL, WINCH, VSOCK_OPEN, VSOCK_REPLY, STATS_REQUEST, CHANNEL, CHANNEL_CLOSE,
 CHANNELS_REQUEST, MEM_MAP, MEM_UNMAP, PAUSE, DISPLAY) = range(1, 15)
(STARTED, ENDED, TERMIOS, READY, VSOCK_REQUEST, STATS, CHANNEL_STATE, CHANNELS, MEM_MAPPED,
 HELLO) = range(64, 74)
ACCEPTED, REFUSED, CLOSED = 1, 2, 3
DIRECT, OPENER = 1, 2
STREAM, SEQPACKET = 1, 2
REASONS = ("none closed ended died revoked expired protocol no-slot stale absent not-ready budget "
           "refused session type").split()
R = {name: number for number, name in enumerate(REASONS)}
CAP_OPS = ("? LIST RESOLVE LABEL REASON DELEGATE TAKE DROP REVOKE PROVIDE READY ALIVE MEM_CREATE "
           "MEM_OFFER MEM_ACCEPT MEM_REVOKE MEM_RELEASE").split()
CAP = {name: number for number, name in enumerate(CAP_OPS)}
CONNECT, GRANT, WAIT, SEQ, READ_ONLY, MOVE = 1, 2, 4, 8, 16, 32
NO_FD = 0xFFFFFFFF


def wait_for(condition, timeout=5.0, pause=0.005):
    """Until condition() is true, or not: its last value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(pause)


class Control:
    """A client of the control socket."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer, self.fds, self.events, self.answers, self.last = b"", [], [], {}, 0

    def send(self, op, fds=(), **fields):
        self.last += 1
        fields.update(op=op, id=self.last)
        if fds:
            fields["fds"] = len(fds)
        socket.send_fds(self.sock, [json.dumps(fields).encode() + b"\n"], list(fds))
        return self.last

    def read_line(self, timeout):
        self.sock.settimeout(timeout)
        while b"\n" not in self.buffer:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, 8)
            self.fds += fds
            if not data:
                raise EOFError("the session hung up")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def answer(self, number, timeout=15):
        while number not in self.answers:
            line = self.read_line(timeout)
            if line.get("id") is not None:
                self.answers[line["id"]] = line
            else:
                self.events.append(line)
        return self.answers.pop(number)

    def call(self, op, fds=(), timeout=15, **fields):
        return self.answer(self.send(op, fds, **fields), timeout)

    def ask(self, op, fds=(), **fields):
        """As call, but it has to go well."""
        answer = self.call(op, fds, **fields)
        if not answer.get("ok"):
            raise RuntimeError(f"{op} {fields}: {answer}")
        return answer

    def code(self, op, **fields):
        """The error's code, or "ok"."""
        answer = self.call(op, **fields)
        return "ok" if answer["ok"] else answer["error"]["code"]

    def take_fd(self, op, **fields):
        self.ask(op, **fields)
        return self.fds.pop(0)

    def close(self):
        self.sock.close()


class Session:
    def __init__(self, build, folder, puppets=False, wrap=()):
        self.build, self.folder, self.puppets, self.wrap = build, folder, puppets, list(wrap)
        self.directory = os.path.join(folder, "run")
        self.process, self.control = None, None
        self.manifests = 0
        if puppets:
            self.meet = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.meet.bind(os.path.join(folder, "meet"))
            self.meet.listen(64)
        self.begin()

    def environment(self):
        env = dict(os.environ, EXO_SESSION=self.directory)
        env.pop("NOTIFY_SOCKET", None)
        if self.puppets:
            env["EXO_VMM"] = os.path.join(HERE, "puppetvmm.py")
        return env

    def begin(self):
        self.process = subprocess.Popen(self.wrap + [os.path.join(self.build, "bin/exo"), "session"],
                                        env=self.environment(), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if "listening at" not in line:
            raise RuntimeError(f"session: {line!r} {self.process.stderr.read()!r}")
        self.control = self.client()

    def client(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(os.path.join(self.directory, "control"))
        return Control(sock)

    def crash(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        self.control.close()

    def end(self):
        """Ends it in order. Its status and what it said on standard error."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            _, error = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, error = self.process.communicate()
            return "hung", error
        self.control.close()
        return self.process.returncode, error

    # ---- guests ---------------------------------------------------------------------------

    def manifest(self, name, file, args="", label="", **sections):
        """Writes a manifest; sections: lists of lines. Its path."""
        path = os.path.join(self.folder, f"{name}.exo")
        with open(path, "w") as f:
            f.write(f"[program]\nfile = {file}\nname = {name}\n")
            f.write(f"args = {args}\n" if args else "")
            f.write(f"label = {label}\n" if label else "")
            for section, lines in sections.items():
                f.write(f"[{section}]\n" + "".join(line + "\n" for line in lines))
        return path

    def start(self, name, file, args="", **sections):
        return self.control.ask("start", manifest=self.manifest(name, file, args, **sections))

    def guest(self, name):
        for g in self.control.ask("ps")["guests"]:
            if g["name"] == name:
                return g
        return None

    def log(self, name):
        client = self.client()
        client.ask("log", guest=name)
        client.close()
        return "".join(e["text"] for e in client.events if e.get("event") == "log")

    def wires(self):
        return self.control.ask("wires")["connections"]

    def wait_state(self, name, state, timeout=10):
        return wait_for(lambda: (self.guest(name) or {}).get("state") == state, timeout)

    # ---- puppets --------------------------------------------------------------------------

    def puppet(self, name, started=True, ready=True, **sections):
        """Starts a guest whose VMM the test is."""
        number = self.control.send("start", manifest=self.manifest(
            name, os.path.join(self.folder, "image.elf"), os.path.join(self.folder, "meet"),
            **sections))
        puppet = self.meet_puppet(name)
        answer = self.control.answer(number)
        if not answer["ok"]:
            raise RuntimeError(answer)
        if started:
            puppet.send(STARTED)
        if ready:
            puppet.send(READY)
            self.wait_state(name, "ready")
        return puppet

    def meet_puppet(self, name, timeout=10):
        self.meet.settimeout(timeout)
        link, _ = self.meet.accept()
        config, fds, _, _ = socket.recv_fds(link, 8300, 25)
        return Puppet(self, name, link, config, fds)


class Puppet:
    """A VMM as the session sees it."""

    def __init__(self, session, name, link, config, fds):
        self.session, self.name, self.link = session, name, link
        self.pid, = struct.unpack_from("<I", config)
        config = config[4:]
        self.sock = socket.socket(fileno=fds[0])
        self.fds = fds[1:]
        fields = struct.unpack_from("<Q18I3Q7I", config, 16)
        names = ("ram cpus flags program initrd args args_bytes argc envc stdin stdout stderr "
                 "boot_flags rows cols ndisks listen guest_bell vmm_bell window guest "
                 "picture_bytes picture display scanouts inputs width height scale").split()
        self.config = dict(zip(names, fields))
        text = os.pread(self.fd("args"), self.config["args_bytes"], 0).split(b"\0")[:-1]
        self.env = dict(e.decode().split("=", 1) for e in text[self.config["argc"]:])
        self.last = 0
        self.waiting = []  # messages that were read while another was wanted

    def fd(self, name):
        index = self.config[name]
        return None if index == NO_FD else self.fds[index]

    def slot(self, service):
        return int(self.env["EXO_SLOT_" + service.upper()])

    def send(self, kind, payload=b"", fds=(), size=None, nfds=None, magic=MAGIC):
        size = 16 + len(payload) if size is None else size
        nfds = len(fds) if nfds is None else nfds
        socket.send_fds(self.sock, [struct.pack("<IIII", magic, kind, size, nfds) + payload],
                        list(fds))

    def receive(self, timeout=5):
        """(type, payload, fds); None at hang-up; TimeoutError."""
        self.sock.settimeout(timeout)
        message, fds = receive_packet(self.sock)
        if not message:
            return None
        return struct.unpack_from("<II", message)[1], message[16:], fds

    def expect(self, kind, timeout=5):
        """The next message of that kind; others are kept. (payload, fds) or None."""
        for i, m in enumerate(self.waiting):
            if m[0] == kind:
                del self.waiting[i]
                return m[1:]
        end = time.monotonic() + timeout
        while True:
            try:
                m = self.receive(max(0.001, end - time.monotonic()))
            except TimeoutError:
                return None
            if m is None:
                return None
            if m[0] == kind:
                return m[1:]
            if m[0] == STATS_REQUEST:
                self.stats()
            else:
                self.waiting.append(m)

    def is_alive(self, timeout=0.5):
        """Has the session neither hung up nor killed it? Answers what is answered by itself."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                m = self.receive(max(0.001, end - time.monotonic()))
            except TimeoutError:
                break
            if m is None:
                return False
            if m[0] == STATS_REQUEST:
                self.stats()
            else:
                self.waiting.append(m)
        return True

    def was_ended(self, timeout=3):
        """Has the session ended this VMM?"""
        return not self.is_alive(timeout)

    # ---- what a VMM says --------------------------------------------------------------------

    def request(self, port, type=STREAM, guest_port=None, direct=False):
        self.last += 1
        self.send(VSOCK_REQUEST, struct.pack(
            "<IIIiIIIIQQ", self.last, port, type, 0, 2 if direct else 0, 0,
            40000 + self.last if guest_port is None else guest_port, 0, 0, 0))
        return self.last

    def refusal(self, timeout=5):
        """(reason's word, errno) of the next VSOCK_REPLY, or None."""
        got = self.expect(VSOCK_REPLY, timeout)
        if not got:
            return None
        for fd in got[1]:
            os.close(fd)
        f = struct.unpack("<IIIiIIIIQQ", got[0])
        return REASONS[f[7]], -f[3]

    def reply_fd(self, timeout=5):
        """The socket of a VSOCK_REPLY that went well, and the connection's number."""
        payload, fds = self.expect(VSOCK_REPLY, timeout)
        f = struct.unpack("<IIIiIIIIQQ", payload)
        return (fds[0] if fds else None), f[5]

    def channel(self, timeout=5):
        """The next CHANNEL as a dict, or None."""
        got = self.expect(CHANNEL, timeout)
        if not got:
            return None
        names = "conn request port type side flags ring_bytes peer cookie max_rate".split()
        c = dict(zip(names, struct.unpack("<IIIIIIIIQQ", got[0])))
        c["fds"] = got[1]
        return c

    def state(self, conn, state, flags=0, reason=0, counters=(0, 0, 0, 0)):
        self.send(CHANNEL_STATE, struct.pack("<IIIIQQQQ", conn, state, flags, reason, *counters))

    def closed(self, timeout=5):
        """(conn, reason's word) of the next CHANNEL_CLOSE, or None."""
        got = self.expect(CHANNEL_CLOSE, timeout)
        if not got:
            return None
        conn, reason = struct.unpack("<II", got[0])
        return conn, REASONS[reason]

    def accept(self, direct=False, timeout=5):
        c = self.channel(timeout)
        self.state(c["conn"], ACCEPTED, DIRECT if direct else 0)
        return c

    def stats(self):
        self.send(STATS, struct.pack("<QQQQQ", 1, 2, 3, 4, 5))

    def ended(self, reason=1, status=0):
        self.send(ENDED, struct.pack("<II", reason, status) + bytes(8 * 11 + 8 + 512))

    def exit(self, status=0):
        """Its process goes."""
        try:
            self.link.send(bytes([status]))
        except OSError:
            pass

    # ---- port 1 -------------------------------------------------------------------------------

    def talk(self):
        self.request(1, SEQPACKET)
        fd, _ = self.reply_fd()
        return Talk(self, socket.socket(fileno=fd)) if fd is not None else None

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.sock.close()
        self.link.close()


def hello(v, number=None, name=None, pid=None, fds=None, scanouts=None):
    """The new session has connected: HELLO."""
    listener = socket.socket(fileno=os.dup(v.fd("listen")))
    listener.settimeout(5)
    v.sock.close()
    v.sock, _ = listener.accept()
    listener.close()
    bells = [v.fd("guest_bell"), v.fd("vmm_bell")] if fds is None else fds
    v.send(HELLO, struct.pack("<Q64sQIIII", number or v.config["guest"], (name or v.name).encode(),
                              time.monotonic_ns(), pid or v.pid, 1,
                              v.config["scanouts"] if scanouts is None else scanouts, 0), fds=bells)


def channels(v, *infos):
    """infos: (cookie, conn, flags)."""
    v.send(CHANNELS, struct.pack("<II", len(infos), 0) +
           b"".join(struct.pack("<QIIQQQQ", *i, 1, 2, 3, 4) for i in infos))


CAP_FORMAT = "<IIiIIIIIQQQQIIQQ64s32s"
CAP_FIELDS = ("op id status flags port local_port peer_port conn mem bytes offset lease_ms max_conns "
              "reserved max_buffer max_rate name label").split()


class Talk:
    """A guest's conversation with the session."""

    def __init__(self, puppet, sock):
        self.puppet, self.sock, self.last = puppet, sock, 0

    def pack(self, op, **fields):
        f = dict.fromkeys(CAP_FIELDS, 0)
        f.update(name=b"", label=b"", op=CAP.get(op, op))
        f.update(fields)
        if isinstance(f["name"], str):
            f["name"] = f["name"].encode()
        return struct.pack(CAP_FORMAT, *(f[k] for k in CAP_FIELDS))

    def send(self, op, **fields):
        self.last += 1
        self.sock.send(self.pack(op, id=self.last, **fields))
        return self.last

    def receive(self, timeout=5):
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(4096)
        except TimeoutError:
            return None
        if not data:
            return None
        f = dict(zip(CAP_FIELDS, struct.unpack(CAP_FORMAT, data)))
        f["name"] = f["name"].split(b"\0")[0].decode()
        f["label"] = f["label"].split(b"\0")[0].decode()
        return f

    def call(self, op, timeout=5, **fields):
        number = self.send(op, **fields)
        answer = self.receive(timeout)
        if answer and (answer["id"] != number or answer["op"] != CAP.get(op, op)):
            raise RuntimeError(f"answer to {op} {number}: {answer}")
        return answer


def wired(a, b, service, direct=False, type=STREAM):
    """Connects puppet a to puppet b's service: the two CHANNEL messages."""
    a.request(a.slot(service), type, direct=direct)
    at_b = b.accept(direct=direct)
    return a.channel(), at_b


def puppet_session(build, folder):
    """A session in a new folder whose guests' VMMs are puppets."""
    os.mkdir(folder)
    subprocess.run([os.path.join(HERE, "fakevmm.py"), "--elf", os.path.join(folder, "image.elf"),
                    "--sdk"], check=True)
    return Session(build, folder, puppets=True)
