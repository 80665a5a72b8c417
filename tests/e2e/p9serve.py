#!/usr/bin/python3
"""Serves a folder by exo-fs to whoever connects to a socket on this machine.

usage: p9serve.py [--unix PATH] [--ro] FOLDER

Prints the TCP port of 127.0.0.1 (or the path) when it listens; runs until killed.
"""
import argparse
import socket

import p9client


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unix")
    parser.add_argument("--ro", action="store_true")
    parser.add_argument("folder")
    args = parser.parse_args()
    if args.unix:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(args.unix)
    else:
        listener = socket.create_server(("127.0.0.1", 0))
    listener.listen()
    print(args.unix or listener.getsockname()[1], flush=True)
    server = p9client.Server(args.folder, *(["--read-only"] if args.ro else []))
    while True:
        connection, _ = listener.accept()
        server.adopt(connection)
        connection.close()


if __name__ == "__main__":
    main()
