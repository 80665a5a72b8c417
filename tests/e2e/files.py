#!/usr/bin/python3
"""Runs a guest with mounts, each an exo-fs for a folder, over --vsock's sockets.

usage: files.py [--kill-after TEXT] MOUNT… -- PROGRAM [ARGUMENT…]

MOUNT is /PATH=FOLDER[,ro]. The guest's output is passed on. With --kill-after the
servers are killed with SIGKILL when the guest prints a line with TEXT; the next
connection gets a new one, as in a session.
"""
import os
import socket
import subprocess
import sys
import tempfile
import threading

import p9client

BUILD = os.environ["BUILD"]
EXO = os.environ.get("EXO", BUILD + "/bin/exo")


class Mount:
    def __init__(self, text, port):
        self.path, folder = text.rsplit("=", 1)
        self.folder, _, self.ro = folder.partition(",")
        self.port = port
        self.server = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"v_{port}")
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            self.hand_over(connection)
            connection.close()

    def hand_over(self, connection):
        """To a server that may be dying just now; then to a new one."""
        while True:
            if not self.server or self.server.process.poll() is not None:
                options = ["--read-only"] if self.ro else []
                self.server = p9client.Server(self.folder, *options)
            try:
                return self.server.adopt(connection)
            except OSError:
                self.server = None

    def kill(self):
        if self.server:
            self.server.process.kill()
            self.server.process.wait()

    def setting(self):
        return f"{self.path}={self.port}" + (",ro" if self.ro else "")


def main():
    args = sys.argv[1:]
    kill_after = None
    if args[0] == "--kill-after":
        kill_after = args[1]
        args = args[2:]
    split = args.index("--")
    with tempfile.TemporaryDirectory() as scratch:
        mounts_at = [os.path.abspath(a.split("=")[1].split(",")[0]) for a in args[:split]]
        os.chdir(scratch)
        mounts = []
        for i, text in enumerate(args[:split]):
            path, folder = text.split("=")
            option = ",ro" if folder.endswith(",ro") else ""
            mounts.append(Mount(f"{path}={mounts_at[i]}{option}", 564 + i))
        guest = subprocess.Popen(
            [EXO, "run", "--vsock", "v", "-e", "EXO_MOUNTS=" + ";".join(m.setting() for m in mounts),
             *args[split + 1:]], stdout=subprocess.PIPE)
        for line in guest.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            if kill_after and kill_after.encode() in line:
                for m in mounts:
                    m.kill()
        status = guest.wait()
        for m in mounts:
            m.kill()
    return status


if __name__ == "__main__":
    sys.exit(main())
