"""A raw 9P2000.L client and a way to start exo-fs, for tests.

Nothing here is careful: a test can say whatever it likes to the server. Errors
that the server answers are raised as P9Error, with .errno.
"""
import errno
import os
import socket
import struct
import subprocess

NOFID = 0xFFFFFFFF
NOTAG = 0xFFFF
DIR, SYMLINK = 0x80, 0x02
O_CREAT, O_EXCL, O_TRUNC, O_APPEND = 0o100, 0o200, 0o1000, 0o2000
TYPES = {
    "lerror": 6, "statfs": 8, "lopen": 12, "lcreate": 14, "symlink": 16, "mknod": 18, "rename": 20,
    "readlink": 22, "getattr": 24, "setattr": 26, "xattrwalk": 30, "xattrcreate": 32, "readdir": 40,
    "fsync": 50, "lock": 52, "getlock": 54, "link": 70, "mkdir": 72, "renameat": 74, "unlinkat": 76,
    "version": 100, "auth": 102, "attach": 104, "flush": 108, "walk": 110, "read": 116, "write": 118,
    "clunk": 120, "remove": 122,
}


class P9Error(OSError):
    pass


class Gone(Exception):
    """The server hung up."""


def string(s):
    if isinstance(s, str):
        s = os.fsencode(s)
    return struct.pack("<H", len(s)) + s


def message(kind, body, tag=1):
    code = TYPES[kind] if isinstance(kind, str) else kind
    return struct.pack("<IBH", 7 + len(body), code, tag) + body


class Client:
    def __init__(self, sock, msize=65536, attach=True):
        self.sock = sock
        self.sock.settimeout(30)
        self.next_fid = 1
        self.msize = msize
        if attach:
            self.msize, self.version = self.start(msize)
            self.root = self.attach()

    def close(self):
        self.sock.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Gone() from e

    def receive_bytes(self, n):
        data = b""
        while len(data) < n:
            try:
                more = self.sock.recv(n - len(data))
            except ConnectionResetError as e:
                raise Gone() from e
            if not more:
                raise Gone()
            data += more
        return data

    def receive(self):
        size, kind, tag = struct.unpack("<IBH", self.receive_bytes(7))
        return kind, tag, self.receive_bytes(size - 7)

    def call(self, kind, body, tag=1):
        code = TYPES[kind] if isinstance(kind, str) else kind
        self.send(message(code, body, tag))
        got, got_tag, answer = self.receive()
        assert got_tag == tag, (got_tag, tag)
        if got == 7:
            number = struct.unpack("<I", answer)[0]
            raise P9Error(number, os.strerror(number))
        assert got == code + 1, (kind, got)
        return answer

    def fid(self):
        self.next_fid += 1
        return self.next_fid - 1

    def start(self, msize, version="9P2000.L"):
        answer = self.call("version", struct.pack("<I", msize) + string(version), NOTAG)
        return struct.unpack("<I", answer[:4])[0], answer[6:].decode()

    def attach(self, name="", user="", fid=None, afid=NOFID):
        fid = self.fid() if fid is None else fid
        self.call("attach", struct.pack("<II", fid, afid) + string(user) + string(name) +
                  struct.pack("<I", 0xFFFFFFFF))
        return fid

    def walk_raw(self, fid, newfid, *names):
        answer = self.call("walk", struct.pack("<IIH", fid, newfid, len(names)) +
                           b"".join(string(n) for n in names))
        n = struct.unpack("<H", answer[:2])[0]
        return [struct.unpack("<BIQ", answer[2 + 13 * i:15 + 13 * i]) for i in range(n)]

    def walk(self, *names, fid=None):
        """A new fid; a walk that stops half-way is ENOENT."""
        newfid = self.fid()
        qids = self.walk_raw(self.root if fid is None else fid, newfid, *names)
        if len(qids) < len(names):
            raise P9Error(errno.ENOENT, "half-way")
        return newfid

    def open(self, fid, flags=0):
        return self.call("lopen", struct.pack("<II", fid, flags))

    def create(self, fid, name, flags=2, mode=0o644):
        return self.call("lcreate", struct.pack("<I", fid) + string(name) +
                         struct.pack("<III", flags, mode, 0))

    def read(self, fid, offset=0, count=8192):
        answer = self.call("read", struct.pack("<IQI", fid, offset, count))
        assert struct.unpack("<I", answer[:4])[0] == len(answer) - 4
        return answer[4:]

    def write(self, fid, data, offset=0):
        answer = self.call("write", struct.pack("<IQI", fid, offset, len(data)) + data)
        return struct.unpack("<I", answer)[0]

    def readdir_raw(self, fid, offset=0, count=4096):
        answer = self.call("readdir", struct.pack("<IQI", fid, offset, count))
        at, entries = 4, []
        while at < len(answer):
            qtype, version, path, off, kind, n = struct.unpack("<BIQQBH", answer[at:at + 24])
            entries.append((os.fsdecode(answer[at + 24:at + 24 + n]), kind, off, qtype, path))
            at += 24 + n
        assert at == len(answer)
        return entries

    def list(self, *names):
        fid = self.walk(*names)
        self.open(fid)
        found, off = [], 0
        while entries := self.readdir_raw(fid, off):
            found += [e[0] for e in entries]
            off = entries[-1][2]
        self.clunk(fid)
        return sorted(n for n in found if n not in (".", ".."))

    def getattr(self, fid):
        f = struct.unpack("<QBIQIII15Q", self.call("getattr", struct.pack("<IQ", fid, 0x7FF)))
        return {"mode": f[4], "uid": f[5], "gid": f[6], "nlink": f[7], "size": f[9],
                "mtime": f[14], "qid": f[1:4]}

    def setattr(self, fid, valid, mode=0, uid=0, gid=0, size=0, atime=(0, 0), mtime=(0, 0)):
        self.call("setattr", struct.pack("<IIIIIQQQQQ", fid, valid, mode, uid, gid, size, *atime,
                                         *mtime))

    def mkdir(self, name, mode=0o755, fid=None):
        self.call("mkdir", struct.pack("<I", self.root if fid is None else fid) + string(name) +
                  struct.pack("<II", mode, 0))

    def symlink(self, name, target, fid=None):
        self.call("symlink", struct.pack("<I", self.root if fid is None else fid) + string(name) +
                  string(target) + struct.pack("<I", 0))

    def readlink(self, fid):
        return os.fsdecode(self.call("readlink", struct.pack("<I", fid))[2:])

    def link(self, dfid, fid, name):
        self.call("link", struct.pack("<II", dfid, fid) + string(name))

    def mknod(self, name, mode, fid=None):
        self.call("mknod", struct.pack("<I", self.root if fid is None else fid) + string(name) +
                  struct.pack("<IIII", mode, 1, 3, 0))

    def unlink(self, name, flags=0, fid=None):
        self.call("unlinkat", struct.pack("<I", self.root if fid is None else fid) + string(name) +
                  struct.pack("<I", flags))

    def renameat(self, name, to, fid=None, tofid=None):
        self.call("renameat", struct.pack("<I", self.root if fid is None else fid) + string(name) +
                  struct.pack("<I", self.root if tofid is None else tofid) + string(to))

    def clunk(self, fid):
        self.call("clunk", struct.pack("<I", fid))

    def remove(self, fid):
        self.call("remove", struct.pack("<I", fid))

    def fsync(self, fid):
        self.call("fsync", struct.pack("<II", fid, 0))

    def statfs(self, fid):
        return struct.unpack("<IIQQQQQQI", self.call("statfs", struct.pack("<I", fid)))

    def lock(self, fid, kind, start=0, length=0):
        return self.call("lock", struct.pack("<IBIQQI", fid, kind, 0, start, length, 1) +
                         string("test"))[0]


class Server:
    """exo-fs for one folder; or for what the descriptor `root` is."""

    def __init__(self, folder, *options, program=None, root=None, **popen):
        program = program or os.path.join(os.environ["BUILD"], "bin/exo-fs")
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = os.open(folder, os.O_PATH | os.O_DIRECTORY) if root is None else root

        def place():
            high = [os.dup(theirs.fileno()), os.dup(root)]
            high = [fd if fd > 4 else os.dup(os.dup(fd)) for fd in high]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen([program, *options], preexec_fn=place, close_fds=False,
                                        **popen)
        theirs.close()
        os.close(root)

    def adopt(self, sock):
        """Hands it a connected socket, as a descriptor."""
        socket.send_fds(self.control, [b"c"], [sock if isinstance(sock, int) else sock.fileno()])

    def socket(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.adopt(theirs)
        theirs.close()
        return ours

    def client(self, **options):
        return Client(self.socket(), **options)

    def end(self):
        """Hangs up; its exit status."""
        self.control.close()
        return self.process.wait(30)
