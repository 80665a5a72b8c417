"""The tests of test_display.sh. usage: vmm_display.py BUILD"""
import os
import random
import struct
import sys

from displaypeer import *
from vmmctl import *

BUILD = os.path.abspath(sys.argv[1])
EXE = os.path.join(BUILD, "bin/exo-vmm")
tap = Tap()

SPIN = bytes.fromhex("f390 ebfc")
# A word of picture memory becomes 0x11223344; then the guest counts in the next word, for ever.
DRAW = bytes.fromhex("c705 000100e0 44332211  ff05 040100e0  f390 ebf6")
# Exits with the low byte of the first word of picture memory.
READ = bytes.fromhex("a1 000000e0 a3 080000d0")
# The last word of 8 MiB of picture memory, then the one behind it.
BEYOND = bytes.fromhex("c705 fcff7fe0 01000000  c705 000080e0 01000000")


def word(peer, at):
    return struct.unpack_from("<I", peer.memory, at)[0]


def counts(peer):
    """The guest of DRAW goes on."""
    before = word(peer, 0x104)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if word(peer, 0x104) != before:
            return True
    return False


def start(program=DRAW, **options):
    screen = Screen(**options)
    vmm = Vmm(EXE, elf(program), screen=screen.config)
    screen.handed_over()
    return screen, vmm


def stop(vmm, screen=None):
    vmm.kill()
    end = vmm.end()
    result = vmm.finish()
    if screen and screen.peer:
        screen.peer.close()
    return end, result


GOOD_END = (("KILLED", 9, ""), (0, ""))


def memory():
    screen, vmm = start(scanouts=3, inputs=HAS_KEYBOARD | HAS_TOUCH | HAS_CAPTURE)
    vmm.wait_started()
    peer = screen.peer
    peer.receive()
    tap.check(peer.hello == (8 * MIB, 3, HAS_KEYBOARD | HAS_TOUCH | HAS_CAPTURE),
              "HELLO says what the configuration said", f"{peer.hello}")
    tap.check(counts(peer) and word(peer, 0x100) == 0x11223344,
              "what the guest draws is seen by the desktop")
    tap.check(stop(vmm, screen) == GOOD_END, "the guest ends as others do")
    picture = sealed(MIB, data=b"\x2a", name="picture")
    screen, vmm = start(READ, size=MIB, picture=picture, desktop=False)
    end = vmm.end()
    tap.check(end[:2] == ("EXIT", 42) and vmm.finish() == (0, ""),
              "the guest reads it; without a desktop it runs as well; the least there can be",
              f"{end}")
    screen, vmm = start(BEYOND, desktop=False)
    end = vmm.end()
    vmm.finish()
    tap.check(end[0] == "HOLE" and "0xe0800000" in end[2], "behind it is nothing", f"{end}")
    screen, vmm = start(SPIN, size=256 * MIB, scanouts=16, width=16384, height=16384)
    vmm.wait_started()
    tap.check(screen.peer.receive() and screen.peer.hello[:2] == (256 * MIB, 16),
              "the most there can be")
    stop(vmm, screen)


def replaced():
    screen, vmm = start()
    vmm.wait_started()
    peers = [screen.peer]
    peers[0].receive()
    for i in range(20):
        peers.append(screen.replace(vmm))
    got = [p.receive() and p.hello for p in peers[1:]]
    gone = [p.receive() is None and p.hung_up for p in peers[:-1]]
    tap.check(all(gone) and not peers[-1].hung_up, "another desktop: the last one is hung up on",
              f"{gone}")
    tap.check(got == [peers[0].hello] * 20, "each is told what there is", f"{got}")
    tap.check(peers[-1].mode(0, 800, 600) and counts(peers[-1]), "and the guest goes on")
    for p in peers:
        p.close()
    again = screen.replace(vmm)
    tap.check(again.receive() and counts(again), "a desktop that hung up is followed by another")
    fds = len(os.listdir(f"/proc/{vmm.pid}/fd"))
    for _ in range(30):
        again.close()
        again = screen.replace(vmm)
        again.receive()
    vmm.send(STATS_REQUEST)
    vmm.receive()
    now = len(os.listdir(f"/proc/{vmm.pid}/fd"))
    tap.check(now == fds, "none leaves a descriptor behind", f"{fds} {now}")
    dead, theirs = Screen.pair()
    dead.close()
    vmm.send(DISPLAY, fds=[theirs.fileno()])
    theirs.close()
    after = screen.replace(vmm)
    tap.check(after.receive() and counts(after), "one that is gone before it is seen")
    end = stop(vmm, screen)
    tap.check(end == GOOD_END, "the end is the guest's own", f"{end}")


LIES = [
    ("nothing", lambda p: p.sock.send(b"x")),
    ("another magic", lambda p: p.send(MODE, bytes(24), magic=1)),
    ("an unknown type", lambda p: p.send(99)),
    ("a message of the VMM's", lambda p: p.send(FLUSH, bytes(24))),
    ("a size that is not the packet's", lambda p: p.send(MODE, bytes(24), size=100)),
    ("a header with more in it", lambda p: p.send(MODE, bytes(24), reserved=1)),
    ("a descriptor", lambda p: p.send(MODE, struct.pack("<6I", 0, 1, 1, 120, 0, 0), fds=[0])),
    ("a scanout that is not there", lambda p: p.mode(1, 100, 100)),
    ("a scanout of no height", lambda p: p.mode(0, 100, 0)),
    ("a scanout that is too large", lambda p: p.mode(0, 16385, 100)),
    ("a scale of 0", lambda p: p.mode(0, 100, 100, scale=0)),
    ("input without end", lambda p: p.send(INPUT, struct.pack("<4IHHi", 0, 0, 1, 0, 1, 30, 1))),
    ("input for a device that is not there", lambda p: p.input(TOUCH, [(EV_KEY, BTN_TOUCH, 1)])),
    ("a key that is not one", lambda p: p.key(0x2FF, 1)),
    ("more events than there are", lambda p: p.send(INPUT, struct.pack("<4I", 0, 0, 256, 0) +
                                                    bytes(8))),
    ("sound of a guest that is mute", lambda p: p.played(100)),
    ("recorded sound", lambda p: p.captured(bytes(100))),
]


def lies():
    screen, vmm = start()
    vmm.wait_started()
    screen.peer.receive()
    for name, lie in LIES:
        peer = screen.peer
        lie(peer)
        ok = peer.receive() is None and peer.hung_up
        peer.close()
        peer = screen.replace(vmm)
        ok = ok and peer.receive() and counts(peer)
        tap.check(ok, f"H-34 {name}: hung up on, and the guest goes on")
    pick = random.Random(1)
    for _ in range(300):
        peer = screen.replace(vmm)
        peer.receive()
        for _ in range(pick.randrange(4)):
            peer.send(pick.randrange(7), pick.randbytes(pick.choice((0, 8, 16, 24, 40, 100))))
        peer.close()
    peer = screen.replace(vmm)
    tap.check(peer.receive() and counts(peer), "so are messages of chance")
    # Good input that no driver collects, and a desktop that does not read.
    for i in range(2000):
        peer.key(KEY_A, i & 1)
    for i in range(2000):
        peer.mode(0, 100 + i, 100)
    tap.check(counts(peer), "input that nobody takes")
    end = stop(vmm, screen)
    tap.check(end == GOOD_END, "the end is the guest's own", f"{end}")


def refused():
    def check(name, words, **options):
        screen = Screen(**options)
        vmm = Vmm(EXE, elf(SPIN), screen=screen.config)
        end = vmm.end()
        result = vmm.finish()
        screen.peer.close()
        screen.handed_over()
        tap.check(end[0] == "CONFIG" and words in end[2] and result[0] == 0, f"refused: {name}",
                  f"{end} {result}")

    plain = os.memfd_create("picture")
    os.truncate(plain, 8 * MIB)
    check("picture memory that is not sealed", "picture memory", picture=plain)
    check("one that may shrink", "picture memory", picture=sealed(8 * MIB, seals=4))
    check("one that may grow", "picture memory", picture=sealed(8 * MIB, seals=2))
    check("one that is too small", "picture memory", picture=sealed(4 * MIB))
    check("one that is larger than it says", "picture memory", picture=sealed(16 * MIB))
    check("one that nobody may write", "picture memory", picture=sealed(8 * MIB, seals=2 | 4 | 8))
    check("a pipe", "picture memory", picture=os.pipe()[0])
    check("/dev/zero", "picture memory", picture=os.open("/dev/zero", os.O_RDWR))
    check("a size that is none", "picture memory's size", picture=sealed(8 * MIB), size=3 * MIB)
    check("17 windows", "display", scanouts=17)
    check("no window", "display", scanouts=0)
    check("a window without width", "display", width=0)
    check("a scale of 10 times", "display", scale=1200)
    check("inputs that nobody knows", "display", inputs=64)
    disk = os.memfd_create("disk")
    os.truncate(disk, 4096)
    disks = [(os.dup(disk), 0, 4096, b"disk") for _ in range(8)]
    # Console, rng, eight disks, gpu, four inputs: 15; with sound 16.
    screen = Screen(inputs=63, desktop=False)
    vmm = Vmm(EXE, elf(SPIN), screen=screen.config, disks=disks)
    vmm.wait_started()
    tap.check(stop(vmm) == GOOD_END, "16 devices")
    vmm = Vmm(EXE, elf(SPIN), screen=screen.config, disks=disks, flags=RNG | VSOCK)
    end = vmm.end()
    vmm.finish()
    tap.check(end[0] == "CONFIG" and "16 devices" in end[2], "refused: 17 devices", f"{end}")


def not_a_screen():
    vmm = Vmm(EXE, elf(SPIN)).wait_started()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    vmm.send(DISPLAY, fds=[theirs.fileno()])
    end = vmm.end()
    vmm.finish()
    tap.check(end[0] == "KILLED" and "not one of ours" in end[2],
              "DISPLAY to a guest that has none", f"{end}")
    for name, fds in (("no descriptor", []), ("two descriptors", [0, 0])):
        screen, vmm = start()
        vmm.wait_started()
        vmm.send(DISPLAY, fds=fds)
        end = vmm.end()
        vmm.finish()
        tap.check(end[0] == "KILLED" and "not one of ours" in end[2], f"DISPLAY with {name}",
                  f"{end}")


memory()
replaced()
lies()
refused()
not_a_screen()
sys.exit(tap.done())
