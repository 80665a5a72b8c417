#!/usr/bin/python3
"""Runs a command as an ordinary user who may make no user namespaces. Needs root.

usage: no_userns.py UID COMMAND…

The limit is that of a user namespace around it: the rest of the machine keeps its own.
"""
import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000


def main():
    uid = int(sys.argv[1])
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
            sys.exit("no user namespaces here at all")
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        with open("/proc/sys/user/max_user_namespaces", "w") as f:
            f.write("0")
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.execvp(sys.argv[2], sys.argv[2:])
    os.close(ready[1])
    if os.read(ready[0], 1):
        for what in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{what}", "w") as f:
                f.write("0 0 100000")
        os.write(go[1], b"x")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
