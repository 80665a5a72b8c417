"""The points of tests/guest/pairs.c on both paths. usage: pairs.py BUILD TMP"""
import os
import sys

from vmmbroker import *

BUILD, TMP = os.path.abspath(sys.argv[1]), sys.argv[2]
SLOT = 0x01000001
tap = Tap()
with open(os.path.join(BUILD, "guests/test/pairs.elf"), "rb") as f:
    PAIRS = f.read()

FAR = 1 << 20  # the opener's end has another number: both are in one VMM


class Mirror(Broker):
    """Leads a guest's connections back to itself."""

    def offer(self, conn, g, peer_direct, peer, side, **more):
        number = conn["number"] if side else conn["number"] + FAR
        super().offer(dict(conn, number=number), g, peer_direct, peer, side, **more)

    def state(self, g, m):
        number, state, flags, reason = struct.unpack("<IIII", m[16:32])
        if state == ACCEPTED and number < FAR:
            super().state(g, m)
        elif state in (CLOSED, REFUSED):
            self.close(g, number ^ FAR, R_CLOSED if reason == R_NONE else reason)
            if number % FAR in self.conns:
                self.forget(number % FAR)


for path, direct in (("direct", True), ("switched", False)):
    broker = Mirror(TMP)
    guest = Guest(broker, os.path.join(BUILD, "bin/exo-vmm"), PAIRS, (SLOT,), direct=direct)
    broker.routes[guest, SLOT] = guest, 80
    broker.until(lambda: guest.hung_up and guest.eof, 60)
    points = [line for line in guest.lines if line.startswith(("ok ", "not ok "))]
    for line in points:
        tap.check(line.startswith("ok "), f"{path}: {line.split(' - ', 1)[1]}")
    tap.check(guest.ended and guest.ended[:2] == ("EXIT", 0) and points, f"{path}: to the end",
              *guest.lines[-3:], f"{guest.ended}")
    broker.finish()
sys.exit(tap.done())
