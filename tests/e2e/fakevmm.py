#!/usr/bin/python3
"""A stand-in for exo-vmm that does what the program's arguments say, for what a
real one would never do: lie, fall silent, die (H-34), and to see what exo sends.

As exo-vmm (EXO_VMM=…/fakevmm.py): the arguments are words, carried out in order:
  started, ready         those messages
  exit N, signal N, end REASON [STATUS DETAIL]   ENDED, then wait for hang-up
  print TEXT             to the program's standard output
  config                 print what the configuration says
  wait-signal            print the next SIGNAL or KILL message
  on-kill N              wait for a KILL (signals are ignored), then as signal N
  sleep SECONDS, hang    say nothing (for ever, whatever exo sends)
  die N                  kill myself with signal N
  leave N                exit with status N without a word
  raw HEX                a packet of these bytes
  lie WHAT               a malformed message: magic, size, type, fd, flood
  request PORT           VSOCK_REQUEST; print the reply, then copy the fd's data to stdout
  open                   wait for a VSOCK_OPEN; say OK, echo one read
  termios FLAGS          TERMIOS message

fakevmm.py --elf FILE [--sdk]: writes the smallest image that exo takes for one.
"""
import os
import signal
import socket
import struct
import sys
import time

MAGIC = 0x314D4D56
CONFIG, SIGNAL, KILL, WINCH, OPEN, REPLY = 1, 2, 3, 4, 5, 6
STARTED, ENDED, TERMIOS, READY, REQUEST = 64, 65, 66, 67, 68
REASONS = ["", "exit", "poweroff", "reset", "signal", "fault", "killed", "triple-fault",
           "internal", "hole", "entry", "halted", "config", "host"]
STAGES = 11
REQUEST_FORM = struct.Struct("<IIIiIIIIQQ")  # struct exo_vmm_vsock


def write_elf(path, sdk):
    def note(name, kind, desc):
        name = name.encode() + b"\0"
        return (struct.pack("<III", len(name), len(desc), kind) +
                name.ljust((len(name) + 3) & ~3, b"\0") + desc.ljust((len(desc) + 3) & ~3, b"\0"))

    base, notes = 0x200000, note("Xen", 18, struct.pack("<I", 0x201000))
    if sdk:
        notes += note("Exoshell", 1, struct.pack("<I", 1))
    ehdr = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, base + 0x1000, 64, 0, 0,
                       64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 0x1100, 0x1100, 0x1000)
    notes_at = 64 + 2 * 56
    pt_note = struct.pack("<IIQQQQQQ", 4, 4, notes_at, base + notes_at, base + notes_at,
                          len(notes), len(notes), 4)
    with open(path, "wb") as f:
        f.write((ehdr + load + pt_note + notes).ljust(0x1000, b"\0") + b"\xf4" * 0x100)


class Vmm:
    def __init__(self):
        self.sock = socket.socket(fileno=3)
        packet, fds, _, _ = socket.recv_fds(self.sock, 8192, 24)
        if not packet:
            os._exit(0)
        self.config = packet
        names = ["ram", "cpus", "flags", "program", "initrd", "args", "args_bytes", "argc", "envc",
                 "stdin", "stdout", "stderr", "boot_flags", "rows", "cols", "ndisks", "listen",
                 "guest_bell", "vmm_bell", "window", "guest", "picture_bytes", "picture", "display",
                 "scanouts", "inputs", "width", "height", "scale"]
        self.c = dict(zip(names, struct.unpack_from("<Q18I3Q7I", packet, 16)))
        self.fds = fds

        def fd(name):
            index = self.c[name]
            return fds[index] if index != 0xFFFFFFFF else None
        self.stdin, self.stdout, self.stderr = fd("stdin"), fd("stdout"), fd("stderr")
        text = os.pread(fd("args"), self.c["args_bytes"], 0).split(b"\0")[:-1]
        self.argv = [a.decode(errors="replace") for a in text[:self.c["argc"]]]
        self.env = text[self.c["argc"]:]

    def send(self, kind, payload=b"", fds=(), size=None, magic=MAGIC):
        size = 16 + len(payload) if size is None else size
        packet = struct.pack("<IIII", magic, kind, size, len(fds)) + payload
        if fds:
            socket.send_fds(self.sock, [packet], fds)
        else:
            self.sock.send(packet)

    def ended(self, reason, status=0, detail=b""):
        self.send(ENDED, struct.pack("<II", REASONS.index(reason), status) + b"\0" * 8 * STAGES +
                  struct.pack("<Q", 7) + detail.ljust(512, b"\0"))
        if self.sock.recv(8192):
            pass
        os._exit(0)

    def receive(self):
        packet, fds, _, _ = socket.recv_fds(self.sock, 8192, 24)
        if not packet:
            os._exit(0)
        kind = struct.unpack_from("<II", packet)[1]
        return kind, packet[16:], fds

    def print(self, text):
        if self.stdout is not None:
            os.write(self.stdout, (text + "\n").encode())

    def run(self):
        words = iter(self.argv[1:])
        for word in words:
            if word == "started":
                self.send(STARTED)
            elif word == "ready":
                self.send(READY)
            elif word == "exit":
                self.ended("exit", int(next(words)))
            elif word == "signal":
                self.ended("signal", int(next(words)))
            elif word == "end":
                self.ended(next(words), int(next(words, 0)), next(words, "").encode())
            elif word == "print":
                self.print(next(words))
            elif word == "config":
                self.print(" ".join(f"{k}={v}" for k, v in self.c.items()))
                name = self.config[112 + 8 * 32:][:64].split(b"\0")[0].decode()
                cmdline = self.config[112 + 8 * 32 + 64:].split(b"\0")[0].decode()
                self.print(f"name={name} cmdline={cmdline}")
                self.print(" ".join(["argv"] + self.argv))
                self.print(" ".join(["env"] + [e.decode() for e in self.env]))
                self.print("open " + " ".join(sorted(os.listdir("/proc/self/fd"), key=int)))
                self.print(f"environ {len(os.environ)} argv0 {sys.argv[1:]}")
            elif word == "wait-signal":
                kind, payload, _ = self.receive()
                name = {SIGNAL: "signal", KILL: "kill", WINCH: "winch"}.get(kind, str(kind))
                self.print(name + " " + " ".join(map(str, struct.unpack("<II", payload))))
            elif word == "on-kill":
                while self.receive()[0] != KILL:
                    pass
                self.ended("killed", int(next(words)))
            elif word == "sleep":
                time.sleep(float(next(words)))
            elif word == "hang":
                while True:
                    time.sleep(100)
            elif word == "die":
                signal.pthread_sigmask(signal.SIG_SETMASK, [])
                os.kill(os.getpid(), int(next(words)))
                time.sleep(10)
            elif word == "leave":
                os._exit(int(next(words)))
            elif word == "raw":
                self.sock.send(bytes.fromhex(next(words)))
            elif word == "termios":
                self.send(TERMIOS, struct.pack("<II", int(next(words)), 0))
            elif word == "request":
                self.request(int(next(words)))
            elif word == "open":
                _, payload, fds = self.receive()
                port, kind = struct.unpack_from("<II", payload, 4)
                self.print(f"open port {port} type {kind}")
                conn = socket.socket(fileno=fds[0])
                conn.send(f"OK {port + 1000}\n".encode())
                conn.send(conn.recv(100))
                conn.close()
            elif word == "lie":
                self.lie(next(words))
            else:
                os.write(2, f"fakevmm: {word}?\n".encode())
                os._exit(99)

    def request(self, port):
        self.send(REQUEST, REQUEST_FORM.pack(5, port, 1, *[0] * 7))
        _, payload, fds = self.receive()
        status = struct.unpack_from("<IIIi", payload)[3]
        self.print(f"reply {status}")
        if fds:
            conn = socket.socket(fileno=fds[0])
            conn.settimeout(5)
            data = conn.recv(100)
            conn.send(data)
            conn.close()
            self.print("got " + data.decode())

    def lie(self, what):
        if what == "magic":
            self.send(STARTED, magic=1)
        elif what == "size":
            self.send(STARTED, size=99)
        elif what == "type":
            self.send(CONFIG)
        elif what == "fd":
            self.send(READY, fds=[0])
        elif what == "flood":
            while True:
                self.send(REQUEST, REQUEST_FORM.pack(5, 7, 1, *[0] * 7))
        self.receive()
        os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--elf"]:
        write_elf(sys.argv[2], "--sdk" in sys.argv)
    else:
        try:
            Vmm().run()
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)
