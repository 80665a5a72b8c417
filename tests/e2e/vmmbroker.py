"""The least that a session does: brokers connections between guests of vmmctl.Vmm
without any policy. For the tests of this folder."""
import os
import select
import socket
import struct
import time

from vmmctl import *

DIRECT = 1       # EXO_CHANNEL_DIRECT
VSOCK_DIRECT = 2  # EXO_VSOCK_DIRECT


class Guest(Vmm):
    """A VMM with channels. lines: what its program has printed so far."""

    def __init__(self, broker, exe, program, args=(), direct=True, window=32 * MIB, outlive=False,
                 **options):
        self.broker, self.direct, self.number = broker, direct, len(broker.guests) + 1
        self.path = os.path.join(broker.folder, f"vmm{self.number}") if outlive else None
        self.bells = eventfd(), eventfd()
        listener = None
        if outlive:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listener.bind(self.path)
            listener.listen(4)
        self.out, writer = os.pipe()
        os.set_blocking(self.out, False)
        self.text, self.eof, self.ended, self.hung_up = b"", False, None, False
        self.ready = self.started = False
        self.answers = []
        super().__init__(exe, program, args=[b"prog"] + [str(a).encode() for a in args],
                         flags=VSOCK | RNG | CHANNELS_OK | (OUTLIVE if outlive else 0),
                         stdout=writer, listen=listener.fileno() if outlive else None,
                         bells=self.bells, window=window, guest=self.number, **options)
        os.close(writer)
        if listener:
            listener.close()
        broker.guests.append(self)

    def send(self, *args, **more):
        try:
            super().send(*args, **more)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has gone: seen when its end is read

    @property
    def lines(self):
        return self.text.decode(errors="replace").splitlines()

    def said(self, words):
        return any(words in line for line in self.lines)

    def read_output(self):
        try:
            data = os.read(self.out, 65536)
            self.text += data
            self.eof = not data
        except BlockingIOError:
            pass

    def adopt(self):
        """Another shell: HELLO and CHANNELS."""
        self.sock.close()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.connect(self.path)
        hello = self.receive()
        fds = self.received
        channels = []
        while True:
            kind, message = self.receive()
            assert kind == CHANNELS, kind
            count, more = struct.unpack("<II", message[16:24])
            channels += struct.iter_unpack("<QIIQQQQ", message[24:24 + 48 * count])
            if not more:
                return hello, fds, channels

    def close(self):
        result = self.finish()
        for fd in (self.out, *self.bells):
            os.close(fd)
        return result


class Broker:
    def __init__(self, folder, ring=65536):
        self.folder, self.ring, self.guests = folder, ring, []
        self.routes = {}  # (guest, port): (guest, port)
        self.conns = {}   # number: dict
        self.states = []  # (guest number, conn, state, flags, reason)
        self.hosts = {}   # (guest, port): callable(sock)
        self.last = 0
        self.refuse_with = R_NO_SLOT

    # ---- what VMMs say ---------------------------------------------------------------

    def request(self, g, m):
        id, port, kind, _, flags, _, guest_port, _, _, _ = struct.unpack("<IIIiIIIIQQ", m[16:64])
        to = self.routes.get((g, port))
        if not to or to[0].hung_up:
            g.send(VSOCK_REPLY, vsock_payload(id, port, kind, -13, reason=self.refuse_with))
            return
        self.last += 1
        ring = sealed(4096 + 2 * self.ring)
        conn = self.conns[self.last] = dict(number=self.last, opener=g, acceptor=to[0], id=id,
                                            kind=kind, ring=ring, open=False,
                                            direct=g.direct and bool(flags & VSOCK_DIRECT))
        self.offer(conn, to[0], conn["direct"], g, side=1, request=0, port=to[1],
                   direct=to[0].direct)

    def offer(self, conn, g, peer_direct, peer, side, request, port, direct):
        bell = peer.bells[0 if peer_direct else 1]
        g.send(CHANNEL, struct.pack("<IIIIIIIIQQ", conn["number"], request, port, conn["kind"],
                                    side, DIRECT if direct else 0, self.ring,
                                    peer.number * 2 + (not peer_direct), 1000 + conn["number"], 0),
               fds=(conn["ring"], bell))

    def state(self, g, m):
        number, state, flags, reason = struct.unpack("<IIII", m[16:32])
        self.states.append((g.number, number, state, flags, reason))
        conn = self.conns.get(number)
        if not conn:
            return
        other = conn["acceptor"] if g is conn["opener"] else conn["opener"]
        if state == ACCEPTED and g is conn["acceptor"]:
            conn["open"] = True
            self.offer(conn, conn["opener"], bool(flags & DIRECT), g, side=0, request=conn["id"],
                       port=0, direct=conn["opener"].direct)
        elif state == REFUSED and not conn["open"]:
            conn["opener"].send(VSOCK_REPLY, vsock_payload(conn["id"], 0, conn["kind"], -111,
                                                           reason=reason or R_REFUSED))
            self.forget(number)
        elif state in (CLOSED, REFUSED):
            self.close(other, number, R_CLOSED if reason == R_NONE else reason)
            self.forget(number)

    def close(self, g, number, reason):
        if g.hung_up:
            return
        try:
            g.send(CHANNEL_CLOSE, struct.pack("<II", number, reason))
        except OSError:
            pass

    def forget(self, number):
        conn = self.conns.pop(number)
        os.close(conn["ring"])

    def revoke(self, number, reason=R_REVOKED):
        conn = self.conns.get(number)
        self.close(conn["opener"], number, reason)
        self.close(conn["acceptor"], number, reason)
        self.forget(number)

    def gone(self, g):
        g.hung_up = True
        for number, conn in list(self.conns.items()):
            if g in (conn["opener"], conn["acceptor"]):
                other = conn["acceptor"] if g is conn["opener"] else conn["opener"]
                self.close(other, number, R_ENDED if g.ended else R_DIED)
                self.forget(number)

    def message(self, g):
        try:
            m, fds = receive_packet(g.sock, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        for fd in fds:
            os.close(fd)
        if not m:
            self.gone(g)
            return
        kind = struct.unpack("<IIII", m[:16])[1]
        if kind == STARTED:
            g.started = True
        elif kind == READY:
            g.ready = True
        elif kind == VSOCK_REQUEST:
            self.request(g, m)
        elif kind == CHANNEL_STATE:
            self.state(g, m)
        elif kind == ENDED:
            reason, status = struct.unpack("<II", m[16:24])
            g.ended = REASONS[reason], status, m[120:].split(b"\0")[0].decode()
        else:
            g.answers.append((kind, m))

    # ---- the loop ------------------------------------------------------------------------

    def step(self, timeout):
        fds = {g.sock.fileno(): (self.message, g) for g in self.guests if not g.hung_up}
        fds.update({g.out: (Guest.read_output, g) for g in self.guests if not g.eof})
        if not fds:
            time.sleep(timeout)
            return
        poll = select.poll()
        for fd in fds:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(timeout * 1000):
            act, g = fds[fd]
            act(g)

    def until(self, condition, timeout=10):
        """Works until condition() is true: whether it became that in time."""
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.step(min(left, 0.2))
        return True

    def finish(self):
        for g in self.guests:
            if g.process.poll() is None:
                g.process.kill()
            g.close()
        for number in list(self.conns):
            self.forget(number)
        self.guests = []
