#!/usr/bin/python3
"""Runs a command on a pseudo-terminal and plays the person in front of it.

usage: pty.py [STEP…] -- COMMAND…

STEP: expect=TEXT  until TEXT has appeared (since the last expect)
      send=TEXT    types it; \\x03 and the like are understood
      sleep=S      waits
      kill=SIGNAL  sends the command's process a signal (a name, such as TERM)
      stopped      until the command is stopped; then the terminal's modes are noted
      modes=TEXT   the modes of now, noted under TEXT
      size=RxC     changes the window's size
      continue     SIGCONT for the command's process group
      used=S       the CPU time that the command's children use in S seconds, noted as
                   "used yes" or "used no"
The command is the leader of the terminal's session's foreground group. Prints
what appeared on the terminal, then lines "modes WHEN: echo|noecho canon|raw
isig|noisig", then "status N" (negative: the signal). Gives up after 20 s.
"""
import os
import re
import select
import signal
import struct
import sys
import termios
import time
import fcntl

DEADLINE = time.monotonic() + 20


def modes(fd):
    flags = termios.tcgetattr(fd)[3]
    return " ".join(name if flags & bit else other for bit, name, other in (
        (termios.ECHO, "echo", "noecho"), (termios.ICANON, "canon", "raw"),
        (termios.ISIG, "isig", "noisig")))


def ticks(pid):
    """Clock ticks that the children of pid have used."""
    total = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            total += int(fields[11]) + int(fields[12])
    return total


def give_up(why, seen):
    sys.stdout.write(seen.decode(errors="replace") + f"\ngave up: {why}\n")
    os._exit(1)


def main():
    split = sys.argv.index("--")
    steps, command = sys.argv[1:split], sys.argv[split + 1:]
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    # This process leads the session, as a login shell would: the group of the
    # command is in its foreground, and a stop does not end it.
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    notes = ["modes before: " + modes(slave)]
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.setpgid(0, 0)
        os.tcsetpgrp(slave, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.closerange(3, 1000)
        os.execvp(command[0], command)
    while os.tcgetpgrp(slave) != pid:
        time.sleep(0.001)
    seen, mark = b"", 0
    status = None

    def read(timeout):
        nonlocal seen
        if select.select([master], [], [], timeout)[0]:
            seen += os.read(master, 4096)

    for step in steps:
        word, _, text = step.partition("=")
        data = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())
        data = data.replace(b"\\n", b"\n")
        if word == "expect":
            while data not in seen[mark:]:
                if time.monotonic() > DEADLINE:
                    give_up(f"no {text!r}", seen)
                read(0.05)
            mark = seen.index(data, mark) + len(data)
        elif word == "send":
            os.write(master, data)
        elif word == "sleep":
            end = time.monotonic() + float(text)
            while time.monotonic() < end:
                read(0.02)
        elif word == "kill":
            os.kill(pid, getattr(signal, "SIG" + text))
        elif word == "modes":
            notes.append(f"modes {text}: {modes(slave)}")
        elif word == "size":
            rows, cols = map(int, text.split("x"))
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        elif word == "stopped":
            while not os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED | os.WNOHANG)[1]):
                if time.monotonic() > DEADLINE:
                    give_up("not stopped", seen)
                read(0.05)
            notes.append("modes stopped: " + modes(slave))
        elif word == "used":
            before = ticks(pid)
            time.sleep(float(text))
            notes.append("used " + ("yes" if ticks(pid) > before else "no"))
        elif word == "continue":
            os.kill(-pid, signal.SIGCONT)
    while status is None:
        if time.monotonic() > DEADLINE:
            os.kill(-pid, signal.SIGKILL)
            give_up("it did not end", seen)
        read(0.02)
        got, code = os.waitpid(pid, os.WNOHANG)
        if got:
            status = os.waitstatus_to_exitcode(code)
    read(0.1)
    notes.append("modes after: " + modes(slave))
    sys.stdout.write(seen.decode(errors="replace").replace("\r", "") + "\n")
    print("\n".join(notes))
    print(f"status {status}")


main()
