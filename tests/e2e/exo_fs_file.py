#!/usr/bin/python3
"""What a hostile guest does to exo-fs that serves one file (H-28), by raw 9P. Prints TAP; runs
in a scratch folder."""
import errno
import os
import stat
import sys

from p9client import Gone, P9Error, Server, message, DIR, O_APPEND, O_CREAT, O_EXCL, O_TRUNC

points = 0
NAME = "notes é.txt"
TEXT = b"what the person chose"


def check(good, name, why=""):
    global points
    points += 1
    print(f"{'ok' if good else 'not ok'} {points} - {name}")
    if not good and why != "":
        print(f"# {why}")
    sys.stdout.flush()


def error_of(call, *args, **named):
    try:
        call(*args, **named)
    except P9Error as e:
        return e.errno
    return 0


def fresh():
    with open("one/" + NAME, "wb") as f:
        f.write(TEXT)


def content():
    with open("one/" + NAME, "rb") as f:
        return f.read()


def serve(flags, *options):
    return Server(None, *options, "--file", NAME, root=os.open("one/" + NAME, flags))


def reading(c):
    root = c.getattr(c.root)
    check(stat.S_ISDIR(root["mode"]) and root["qid"][0] & DIR and c.list() == [NAME],
          "a folder with this file in it and nothing else", root)
    f = c.walk(NAME)
    a = c.getattr(f)
    check(stat.S_ISREG(a["mode"]) and a["size"] == len(TEXT) and a["qid"][2] != root["qid"][2],
          "the file looks as it is", a)
    c.open(f)
    check(c.read(f) == TEXT and c.read(f, 5) == TEXT[5:] and c.read(f, 99) == b"", "it is read")
    check(c.statfs(f)[8] > 0 and c.readdir_raw(c.fid_of_root()) != [], "statfs and readdir answer")


def nothing_else(c):
    """Whatever it asks for, there is no second file."""
    wrong = []
    bad = ["..", ".", "", "/", "../other", "other", NAME + "/", NAME + "/..", "sub", "/etc/passwd",
           "\udcff", "x" * 255]
    for n in bad:
        for what, call in (
                ("walk", lambda: c.walk(n)), ("walk down", lambda: c.walk(NAME, n)),
                ("walk back", lambda: c.walk(NAME, "..", n)), ("mkdir", lambda: c.mkdir(n)),
                ("attach", lambda: c.attach(n) if n not in ("", "/") else c.walk("none")),
                ("create", lambda: c.create(c.walk(), n)),
                ("create excl", lambda: c.create(c.walk(), n, flags=2 | O_CREAT | O_EXCL)),
                ("unlink", lambda: c.unlink(n)), ("rmdir", lambda: c.unlink(n, 0x200)),
                ("symlink", lambda: c.symlink(n, "/etc")), ("mknod", lambda: c.mknod(n, 0o100644)),
                ("rename to", lambda: c.renameat(NAME, n)),
                ("rename from", lambda: c.renameat(n, NAME)),
                ("link", lambda: c.link(c.root, c.walk(NAME), n))):
            if not error_of(call):
                wrong.append((what, n))
    check(not wrong, "H-28: no other name leads anywhere, and none is made", wrong)
    wrong = [what for what, call in (
        ("unlink", lambda: c.unlink(NAME)), ("remove", lambda: c.remove(c.walk(NAME))),
        ("rmdir", lambda: c.unlink(NAME, 0x200)),
        ("rename over", lambda: c.renameat(NAME, NAME)),
        ("symlink over", lambda: c.symlink(NAME, "/etc/passwd")),
        ("mkdir over", lambda: c.mkdir(NAME)),
        ("link over", lambda: c.link(c.root, c.walk(NAME), NAME)),
        ("mknod over", lambda: c.mknod(NAME, 0o100644)),
        ("remove the root", lambda: c.remove(c.walk())),
        ("chmod", lambda: c.setattr(c.walk(NAME), 1, mode=0o4777)),
        ("chown", lambda: c.setattr(c.walk(NAME), 2, uid=0)),
        ("truncate the root", lambda: c.setattr(c.walk(), 8, size=0)),
        ("times of the root", lambda: c.setattr(c.walk(), 0x20)),
        ("readlink", lambda: c.readlink(c.walk(NAME))),
        ("create exclusively", lambda: c.create(c.walk(), NAME, flags=2 | O_EXCL)),
        ("create in the file", lambda: c.create(c.walk(NAME), "x")),
    ) if not error_of(call)]
    check(not wrong, "H-28: the file is neither removed, renamed, replaced nor made another's",
          wrong)
    check(sorted(os.listdir("one")) == sorted([NAME, "other"]) and
          stat.S_IMODE(os.stat("one/" + NAME).st_mode) & 0o7000 == 0 and
          os.stat("one/" + NAME).st_nlink == 1, "H-28: the folder is as it was", os.listdir("one"))


def read_only():
    fresh()
    server = serve(os.O_RDONLY, "--read-only")
    c = server.client()
    c.fid_of_root = lambda: opened_root(c)
    reading(c)
    nothing_else(c)
    got = {what: error_of(call) for what, call in (
        ("open to write", lambda: c.open(c.walk(NAME), 1)),
        ("open for both", lambda: c.open(c.walk(NAME), 2)),
        ("truncating open", lambda: c.open(c.walk(NAME), O_TRUNC)),
        ("truncate", lambda: c.setattr(c.walk(NAME), 8, size=0)),
        ("create", lambda: c.create(c.walk(), NAME, flags=1)),
        ("times", lambda: c.setattr(c.walk(NAME), 0x20)))}
    f = c.walk(NAME)
    c.open(f)
    got["write"] = error_of(c.write, f, b"x")
    check(all(got.values()) and content() == TEXT, "H-28: read-only is read-only", got)
    c.close()
    check(server.end() == 0, "it ends with its connections")
    # Were the server taken over it could write no more than its descriptor can.
    server = serve(os.O_RDONLY)
    c = server.client()
    f = c.walk(NAME)
    got = [error_of(c.setattr, f, 8, size=0)]
    try:
        c.open(f, 2)
        c.write(f, b"x")
    except P9Error as e:
        got.append(e.errno)
    check(got == [errno.EINVAL, errno.EBADF] and content() == TEXT,
          "H-28: what came open for reading is not written, option or not", got)
    c.close()
    server.end()


def opened_root(c):
    fid = c.walk()
    c.open(fid)
    return fid


def writable():
    fresh()
    server = serve(os.O_RDWR)
    c = server.client()
    nothing_else(c)
    f = c.walk(NAME)
    c.open(f, 2)
    check(c.write(f, b"WHAT") == 4 and content() == b"WHAT" + TEXT[4:], "it is written")
    c.fsync(f)
    c.setattr(f, 8, size=6)
    check(content() == b"WHAT t" and c.getattr(f)["size"] == 6, "and cut")
    g = c.walk(NAME)
    c.open(g, 1 | O_APPEND)
    c.write(g, b"!!", 0)
    check(content() == b"WHAT t!!", "appending appends", content())
    g = c.walk()
    c.create(g, NAME, flags=2 | O_TRUNC)
    check(content() == b"" and c.write(g, b"new") == 3 and content() == b"new",
          "creating it anew empties it, as open does")
    g = c.walk(NAME)
    c.open(g, 1 | O_TRUNC)
    check(content() == b"", "so does O_TRUNC")
    c.setattr(f, 0x20 | 0x100, mtime=(12345, 0))
    check(int(os.stat("one/" + NAME).st_mtime) == 12345, "its times can be set")
    check(c.lock(f, 1) == 0, "locks are taken")
    other = server.client()
    o = other.walk(NAME)
    other.open(o, 2)
    check(other.read(o) == b"" and other.list() == [NAME], "a second connection sees the same")
    os.rename("one/" + NAME, "one/moved")
    with open("one/" + NAME, "w") as h:
        h.write("another file")
    check(other.write(o, b"mine") == 4 and open("one/moved", "rb").read() == b"mine" and
          content() == b"another file",
          "H-28: what takes the name later is not what was chosen")
    os.rename("one/moved", "one/" + NAME)
    c.close()
    other.close()
    check(server.end() == 0, "it ends with its connections")


def nonsense():
    fresh()
    server = serve(os.O_RDWR)
    c = server.client()
    for kind in range(0, 256):
        for body in (b"", b"\0" * 64, b"\xff" * 200):
            try:
                c.send(message(kind, body))
                c.receive()
            except Gone:
                c.close()
                c = server.client()
    check(server.process.poll() is None and server.client().list() == [NAME] and
          sorted(os.listdir("one")) == sorted([NAME, "other"]),
          "H-28: messages of every kind, short and long, and it goes on")
    fids = [c.walk(NAME) for _ in range(100)]
    for f in fids:
        c.open(f, 2)
    c.close()
    check(server.client().list() == [NAME], "many openings")
    server.end()


def usage():
    bad = [("a name with a slash", ["--file", "a/b"]), ("..", ["--file", ".."]),
           ("no name", ["--file"]), ("a folder", ["--file", "x"]), ("more", ["--file", NAME, "x"])]
    wrong = []
    for what, options in bad:
        root = os.open("one" if what == "a folder" else "one/" + NAME, os.O_RDONLY)
        server = Server(None, *options, root=root, stderr=open(os.devnull, "w"))
        if server.process.wait(30) != 1:
            wrong.append(what)
        server.control.close()
    check(not wrong, "what it can't be started as", wrong)


os.makedirs("one", exist_ok=True)
with open("one/other", "w") as f:
    f.write("SECRET")
for function in (read_only, writable, nonsense, usage):
    function()
print(f"1..{points}")
