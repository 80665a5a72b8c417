#!/usr/bin/python3
"""What a hostile guest does to exo-fs (H-28), by raw 9P. Prints TAP; runs in a scratch folder."""
import errno
import os
import random
import shutil
import socket
import stat
import struct
import sys
import threading
import time

from p9client import Client, Gone, P9Error, Server, message, string

points = 0
SECONDS = float(os.environ.get("RACE_SECONDS", "2"))


def check(good, name, why=""):
    global points
    points += 1
    print(f"{'ok' if good else 'not ok'} {points} - {name}")
    if not good and why != "":
        print(f"# {why}")
    sys.stdout.flush()


def skip(name, why):
    global points
    points += 1
    print(f"ok {points} - {name} # SKIP {why}")


def error_of(call, *args, **named):
    try:
        call(*args, **named)
    except P9Error as e:
        return e.errno
    return 0


def is_error(name, wanted, call, *args, **named):
    got = error_of(call, *args, **named)
    check(got == wanted, name, f"{errno.errorcode.get(got, got)}, not {errno.errorcode[wanted]}")


def fds_of(server):
    """0 where only root may look: then only root's run counts them."""
    try:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))
    except PermissionError:
        return 0


def settle(server, wanted):
    for _ in range(200):
        if fds_of(server) <= wanted:
            break
        time.sleep(0.01)
    return fds_of(server)


def snapshot(folder):
    return sorted((e.path, os.lstat(e.path).st_mode, os.lstat(e.path).st_size)
                  for e in os.scandir(folder))


def prepare():
    os.makedirs("shared/sub")
    os.mkdir("outside")
    for path, text in (("shared/file", "inside"), ("shared/sub/deep", "deep"), ("outside/secret", "SECRET")):
        with open(path, "w") as f:
            f.write(text)
    os.symlink(os.path.abspath("outside"), "shared/absolute")
    os.symlink("../outside", "shared/up")
    os.symlink("/proc/self/root", "shared/magic")
    os.mkfifo("shared/fifo")
    s = socket.socket(socket.AF_UNIX)
    s.bind("shared/socket")
    s.close()


def names(c):
    bad = ["..", ".", "", "/", "../outside", "sub/deep", "/etc/passwd", "sub/../../outside"]
    wrong = []
    for n in bad:
        for what, call in (
                ("walk", lambda: c.walk(n)), ("mkdir", lambda: c.mkdir(n)),
                ("create", lambda: c.create(c.walk(), n)), ("unlink", lambda: c.unlink(n)),
                ("rmdir", lambda: c.unlink(n, 0x200)), ("symlink", lambda: c.symlink(n, "x")),
                ("rename from", lambda: c.renameat(n, "x")),
                ("rename to", lambda: c.renameat("file", n)),
                ("link", lambda: c.link(c.root, c.walk("file"), n))):
            if error_of(call) != errno.EINVAL:
                wrong.append((what, n))
    check(not wrong, "H-28: names that lead elsewhere are refused everywhere", wrong)
    is_error("H-28: .. from a folder below", errno.EINVAL, c.walk, "..", fid=c.walk("sub"))
    is_error("H-28: a name of 256 bytes", errno.ENAMETOOLONG, c.walk, "x" * 256)
    is_error("and of 255, which is not there", errno.ENOENT, c.walk, "x" * 255)
    is_error("a NUL in a name", errno.EBADMSG, c.walk, "a\0b")
    is_error("H-28: another root is not attached", errno.ENOENT, c.attach, "/etc")


def links(c):
    for name in ("absolute", "up", "magic"):
        is_error(f"H-28: {name} link: not walked through", errno.ENOENT, c.walk, name, "secret")
        is_error(f"H-28: {name} link: not opened", errno.ELOOP, c.open, c.walk(name))
        is_error(f"H-28: {name} link: nothing made in it", errno.ENOTDIR, c.create, c.walk(name), "new")
        got = error_of(c.create, c.walk(), name)
        check(got in (errno.ELOOP, errno.EEXIST), f"H-28: {name} link: not created through", got)
    check(c.readlink(c.walk("up")) == "../outside", "but read")
    check(stat.S_ISLNK(c.getattr(c.walk("absolute"))["mode"]), "and looked at")
    f = c.walk("absolute")
    c.setattr(f, 0x20 | 0x100, mtime=(1, 1))
    check(os.stat("outside").st_mtime > 1, "H-28: times of a link are the link's own")
    is_error("H-28: a link's mode is not its target's", errno.EOPNOTSUPP, c.setattr, f, 1, mode=0)
    c.symlink("made", "/etc/shadow")
    is_error("H-28: one it made itself is no better", errno.ELOOP, c.open, c.walk("made"))
    c.unlink("made")


def special(c):
    for name in ("fifo", "socket"):
        is_error(f"H-28: {name}: not opened", errno.EACCES, c.open, c.walk(name))
        got = error_of(c.create, c.walk(), name, flags=1)
        check(got in (errno.EACCES, errno.ENXIO), f"H-28: {name}: not created over, no waiting", got)
        is_error(f"H-28: {name}: no other name", errno.EPERM, c.link, c.root, c.walk(name), "x")
    try:
        os.mknod("shared/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        is_error("H-28: a device is not opened", errno.EACCES, c.open, c.walk("null"))
        got = error_of(c.create, c.walk(), "null")
        check(got == errno.EACCES, "H-28: nor created over", got)
        os.unlink("shared/null")
    except PermissionError:
        skip("H-28: a device is not opened", "needs root")
        skip("H-28: nor created over", "needs root")
    is_error("H-28: no devices are made", errno.EPERM, c.mknod, "device", 0o020666)
    is_error("H-28: nor FIFOs", errno.EPERM, c.mknod, "pipe", 0o010666)
    f = c.walk("file")
    c.setattr(f, 1, mode=0o6755)
    check(stat.S_IMODE(os.stat("shared/file").st_mode) == 0o755, "no set-user-id by chmod")
    c.create(c.walk(), "suid", mode=0o6755)
    check(not os.stat("shared/suid").st_mode & 0o7000, "nor by create")
    c.unlink("suid")


def mounts(server):
    """A mount point in the folder; needs the right to mount."""
    os.mkdir("shared/mounted")
    if os.geteuid() != 0 or os.system("mount -t proc proc shared/mounted 2>/dev/null") != 0:
        skip("H-28: other file systems are not entered", "no right to mount")
    else:
        inner = Server("shared")
        c = inner.client()
        is_error("H-28: other file systems are not entered", errno.EXDEV, c.walk, "mounted", "self")
        c.close()
        inner.end()
        os.system("umount shared/mounted")
    os.rmdir("shared/mounted")


def fid_floods(server):
    c = server.client()
    base = fds_of(server)
    made = 0
    try:
        while made < 5000:
            c.walk("file")
            made += 1
    except P9Error as e:
        check(e.errno == errno.EMFILE and made == 1023, "H-28: 1,024 fids a connection", (made, e))
    other = server.client()
    check(other.list("sub") == ["deep"], "others are not disturbed")
    check(fds_of(server) < base + 1100, "one descriptor a fid at most", fds_of(server))
    c.close()
    other.close()
    check(settle(server, base) <= base, "all is given back", (fds_of(server), base))


def connection_flood(server):
    base = fds_of(server)
    socks = [server.socket() for _ in range(40)]
    alive = []
    for s in socks:
        try:
            alive.append(Client(s))
        except Gone:
            s.close()
    check(len(alive) == 16, "16 connections, the rest is hung up on", len(alive))
    opened = 0
    failed = set()
    for c in alive:
        for _ in range(600):
            try:
                f = c.walk("file")
                c.open(f)
                opened += 1
            except P9Error as e:
                failed.add(e.errno)
                break
    check(failed <= {errno.EMFILE}, "H-28: more open files than descriptors: EMFILE", (opened, failed))
    check(alive[0].read(alive[0].root + 1) == b"inside", "what is open still works")
    for c in alive:
        c.close()
    check(settle(server, base) <= base, "all is given back", (fds_of(server), base))
    c = server.client()
    check(c.list("sub") == ["deep"], "and the next is served")
    c.close()


def remove(folder):
    """Although somebody may be making files in it."""
    while os.path.isdir(folder):
        shutil.rmtree(folder, ignore_errors=True)


class Swapper(threading.Thread):
    """Makes `name` one thing and then the other, atomically, until told to stop."""

    def __init__(self, name, makers):
        super().__init__(daemon=True)
        self.name_, self.makers, self.going, self.turns = name, makers, True, 0

    def run(self):
        while self.going:
            for make in self.makers:
                new = self.name_ + ".new"
                make(new)
                if os.path.isdir(self.name_) and not os.path.islink(self.name_):
                    os.rename(self.name_, self.name_ + ".old")
                    os.rename(new, self.name_)
                    remove(self.name_ + ".old")
                elif os.path.isdir(new) and not os.path.islink(new):
                    os.unlink(self.name_)
                    os.rename(new, self.name_)
                else:
                    os.rename(new, self.name_)
                self.turns += 1

    def stop(self):
        self.going = False
        self.join()


def make_dir(path):
    os.mkdir(path)
    with open(path + "/secret", "w") as f:
        f.write("inside")


def make_file(path):
    with open(path, "w") as f:
        f.write("inside")


def race(server, what, makers, steps):
    name = "shared/race"
    makers[0](name)
    swapper = Swapper(name, makers)
    swapper.start()
    c = server.client()
    rounds, leaked = 0, []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if rounds % 200 == 199:  # fids of failed rounds
            c.close()
            c = server.client()
        try:
            got = steps(c)
            if got and b"SECRET" in got:
                leaked.append(got)
        except P9Error:
            pass
        rounds += 1
    swapper.stop()
    c.close()
    if os.path.isdir(name) and not os.path.islink(name):
        remove(name)
    else:
        os.unlink(name)
    check(not leaked and os.listdir("outside") == ["secret"],
          f"H-28: rename race: {what}", (rounds, leaked, os.listdir("outside")))
    check(rounds > 10 and swapper.turns > 10, "and it was a race", (rounds, swapper.turns))


def races(server):
    outside = os.path.abspath("outside")

    def link_out(path):
        os.symlink(outside, path)

    def link_secret(path):
        os.symlink(outside + "/secret", path)

    def read(c, *path):
        f = c.walk(*path)
        c.open(f)
        return c.read(f)

    def change(c):
        d = c.walk("race")
        for call in (lambda: c.create(c.walk(fid=d), f"made{random.randrange(9)}"),
                     lambda: c.mkdir(f"dir{random.randrange(9)}", fid=d),
                     lambda: c.unlink("secret", fid=d),
                     lambda: c.renameat("secret", "stolen", fid=d, tofid=c.root)):
            try:
                call()
            except P9Error:
                pass
        for n, flags in ((f"dir{i}", 0x200) for i in range(9)):
            try:
                c.unlink(n, flags, fid=d)
            except P9Error:
                pass
        c.clunk(d)

    race(server, "a folder becomes a link", [make_dir, link_out], lambda c: read(c, "race", "secret"))
    race(server, "a file becomes a link", [make_file, link_secret], lambda c: read(c, "race"))
    race(server, "a file becomes a FIFO", [make_file, os.mkfifo], lambda c: read(c, "race"))

    def create_over(c):
        f = c.walk()
        c.create(f, "race")
        c.write(f, b"OVERWRITTEN")

    race(server, "creating over a link", [make_file, link_secret], create_over)
    with open("outside/secret") as f:
        check(f.read() == "SECRET", "H-28: what is outside was not written")
    race(server, "changes in a folder that becomes a link", [make_dir, link_out], change)
    if os.path.exists("shared/stolen"):
        with open("shared/stolen") as f:
            check(f.read() == "inside", "H-28: nothing was moved in from outside")
        os.unlink("shared/stolen")
    else:
        check(True, "H-28: nothing was moved in from outside")


def garbage(server):
    other = server.client()
    bad = [b"\xff" * 4096, struct.pack("<IBH", 6, 100, 1), struct.pack("<IBH", 1 << 31, 100, 1),
           message("attach", b"\0" * 20), b"GET / HTTP/1.0\r\n\r\n" * 10]
    gone = 0
    for data in bad:
        s = server.socket()
        s.settimeout(10)
        try:
            s.sendall(data)
            gone += s.recv(100) == b""
        except (ConnectionResetError, BrokenPipeError):
            gone += 1
        s.close()
    check(gone == len(bad), "what is no 9P is hung up on", gone)
    rng = random.Random(1)
    for _ in range(300):
        c = server.client()
        try:
            for _ in range(20):
                body = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
                c.send(message(rng.choice([8, 12, 14, 24, 26, 40, 50, 52, 70, 72, 74, 76, 110, 116,
                                           118, 120, 122, rng.randrange(256)]), body))
                c.receive()
        except Gone:
            pass
        c.close()
    check(other.list("sub") == ["deep"], "random messages are answered, others go on")
    slow = server.client()
    f = slow.walk("file")
    slow.open(f)
    slow.sock.setblocking(False)
    sent = 0
    try:
        while sent < 1 << 26:
            sent += slow.sock.send(message("read", struct.pack("<IQI", f, 0, 60000)) * 100)
    except BlockingIOError:
        pass
    check(sent < 1 << 24, "one that never reads its answers is not read from", sent)
    check(other.list("sub") == ["deep"], "and holds nobody up")
    slow.close()
    other.close()


def read_only():
    server = Server("shared", "--read-only")
    before = snapshot("shared")
    c = server.client()
    f, sub = c.walk("file"), c.walk("sub")
    wrong = [n for n, call in {
        "write": lambda: c.open(c.walk("file"), 1), "both": lambda: c.open(c.walk("file"), 2),
        "truncate": lambda: c.open(c.walk("file"), 0o1000), "create": lambda: c.create(c.walk(), "x"),
        "mkdir": lambda: c.mkdir("x"), "unlink": lambda: c.unlink("file"),
        "rmdir": lambda: c.unlink("sub", 0x200), "rename": lambda: c.renameat("file", "x"),
        "symlink": lambda: c.symlink("x", "y"), "link": lambda: c.link(c.root, f, "x"),
        "mknod": lambda: c.mknod("x", 0o100666), "chmod": lambda: c.setattr(f, 1, mode=0),
        "size": lambda: c.setattr(f, 8), "times": lambda: c.setattr(f, 0x30),
        "owner": lambda: c.setattr(f, 6, uid=1, gid=1), "remove": lambda: c.remove(c.walk("file")),
        "old rename": lambda: c.call("rename", struct.pack("<II", f, sub) + string("x")),
    }.items() if error_of(call) != errno.EROFS]
    check(not wrong, "read-only: every change is EROFS", wrong)
    c.open(f)
    check(c.read(f) == b"inside" and snapshot("shared") == before, "and it is read")
    c.close()
    check(server.end() == 0, "it ends by itself")


def sandbox(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    check(status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and int(status["CapEff"], 16) == 0
          and int(status["CapPrm"], 16) == 0,
          "no new privileges, a filter, no capabilities")
    there = os.stat("shared")
    try:
        root = os.stat(f"/proc/{server.process.pid}/root/")
        check((root.st_dev, root.st_ino) == (there.st_dev, there.st_ino), "the folder is its root")
    except PermissionError:
        check(True, "nobody but root looks into it")
    check(status["Threads"] == "1", "one thread")


def life(server):
    c = server.client()
    server.control.close()
    time.sleep(0.1)
    check(c.list("sub") == ["deep"] and server.process.poll() is None,
          "without its session it serves who is connected")
    c.close()
    check(server.process.wait(10) == 0, "and ends with the last")


def main():
    prepare()
    before = snapshot("shared")
    server = Server("shared")
    c = server.client()
    sandbox(server)
    names(c)
    links(c)
    special(c)
    mounts(server)
    c.close()
    fid_floods(server)
    connection_flood(server)
    races(server)
    garbage(server)
    check([e[0] for e in snapshot("shared")] == [e[0] for e in before], "the folder is as it was",
          snapshot("shared"))
    read_only()
    life(server)
    print(f"1..{points}")


if __name__ == "__main__":
    main()
