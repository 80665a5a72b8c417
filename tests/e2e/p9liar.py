#!/usr/bin/python3
"""File servers that lie, for a guest whose client must cope.

usage: p9liar.py PATH

Listens at the Unix socket PATH. Each connection gets the next lie of the list; a first
line of output says how many there are. What is not lied about is a folder with one
file of five bytes.
"""
import socket
import struct
import sys
import threading

FILE = b"hello"


def reply(kind, tag, body=b""):
    return struct.pack("<IBH", 7 + len(body), kind, tag) + body


def qid(kind=0, path=1):
    return struct.pack("<BIQ", kind, 0, path)


def honest(kind, tag, body):
    """A server of one file that is good enough for open and read."""
    if kind == 100:
        return reply(101, tag, struct.pack("<I", 65536) + struct.pack("<H", 8) + b"9P2000.L")
    if kind == 104:
        return reply(105, tag, qid(0x80))
    if kind == 110:
        count = struct.unpack("<H", body[8:10])[0]
        return reply(111, tag, struct.pack("<H", count) + qid(0, 2) * count)
    if kind == 12:
        return reply(13, tag, qid(0, 2) + struct.pack("<I", 0))
    if kind == 116:
        offset = struct.unpack("<Q", body[4:12])[0]
        data = FILE[offset:]
        return reply(117, tag, struct.pack("<I", len(data)) + data)
    if kind == 24:
        return reply(25, tag, struct.pack("<Q", 0x7FF) + qid(0, 2) + struct.pack("<III", 0o100644, 0, 0) +
                     struct.pack("<15Q", 1, 0, 5, 4096, 8, *([0] * 10)))
    if kind == 40:
        return reply(41, tag, struct.pack("<I", 0))
    return reply(kind + 1, tag)


def flood(size, kind):
    return lambda tag, body: reply(kind, tag, struct.pack("<I", size)) + b"x" * size


LIES = [  # which request is answered wrongly, and how
    (100, lambda tag, body: reply(101, tag, struct.pack("<I", 1) + b"\x08\0" b"9P2000.L")),
    (100, lambda tag, body: reply(101, tag, struct.pack("<I", 1 << 30) + b"\x08\0" b"9P2000.L")),
    (100, lambda tag, body: reply(101, tag, struct.pack("<I", 8192) + b"\x07\0unknown")),
    (100, lambda tag, body: b"\xff" * 64),
    (104, lambda tag, body: reply(7, tag, struct.pack("<I", 13))),
    (110, lambda tag, body: reply(111, tag, struct.pack("<H", 16) + qid() * 16)),
    (110, lambda tag, body: reply(111, tag, struct.pack("<H", 0))),
    (110, lambda tag, body: reply(111, tag, struct.pack("<H", 60000))),
    (110, lambda tag, body: reply(111, tag + 1, struct.pack("<H", 1) + qid())),
    (110, lambda tag, body: reply(7, tag, struct.pack("<I", 0))),
    (110, lambda tag, body: reply(7, tag, struct.pack("<I", 0xFFFFFFFF))),
    (110, lambda tag, body: reply(111, tag, struct.pack("<H", 1) + qid(0x02))),  # a link, whose
    (22, lambda tag, body: reply(23, tag, struct.pack("<H", 65535) + b"a" * 100)),
    (116, flood(60000, 117)),
    (116, lambda tag, body: struct.pack("<IBHI", 11, 117, tag, 5)),
    (116, lambda tag, body: struct.pack("<IBHI", 16, 117, tag, 0xFFFFFFFF) + FILE),
    (116, lambda tag, body: struct.pack("<IBHI", 0xFFFFFFFF, 117, tag, 5) + FILE),
    (116, lambda tag, body: struct.pack("<IBHI", 3, 117, tag, 5) + FILE),
    (116, lambda tag, body: reply(117, tag + 7, struct.pack("<I", 5) + FILE)),
    (116, lambda tag, body: reply(119, tag, struct.pack("<I", 5))),
    (116, lambda tag, body: None),  # hangs up
    (40, flood(60000, 41)),
    (40, lambda tag, body: reply(41, tag, struct.pack("<I", 30) + qid() + b"\xff" * 17)),
    (24, lambda tag, body: reply(25, tag, b"short")),
]


def receive(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def serve(sock, lie):
    try:
        while True:
            size, kind, tag = struct.unpack("<IBH", receive(sock, 7))
            body = receive(sock, size - 7)
            answer = lie[1](tag, body) if kind == lie[0] else honest(kind, tag, body)
            if answer is None:
                break
            sock.sendall(answer)
    except (EOFError, OSError):
        pass
    sock.close()


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(100)
    print(len(LIES), flush=True)
    turn = 0
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, LIES[turn % len(LIES)]), daemon=True).start()
        turn += 1


if __name__ == "__main__":
    main()
