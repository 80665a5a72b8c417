"""A desktop on the other end of a VMM's display socket (include/exo/display.h), and what a
guest of vmmctl.Vmm needs to have a screen. For the tests of this folder.

    screen = Screen(width=64, height=48)            # picture memory, a socket for a first desktop
    vmm = Vmm(EXE, program, screen=screen.config)
    peer = screen.peer                              # the desktop's end
    peer.mode(0, 800, 600)
    peer.until(lambda: 0 in peer.shown)             # scanout 0 has a picture
    print(peer.pixel(0, 10, 20))                    # 0xRRGGBB
    peer.keys(KEY_A)

Peer.receive answers FLUSH with PRESENTED unless told not to (present = False), and plays sound
as fast as it comes unless play = False.
"""
import mmap
import os
import select
import socket
import struct
import time

from vmmctl import DISPLAY, MIB, sealed

DPY_MAGIC = 0x31595044
MODE, INPUT, PRESENTED, PLAYED, CAPTURED = range(1, 6)
DPY_HELLO, SCANOUT, FLUSH, CURSOR, SOUND, PCM = range(64, 70)
HAS_KEYBOARD, HAS_TABLET, HAS_MOUSE, HAS_TOUCH, HAS_PLAYBACK, HAS_CAPTURE = (
    1 << n for n in range(6))
KEYBOARD, TABLET, MOUSE, TOUCH = range(4)
XRGB, ARGB, XBGR = 1, 2, 3
SCALE_ONE = 120
ABS_MAX = 32767

# linux/input-event-codes.h, the few that tests use
EV_SYN, EV_KEY, EV_REL, EV_ABS = range(4)
SYN_REPORT = 0
KEY_ESC, KEY_ENTER, KEY_A, KEY_LEFTSHIFT, KEY_SPACE = 1, 28, 30, 42, 57
BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_TOUCH = 0x110, 0x111, 0x112, 0x14A
REL_X, REL_Y, REL_HWHEEL, REL_WHEEL = 0, 1, 6, 8
ABS_X, ABS_Y, ABS_MT_SLOT, ABS_MT_POSITION_X, ABS_MT_POSITION_Y, ABS_MT_TRACKING_ID = (
    0, 1, 0x2F, 0x35, 0x36, 0x39)
SYN = (EV_SYN, SYN_REPORT, 0)


class ProtocolError(Exception):
    """The VMM said something that it may not."""


class Picture:
    """What a scanout shows: struct exo_dpy_scanout."""

    def __init__(self, fields):
        (self.offset, self.stride, self.width, self.height, self.format, self.scanout,
         self.sequence) = fields


class Peer:
    """A desktop. The socket is its own. Whatever has come is in `log`, as (type, fields…)."""

    def __init__(self, sock):
        self.sock = sock
        self.present = self.play = True
        self.hung_up = False
        self.hello = None             # (picture bytes, scanouts, inputs)
        self.memory = None
        self.shown = {}               # scanout: Picture
        self.flushes = {}             # scanout: [(sequence, x, y, width, height)]
        self.cursors = {}             # scanout: (visible, hot x, hot y, pixels)
        self.sounds = {}              # stream: (running, rate, channels)
        self.pcm = b""
        self.pcm_messages = 0
        self.log = []

    # ---- to the VMM

    def send(self, kind, payload=b"", size=None, magic=DPY_MAGIC, reserved=0, fds=()):
        """A message; with size, magic, … also a wrong one. False: the VMM has hung up."""
        size = 16 + len(payload) if size is None else size
        packet = struct.pack("<IIII", magic, kind, size, reserved) + payload
        try:
            if fds:
                socket.send_fds(self.sock, [packet], list(fds))
            else:
                self.sock.send(packet)
            return True
        except (BrokenPipeError, ConnectionResetError):
            self.hung_up = True
            return False

    def mode(self, scanout, width, height, scale=SCALE_ONE, refresh=60000):
        return self.send(MODE, struct.pack("<6I", scanout, width, height, scale, refresh, 0))

    def input(self, device, events, scanout=0):
        """events: (type, code, value); SYN_REPORT is added if there is none at the end."""
        events = list(events)
        if not events or events[-1] != SYN:
            events.append(SYN)
        return self.send(INPUT, struct.pack("<4I", device, scanout, len(events), 0) +
                         b"".join(struct.pack("<HHi", *e) for e in events))

    def key(self, code, down):
        return self.input(KEYBOARD, [(EV_KEY, code, int(down))])

    def keys(self, *codes):
        """Each is pressed and released."""
        for code in codes:
            self.key(code, True)
            self.key(code, False)

    def point(self, x, y, scanout=0):
        """x, y: pixels of the picture that the scanout shows."""
        p = self.shown[scanout]
        return self.input(TABLET, [(EV_ABS, ABS_X, x * ABS_MAX // max(p.width - 1, 1)),
                                   (EV_ABS, ABS_Y, y * ABS_MAX // max(p.height - 1, 1))], scanout)

    def button(self, code, down, scanout=0):
        return self.input(TABLET, [(EV_KEY, code, int(down))], scanout)

    def click(self, x, y, code=BTN_LEFT, scanout=0):
        self.point(x, y, scanout)
        self.button(code, True, scanout)
        self.button(code, False, scanout)

    def presented(self, scanout, sequence):
        return self.send(PRESENTED, struct.pack("<IIQ", scanout, sequence, time.monotonic_ns()))

    def played(self, size, stream=0):
        return self.send(PLAYED, struct.pack("<II", stream, size))

    def captured(self, data, stream=1):
        return self.send(CAPTURED, struct.pack("<II", stream, len(data)) + data)

    # ---- from the VMM

    def receive(self, timeout=10):
        """The next message, (type, fields…); None at hang-up or when nothing came in time."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return None
        try:
            packet, fds, _, _ = socket.recv_fds(self.sock, 8193, 4)
        except ConnectionResetError:
            packet, fds = b"", []
        if not packet:
            self.hung_up = True
            return None
        message = self.decode(packet, fds)
        self.log.append(message)
        return message

    def until(self, condition, timeout=10):
        """Receives until the condition holds. False: it did not."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self.hung_up or time.monotonic() > deadline:
                return condition()
            self.receive(max(0, min(1, deadline - time.monotonic())))
        return True

    def decode(self, packet, fds):
        if len(packet) < 16:
            raise ProtocolError("a short message")
        magic, kind, size, reserved = struct.unpack_from("<IIII", packet)
        if magic != DPY_MAGIC or size != len(packet) or reserved or size > 8192:
            raise ProtocolError("a header")
        if (self.hello is None) != (kind == DPY_HELLO) or len(fds) != (kind == DPY_HELLO):
            raise ProtocolError("HELLO first, and nothing else, has a descriptor")
        body = packet[16:]
        handler = {DPY_HELLO: self.on_hello, SCANOUT: self.on_scanout, FLUSH: self.on_flush,
                   CURSOR: self.on_cursor, SOUND: self.on_sound, PCM: self.on_pcm}.get(kind)
        if not handler:
            raise ProtocolError(f"type {kind}")
        try:
            return (kind, *(handler(body, fds) if kind == DPY_HELLO else handler(body)))
        except struct.error as e:
            raise ProtocolError(f"size of type {kind}") from e

    def on_hello(self, body, fds):
        self.hello = struct.unpack("<QII", body)
        size = self.hello[0]
        if os.fstat(fds[0]).st_size != size:
            raise ProtocolError("picture memory of another size")
        self.memory = mmap.mmap(fds[0], size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fds[0])
        return self.hello

    def check_scanout(self, scanout):
        if scanout >= self.hello[1]:
            raise ProtocolError(f"scanout {scanout}")

    def on_scanout(self, body):
        fields = struct.unpack("<Q6I", body)
        p = Picture(fields)
        self.check_scanout(p.scanout)
        if not p.width:
            self.shown.pop(p.scanout, None)
            return fields
        if p.offset % 4 or p.stride % 4 or not p.height or p.width > 16384 or p.height > 16384 or \
                p.stride < p.width * 4 or p.format not in (XRGB, ARGB, XBGR) or \
                p.offset + (p.height - 1) * p.stride + p.width * 4 > self.hello[0]:
            raise ProtocolError(f"a picture outside its memory: {fields}")
        self.shown[p.scanout] = p
        return fields

    def on_flush(self, body):
        scanout, sequence, x, y, width, height = fields = struct.unpack("<6I", body)
        self.check_scanout(scanout)
        p = self.shown.get(scanout)
        if not p:
            raise ProtocolError(f"a flush of scanout {scanout}, which shows nothing")
        if not width or not height or x + width > p.width or y + height > p.height:
            raise ProtocolError(f"a flush outside the picture: {fields}")
        self.flushes.setdefault(scanout, []).append(fields[1:])
        if self.present:
            self.presented(scanout, sequence)
        return fields

    def on_cursor(self, body):
        offset, scanout, visible, x, y = fields = struct.unpack("<Q4I", body)
        self.check_scanout(scanout)
        if offset + 64 * 64 * 4 > self.hello[0] or visible > 1 or x > 63 or y > 63:
            raise ProtocolError(f"a cursor: {fields}")
        self.cursors[scanout] = (visible, x, y, self.memory[offset:offset + 64 * 64 * 4])
        return fields

    def on_sound(self, body):
        stream, running, rate, channels = fields = struct.unpack("<4I", body)
        if stream > 1 or running > 1 or not 8000 <= rate <= 96000 or channels not in (1, 2):
            raise ProtocolError(f"sound: {fields}")
        self.sounds[stream] = fields[1:]
        return fields

    def on_pcm(self, body):
        stream, size = struct.unpack_from("<II", body)
        if stream or size != len(body) - 8 or not size or size > 7680:
            raise ProtocolError(f"PCM: stream {stream}, {size} bytes")
        running, _, channels = self.sounds.get(0, (0, 0, 1))
        if not running or size % (2 * channels):
            raise ProtocolError("PCM of no stream, or half a frame")
        self.pcm += body[8:]
        self.pcm_messages += 1
        if self.play:
            self.played(size)
        return stream, size

    # ---- pictures

    def pixel(self, scanout, x, y):
        """0xRRGGBB."""
        p = self.shown[scanout]
        at = p.offset + y * p.stride + x * 4
        b, g, r = self.memory[at:at + 3]
        if p.format == XBGR:
            b, r = r, b
        return r << 16 | g << 8 | b

    def rows(self, scanout):
        """The picture's rows, as they lie in memory."""
        p = self.shown[scanout]
        return [self.memory[at:at + 4 * p.width]
                for at in range(p.offset, p.offset + p.height * p.stride, p.stride)]

    def save(self, scanout, path):
        """As a portable pixmap."""
        p = self.shown[scanout]
        order = (0, 1, 2) if p.format == XBGR else (2, 1, 0)
        with open(path, "wb") as f:
            f.write(b"P6 %d %d 255\n" % (p.width, p.height))
            for row in self.rows(scanout):
                f.write(bytes(row[i + o] for i in range(0, len(row), 4) for o in order))

    def close(self):
        self.sock.close()
        if self.memory:
            self.memory.close()
            self.memory = None


class Screen:
    """Picture memory and sockets of one guest."""

    def __init__(self, width=640, height=480, scanouts=1, size=8 * MIB,
                 inputs=HAS_KEYBOARD | HAS_TABLET, desktop=True, scale=SCALE_ONE, picture=None):
        self.picture = sealed(size, name="picture") if picture is None else picture
        self.peer = self.theirs = None
        if desktop:
            self.peer, self.theirs = self.pair()
        self.config = (self.picture, size, self.theirs and self.theirs.fileno(), scanouts, inputs,
                       width, height, scale)

    @staticmethod
    def pair():
        """A desktop and the socket for the VMM, non-blocking as EXO_VMM_DISPLAY wants it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        return Peer(ours), theirs

    def replace(self, vmm):
        """Another desktop takes the last one's place: EXO_VMM_DISPLAY."""
        self.peer, theirs = self.pair()
        vmm.send(DISPLAY, fds=[theirs.fileno()])
        theirs.close()
        return self.peer

    def handed_over(self):
        """The VMM has its own copies."""
        if self.theirs:
            self.theirs.close()
        os.close(self.picture)
