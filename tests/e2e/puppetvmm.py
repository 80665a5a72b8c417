#!/usr/bin/python3 -IS
"""A stand-in for exo-vmm whose words a test speaks. It takes its configuration,
then sends the test its socket, the configuration and the fds (to the Unix socket that is the
program's first argument), and only waits for its end. See session_rig.Puppet."""
import os
import socket
import struct
import sys

sock = socket.socket(fileno=3)
try:
    config, fds, _, _ = socket.recv_fds(sock, 8192, 24)
except OSError:
    sys.exit(0)
if not config:
    sys.exit(0)
args_index, args_bytes = struct.unpack_from("<II", config, 16 + 8 + 4 * 4)
path = os.pread(fds[args_index], args_bytes, 0).split(b"\0")[1].decode()
test = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
test.connect(path)
socket.send_fds(test, [struct.pack("<I", os.getpid()) + config], [3] + fds)
for fd in fds + [4]:
    os.close(fd)
sock.close()
code = test.recv(1)  # the status to exit with, or the test's end
os._exit(code[0] if code else 0)
