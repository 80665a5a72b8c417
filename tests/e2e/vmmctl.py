"""Speaks exo-vmm's protocol (include/exo/vmm.h) from the shell's side, with guests
of a few instructions made here. For the tests of this folder."""
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import time

MAGIC = 0x314D4D56
(CONFIG, SIGNAL, KILL, WINCH, VSOCK_OPEN, VSOCK_REPLY, STATS_REQUEST, CHANNEL, CHANNEL_CLOSE,
 CHANNELS_REQUEST, MEM_MAP, MEM_UNMAP, PAUSE, DISPLAY) = range(1, 15)
(STARTED, ENDED, TERMIOS, READY, VSOCK_REQUEST, STATS, CHANNEL_STATE, CHANNELS, MEM_MAPPED,
 HELLO) = range(64, 74)
NO_FD = 0xFFFFFFFF
HUGEPAGES, PREFAULT, VSOCK, RNG, OUTLIVE, TIMINGS, CHANNELS_OK, SCREEN = (1 << n for n in range(8))
STREAM, SEQPACKET = 1, 2
ACCEPTED, REFUSED, CLOSED = 1, 2, 3
WINDOW_GPA = 0xC0000000
PICTURE_GPA = 0xE0000000
(R_NONE, R_CLOSED, R_ENDED, R_DIED, R_REVOKED, R_EXPIRED, R_PROTOCOL, R_NO_SLOT, R_STALE, R_ABSENT,
 R_NOT_READY, R_BUDGET, R_REFUSED, R_SESSION, R_TYPE) = range(15)
REASONS = ("? EXIT POWEROFF RESET SIGNAL FAULT KILLED TRIPLE_FAULT INTERNAL HOLE ENTRY HALTED "
           "CONFIG HOST").split()
ENTRY = 0x200000
MIB = 1 << 20

# mov dword [0xd0000008], 42: the exit register
EXIT42 = bytes.fromhex("c70508 0000d0 2a000000")


def elf(code, entry=ENTRY, sdk=True):
    """A PVH ELF whose only segment is `code` (32-bit, paging off) at `entry`."""
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", entry)
    if sdk:
        note += struct.pack("<III12sI", 9, 4, 1, b"Exoshell\0\0\0\0", 1)
    header = b"\x7fELF\2\1\1" + b"\0" * 9 + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    off = 64 + 2 * 56
    header += struct.pack("<IIQQQQQQ", 4, 4, off, 0, 0, len(note), len(note), 4)
    header += struct.pack("<IIQQQQQQ", 1, 7, 4096, entry, entry, len(code), len(code) + 4096, 4096)
    return (header + note).ljust(4096, b"\0") + code


def memfd(data, name="test"):
    fd = os.memfd_create(name)
    os.write(fd, data)
    return fd


def sealed(size, data=b"", seals=0x2 | 0x4 | 0x1, name="ring"):
    """A memfd of a fixed size (F_SEAL_SHRINK, _GROW and _SEAL)."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(fd, size)
    os.pwrite(fd, data, 0)
    fcntl.fcntl(fd, 1033, seals)  # F_ADD_SEALS
    return fd


def eventfd():
    return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def vsock_payload(id=0, port=0, kind=STREAM, status=0, flags=0, conn=0, guest_port=0, reason=0,
                  cookie=0, max_rate=0):
    """Of struct exo_vmm_vsock."""
    return struct.pack("<IIIiIIIIQQ", id, port, kind, status, flags, conn, guest_port, reason,
                       cookie, max_rate)


def receive_packet(sock, flags=0):
    """(packet, fds); an empty one at hang-up. If the other side left something unread, the
    kernel says so first, and once; its last packets come after that."""
    for _ in range(2):
        try:
            return socket.recv_fds(sock, 8192, 4, flags)[:2]
        except ConnectionResetError:
            pass
    return b"", []


def header(kind, size, nfds=0, magic=MAGIC):
    return struct.pack("<IIII", magic, kind, size, nfds)


class Vmm:
    """One exo-vmm with one guest. Streams: fds or None."""

    def __init__(self, exe, program, ram=64 * MIB, cpus=1, flags=RNG, args=(b"prog",), stdin=None,
                 stdout=None, stderr=None, disks=(), wrap=(), configure=True, user=None, listen=None, bells=(None, None),
                 window=0, guest=0, screen=None, initrd=None, cmdline=b""):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kvm = os.open("/dev/kvm", os.O_RDWR)
        low = theirs.fileno()

        def prepare():  # as the shell does: socket 3, kvm 4, and no streams but 2
            high = [os.dup2(low, 400), os.dup2(kvm, 401)]
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            for to, fd in enumerate(high, 3):
                os.dup2(fd, to)
            os.closerange(5, 402)

        self.started_at = time.monotonic()
        self.process = subprocess.Popen(list(wrap) + [exe, "test"], preexec_fn=prepare,
                                        close_fds=False, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        theirs.close()
        os.close(kvm)
        self.pid = self.process.pid
        if configure:
            self.configure(program, ram, cpus, flags, args, (stdin, stdout, stderr), disks, listen,
                           bells, window, guest, screen, initrd, cmdline)

    def configure(self, program, ram, cpus, flags, args, streams, disks, listen=None,
                  bells=(None, None), window=0, guest=0, screen=None, initrd=None, cmdline=b""):
        """screen: (picture fd, its bytes, desktop's socket or None, scanouts, inputs, width, height,
        scale); its flag is set here. initrd: a fd."""
        strings = b"".join(a + b"\0" for a in args)
        own = [memfd(program), memfd(strings)]
        fds = list(own)

        def add(fd):
            if fd is None:
                return NO_FD
            fds.append(fd)
            return len(fds) - 1

        indices = [add(s) for s in streams]
        table = b"".join(struct.pack("<IIQ16s", add(fd), ro, size, name)
                         for fd, ro, size, name in disks).ljust(32 * 8, b"\0")
        picture, picture_bytes, desktop, *rest = screen or (None, 0, None, 0, 0, 0, 0, 0)
        flags |= SCREEN if screen else 0
        body = struct.pack("<Q18I3Q8I", ram, cpus, flags, 0, add(initrd), 1, len(strings),
                           len(args), 0, *indices, 0, 0, 0, len(disks), add(listen),
                           add(bells[0]), add(bells[1]), window, guest, picture_bytes,
                           add(picture), add(desktop), *rest, 0)
        body += table + b"test".ljust(64, b"\0") + cmdline.ljust(4096, b"\0")
        try:
            socket.send_fds(self.sock, [header(CONFIG, 16 + len(body), len(fds)) + body], fds)
        except OSError:
            pass  # it has gone: seen when its end is read
        for fd in own:
            os.close(fd)

    def send(self, kind, payload=b"", fds=(), size=None, nfds=None, magic=MAGIC):
        size = 16 + len(payload) if size is None else size
        nfds = len(fds) if nfds is None else nfds
        socket.send_fds(self.sock, [header(kind, size, nfds, magic) + payload], list(fds))

    def kill(self, signo=signal.SIGKILL):
        self.send(KILL, struct.pack("<II", signo, 0))

    def receive(self, timeout=10):
        """(type, message), or None at hang-up."""
        self.sock.settimeout(timeout)
        message, fds = receive_packet(self.sock)
        self.received = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]
        for fd in fds:
            os.close(fd)
        return (struct.unpack("<IIII", message[:16])[1], message) if message else None

    def wait_started(self, timeout=10):
        got = self.receive(timeout)
        if not got or got[0] != STARTED:
            raise RuntimeError(f"no STARTED but {got and got[0]}")
        return self

    def end(self, timeout=10):
        """(reason, status, detail); reason HANGUP if it went without a word."""
        while True:
            got = self.receive(timeout)
            if got is None:
                return "HANGUP", self.process.wait(timeout), ""
            kind, message = got
            if kind == ENDED:
                reason, status = struct.unpack("<II", message[16:24])
                return REASONS[reason], status, message[120:].split(b"\0")[0].decode()

    def finish(self):
        """Exit status and standard error. Kills what is still there."""
        self.sock.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "hung", ""
        error = self.process.stderr.read().decode(errors="replace")
        self.process.stderr.close()
        return self.process.returncode, error


class Tap:
    """Test points, numbered; the plan comes last."""

    def __init__(self):
        self.count = self.failed = 0

    def check(self, ok, name, *notes):
        self.count += 1
        self.failed += not ok
        print(f"{'ok' if ok else 'not ok'} {self.count} - {name}", flush=True)
        for note in notes if not ok else ():
            print(f"# {note}", flush=True)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}", flush=True)

    def done(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0
