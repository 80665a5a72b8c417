"""The tests of test_vmm.sh. usage: vmm_guests.py BUILD"""
import os
import re
import signal
import struct
import subprocess
import sys
import time

from vmmctl import *

BUILD = os.path.abspath(sys.argv[1])
EXE = os.path.join(BUILD, "bin/exo-vmm")
PROBE = os.path.join(BUILD, "tools/sandbox-probe")
tap = Tap()


def code(text):
    return bytes.fromhex(re.sub(r"#[^\n]*", "", text).replace(" ", "").replace("\n", ""))


EXIT = EXIT42
SPIN = code("ebfe")
SPIN_CLI = code("fa ebfe")
PLATFORM = "0000d0"

# name, instructions (32-bit, paging off), RAM in MiB, expected reason, words of the detail
H32 = [
    ("invalid instruction without a handler", code("0f0b"), "TRIPLE_FAULT", ""),
    ("interrupt table at the end of RAM", code("0f011d 10002000 cd03 90909090 ffff 00000004"),
     ("TRIPLE_FAULT", "INTERNAL"), ""),
    ("jump into a hole", code("b8000000f0 ffe0"), "HOLE", "0xf0000000"),
    ("jump to a device", code("b8001000d0 ffe0"), ("HOLE", "INTERNAL", "TRIPLE_FAULT"), ""),
    ("read of a hole", code("a1 000000f0"), "HOLE", "read of 0xf0000000"),
    ("write to a hole", code("c705 000000f0 01000000"), "HOLE", "write to 0xf0000000"),
    ("store across the end of RAM", code("c705 feffff03 01000000"), "HOLE", "0x4000000"),
    ("read across the end of RAM", code("a1 feffff03"), "HOLE", "0x4000000"),
    ("read of an MSR that does not exist", code("b9efbeadde 0f32"), "TRIPLE_FAULT", ""),
    ("write to an MSR that does not exist", code("b9efbeadde 0f30"), "TRIPLE_FAULT", ""),
    ("string copy to device registers", code("be00002000 bf001000d0 b900010000 f3a4") + EXIT,
     "EXIT", ""),
    ("string copy from device registers", code("be001000d0 bf00003000 b940000000 f3a5") + EXIT,
     "EXIT", ""),
    ("string store into a hole", code("bf000000f0 b910000000 f3ab"), "HOLE", "0xf0000000"),
    ("string output to a port", code("66ba7000 be00002000 b900100000 f36e") + EXIT, "EXIT", ""),
    ("string input from a port", code("66ba7000 bf00003000 b900100000 f36c") + EXIT, "EXIT", ""),
    ("lock xadd on a register", code("b8701000d0 bb01000000 f00fc118") + EXIT, "EXIT", ""),
    ("lock cmpxchg on a register", code("b8701000d0 bb01000000 f00fb118") + EXIT, "EXIT", ""),
    ("lock cmpxchg8b on registers", code("bf701000d0 f00fc70f") + EXIT, "EXIT", ""),
    ("ports that do not exist", code("b0ff e680 e671 e471 e460 66ba2300 66ed") + EXIT, "EXIT", ""),
    ("page tables in a hole", code("b8000000f0 0f22d8 0f20c0 0d00000080 0f22c0 90"),
     ("HOLE", "TRIPLE_FAULT", "INTERNAL"), ""),
    ("stack in a hole, then a call", code("bc000000f0 e800000000"), ("HOLE", "TRIPLE_FAULT"), ""),
    ("halt with interrupts off", code("fa f4 ebfd"), "HALTED", ""),
    ("exit by signal", code("c705 0c0000d0 06000000"), "SIGNAL", ""),
    ("power off", code("c605 100000d0 34"), "POWEROFF", ""),
    ("reset", code("c605 180000d0 01"), "RESET", ""),
]


def run(program, **options):
    vmm = Vmm(EXE, program, **options)
    end = vmm.end()
    return end, vmm.finish()


def h32():
    for name, instructions, reasons, words in H32:
        reasons = (reasons,) if isinstance(reasons, str) else reasons
        end, (status, error) = run(elf(instructions))
        ok = end[0] in reasons and words in end[2] and status == 0 and not error
        tap.check(ok, f"H-32 {name}: {end[0]}", f"ended {end}, exit status {status}, {error!r}")
    # The same with the CPU that other guests see, and with several.
    for name, instructions, reasons, words in H32[:4]:
        reasons = (reasons,) if isinstance(reasons, str) else reasons
        end, _ = run(elf(instructions, sdk=False), cpus=2)
        tap.check(end[0] in reasons, f"H-32 {name}, 2 CPUs, not an SDK guest: {end[0]}", f"{end}")


def h33():
    for name, program in (("spins", SPIN), ("spins with interrupts off", SPIN_CLI)):
        for cpus in (1, 2):
            vmm = Vmm(EXE, elf(program), cpus=cpus).wait_started()
            time.sleep(0.1)
            began = time.monotonic()
            vmm.kill(signal.SIGTERM)
            end = vmm.end()
            took = time.monotonic() - began
            tap.check(end[:2] == ("KILLED", 15) and took < 0.5,
                      f"H-33 a guest that {name}, {cpus} CPUs, is killed at once",
                      f"{end} after {took:.3f} s")
            vmm.finish()
        vmm = Vmm(EXE, elf(program)).wait_started()
        time.sleep(0.05)
        began = time.monotonic()
        status, _ = vmm.finish()
        took = time.monotonic() - began
        tap.check(status in (0, 1) and took < 0.5,
                  f"H-33 a guest that {name} ends with its shell", f"{status} after {took:.3f} s")
    vmm = Vmm(EXE, elf(SPIN), flags=OUTLIVE).wait_started()
    vmm.sock.close()
    time.sleep(0.3)
    tap.check(vmm.process.poll() is None, "a guest told to outlive its shell does")
    vmm.process.kill()
    vmm.finish()
    # A spinning guest does not keep the event loop from its work.
    vmm = Vmm(EXE, elf(SPIN_CLI)).wait_started()
    vmm.send(STATS_REQUEST)
    got = vmm.receive()
    tap.check(got and got[0] == STATS and struct.unpack("<QQQQQ", got[1][16:56])[4] == 64 * MIB,
              "H-33 statistics of a guest that spins")
    vmm.finish()


def messages():
    bad = {
        "a type that does not exist": dict(kind=99),
        "a type of the other direction": dict(kind=ENDED),
        "a second configuration": dict(kind=CONFIG),
        "the wrong magic": dict(kind=STATS_REQUEST, magic=1),
        "the wrong size": dict(kind=STATS_REQUEST, size=17),
        "too little": dict(kind=KILL),
        "too much": dict(kind=STATS_REQUEST, payload=bytes(8)),
        "a lot too much": dict(kind=STATS_REQUEST, payload=bytes(9000)),
        "fds where none belong": dict(kind=STATS_REQUEST, fds=(0,)),
        "more fds than any message has": dict(kind=VSOCK_OPEN, payload=bytes(48), fds=(0, 0, 0)),
        "no fd where one belongs": dict(kind=VSOCK_OPEN, payload=bytes(48)),
        "signal 0": dict(kind=SIGNAL, payload=struct.pack("<II", 0, 0)),
        "signal 64": dict(kind=SIGNAL, payload=struct.pack("<II", 64, 0)),
        "an absurd window": dict(kind=WINCH, payload=struct.pack("<II", 1 << 20, 1)),
    }
    for name, message in bad.items():
        vmm = Vmm(EXE, elf(SPIN)).wait_started()
        vmm.send(**message)
        end = vmm.end()
        tap.check(end[0] == "KILLED" and "not one of ours" in end[2],
                  f"ends its guest at a message with {name}", f"{end}")
        vmm.finish()
    for name, message in {
        "a window size": dict(kind=WINCH, payload=struct.pack("<II", 24, 80)),
        "a connection without a vsock device": dict(
            kind=VSOCK_OPEN, payload=vsock_payload(1, 1), fds=(0,)),
        "an answer nobody asked for": dict(
            kind=VSOCK_REPLY, payload=vsock_payload(1, 1), fds=(0,)),
    }.items():
        vmm = Vmm(EXE, elf(SPIN), flags=RNG | (VSOCK if "answer" in name else 0)).wait_started()
        vmm.send(**message)
        vmm.send(STATS_REQUEST)
        got = vmm.receive()
        tap.check(got and got[0] == STATS, f"takes {name} and goes on", f"{got and got[0]}")
        vmm.finish()
    vmm = Vmm(EXE, elf(SPIN)).wait_started()
    vmm.send(SIGNAL, struct.pack("<II", 2, 0))
    end = vmm.end()
    tap.check(end[:2] == ("SIGNAL", 2), "a program that does not listen ends by the signal", f"{end}")
    vmm.finish()


def images():
    good = elf(EXIT)
    for name, image in (("nothing", b""), ("a script", b"#!/bin/sh\n"), ("half a header", good[:99]),
                        ("a file cut short", good[:4098])):
        end, (status, error) = run(image)
        tap.check(end[0] == "CONFIG" and end[2] and status == 0 and not error,
                  f"H-30 {name}: {end[2]}", f"{end} {status} {error}")
    end, _ = run(good, ram=MIB)
    tap.check(end[0] == "CONFIG" and "memory" in end[2], f"too little memory: {end[2]}")
    end, _ = run(good, ram=1 << 40)
    tap.check(end[0] in ("EXIT", "CONFIG", "HOST") and end[0] != "HANGUP",
              f"a TiB of memory: {end[0]} {end[2]}")
    end, _ = run(good, ram=5 << 30)
    tap.check(end[:2] == ("EXIT", 42), "memory on both sides of the devices", f"{end}")
    end, _ = run(good, ram=64 * MIB, flags=PREFAULT)
    tap.check(end[:2] == ("EXIT", 42), "memory touched beforehand", f"{end}")
    with open("/proc/sys/vm/nr_hugepages") as f:
        reserved = int(f.read())
    end, _ = run(good, flags=HUGEPAGES)
    if reserved == 0:
        tap.check(end[0] == "CONFIG" and "nr_hugepages" in end[2], f"no huge pages: {end[2]}")
    else:
        tap.check(end[0] in ("EXIT", "CONFIG"), f"huge pages: {end[0]}")
    vmm = Vmm(EXE, good, configure=False)
    vmm.send(CONFIG, bytes(100))
    end = vmm.end()
    tap.check(end[0] == "CONFIG", "a configuration that is not one", f"{end}")
    vmm.finish()
    vmm = Vmm(EXE, good, configure=False)
    status, error = vmm.finish()
    tap.check(status == 1 and not error, "a shell that hangs up before the configuration",
              f"{status} {error}")


def sandbox_state():
    vmm = Vmm(EXE, elf(SPIN), cpus=2, flags=RNG | VSOCK).wait_started()
    time.sleep(0.1)
    base = f"/proc/{vmm.pid}"
    tasks = sorted(os.listdir(base + "/task"), key=int)
    status = {}
    for t in tasks:
        with open(f"{base}/task/{t}/status") as f:
            status[t] = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    # The kernel may have a worker of its own in the process (KVM's); it never runs our code.
    ours = [t for t in tasks if status[t]["Name"].startswith("exo-vmm")]
    tap.check(len(ours) == 3, "three threads: event loop and two vCPUs",
              *(f"{t} {status[t]['Name']}" for t in tasks))
    want = {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0" * 16, "CapPrm": "0" * 16,
            "CapInh": "0" * 16}
    if os.geteuid() == 0:
        uid = str(0x7F000000 | vmm.pid)
        want.update(Uid="\t".join([uid] * 4), Gid="\t".join([uid] * 4), Groups="")
    for key, value in want.items():
        got = {status[t][key].strip() for t in ours}
        tap.check(got == {value.strip()}, f"each thread has {key} {value!r}", f"{got}")
    # Empty root: what it lists is the process's own fds.
    root = os.readlink(base + "/root")
    tap.check("fdinfo" in root or root == "/var/empty", f"root directory is {root}")
    loop = ours[1]  # the first is a vCPU, the second the event loop
    changed = [ns for ns in ("mnt", "ipc", "uts") if
               os.readlink(f"{base}/task/{loop}/ns/{ns}") != os.readlink(f"/proc/self/ns/{ns}")]
    if os.geteuid() == 0 or len(changed) == 3:
        tap.check(len(changed) == 3, "the event loop has namespaces of its own: mnt, ipc, uts", f"{changed}")
    else:
        tap.skip("namespaces of its own", "user namespaces are refused here")
    limits = open(base + "/limits").read()
    tap.check(re.search(r"Max core file size\s+0\s+0", limits) is not None, "no core files")
    tap.check(re.search(r"Max open files\s+1024\s+1024", limits) is not None, "1024 fds at most")
    kinds = sorted(re.sub(r"[\d:]+", "", os.readlink(f"{base}/fd/{fd}"))
                   for fd in os.listdir(base + "/fd"))
    allowed = ("/dev/kvm", "anon_inode[eventpoll]", "anon_inode[kvm-vcpu]", "anon_inodekvm-vcpu",
               "anon_inode[timerfd]", "anon_inodekvm-vm", "socket[]", "pipe[]", "/dev/null",
               "/memfdexo-ram (deleted)", "/memfdtest (deleted)")
    strange = [k for k in kinds if k not in allowed]
    tap.check(not strange, "no other fds than its own", *(f"{k}" for k in strange))
    vmm.finish()


def doorbells():
    """A doorbell that rings often becomes an ioeventfd: no exits, and the loop answers."""
    ring = "c705 501000d0 00000000"
    wait = "0f31 89c3 0f31 29d8 3d00000020 72f7"  # 2^29 cycles of the TSC
    again = "b9e8030000 " + ring + " e2f4"  # 1,000 times
    vmm = Vmm(EXE, elf(code("b90f000000 " + ring + " e2f4") + SPIN)).wait_started()
    time.sleep(0.3)
    vmm.send(STATS_REQUEST)
    exits = struct.unpack("<Q", vmm.receive()[1][16:24])[0]
    fds = [os.readlink(f"/proc/{vmm.pid}/fd/{n}") for n in os.listdir(f"/proc/{vmm.pid}/fd")]
    tap.check(exits == 15 and "anon_inode:[eventfd]" not in fds,
              "a doorbell that rings 15 times is 15 exits", f"{exits} {fds}")
    vmm.finish()
    vmm = Vmm(EXE, elf(code("b910000000 " + ring + " e2f4" + wait + again) + SPIN)).wait_started()
    exits, deadline = 0, time.monotonic() + 20
    while exits < 16 and time.monotonic() < deadline:
        vmm.send(STATS_REQUEST)
        exits = struct.unpack("<Q", vmm.receive()[1][16:24])[0]
    time.sleep(1.5)
    vmm.send(STATS_REQUEST)
    exits, _, _, wakeups, _ = struct.unpack("<QQQQQ", vmm.receive()[1][16:56])
    fds = [os.readlink(f"/proc/{vmm.pid}/fd/{n}") for n in os.listdir(f"/proc/{vmm.pid}/fd")]
    # Where all is slow the first of the thousand come before the event loop had its turn.
    tap.check(16 <= exits < 1000 and "anon_inode:[eventfd]" in fds,
              "the next 1,000 rings are none", f"{exits} {wakeups} {fds}")
    vmm.finish()


def unprivileged():
    """As an ordinary user: namespaces come from a user namespace, where one is allowed."""
    if os.geteuid() != 0:
        tap.skip("as an ordinary user", "all of this is run by one")
        return
    vmm = Vmm(EXE, elf(SPIN), user=65534).wait_started()
    base = f"/proc/{vmm.pid}"
    with open(base + "/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    tap.check(status["CapEff"] == "0" * 16 and status["Seccomp"] == "2",
              "an ordinary user's VMM has no capabilities and a filter", str(status))
    loop = sorted(os.listdir(base + "/task"), key=int)[1]
    own = [ns for ns in ("user", "mnt", "ipc", "uts") if
           os.readlink(f"{base}/task/{loop}/ns/{ns}") != os.readlink(f"/proc/self/ns/{ns}")]
    with open("/proc/sys/user/max_user_namespaces") as f:
        allowed = int(f.read()) > 0
    if allowed and own:
        tap.check(len(own) == 4, "and namespaces of its own: user, mnt, ipc, uts", f"{own}")
    else:
        tap.skip("and namespaces of its own", "user namespaces are refused here")
    vmm.finish()
    vmm = Vmm(EXE, elf(EXIT), user=65534)
    tap.check(vmm.end()[:2] == ("EXIT", 42), "and runs its guest")
    vmm.finish()


# Calls that a thread may make; everything else kills the process (vmm/tools/seccomp-gen.c).
COMMON = dict(futex=202, clock_gettime=228, exit_group=231, rt_sigreturn=15, restart_syscall=219,
              epoll_ctl=233, timerfd_settime=286, readv=19, writev=20, poll=7, recvmsg=47,
              sendmsg=46, sendto=44, shutdown=48, close=3, getrandom=318, io_uring_enter=426,
              preadv=295, pwritev=296, fdatasync=75, fallocate=285, pread64=17)
LOOP = dict(COMMON, epoll_wait=232, epoll_pwait=281, read=0, eventfd2=290, accept4=288, fstat=5,
            munmap=11)
VCPU = COMMON
IOCTLS = {
    "loop": {0x4020AEA5: "KVM_SIGNAL_MSI", 0x4040AE79: "KVM_IOEVENTFD", 0x4020AE76: "KVM_IRQFD",
             0x4008AE6A: "KVM_SET_GSI_ROUTING"},
    "vcpu": {0xAE80: "KVM_RUN", 0x4020AEA5: "KVM_SIGNAL_MSI", 0x8090AE81: "KVM_GET_REGS",
             0x8138AE83: "KVM_GET_SREGS", 0xC018AE85: "KVM_TRANSLATE",
             0x8004AE98: "KVM_GET_MP_STATE", 0x4008AE6A: "KVM_SET_GSI_ROUTING"},
}


def sandbox_probe():
    """Every call number, tried in a process sealed by the very same code and filter."""
    for thread, allowed in (("loop", LOOP), ("vcpu", VCPU)):
        result = subprocess.run([PROBE, thread], capture_output=True, text=True, timeout=120)
        lines = [line.split() for line in result.stdout.splitlines()]
        # The kernel lets two calls past any filter: they are traps of its own probes, and
        # from anywhere else they kill the caller.
        calls = {int(n) for kind, n in lines if kind == "call"} - {335, 336}
        ioctls = {int(n, 16) for kind, n in lines if kind == "ioctl"}
        other = [f"{kind} {n}" for kind, n in lines if kind == "other"]
        tap.check(result.returncode == 0 and ["done", "1"] in lines,
                  f"the probe of the {thread} thread ran", result.stderr, result.stdout[-200:])
        tap.check(calls == set(allowed.values()),
                  f"the {thread} thread survives {len(allowed)} of all system calls",
                  f"unexpected: {sorted(calls - set(allowed.values()))}",
                  f"missing: {sorted(set(allowed.values()) - calls)}")
        tap.check(ioctls == set(IOCTLS[thread]), f"the {thread} thread survives "
                  f"{len(IOCTLS[thread])} ioctls", f"{[hex(i) for i in ioctls]}")
        want = ["own-tgkill", "map-shared", "map-shared-fixed", "map-read-only",
                "map-nothing-fixed", "fcntl-seals"] if thread == "loop" else []
        want.append("madvise-remove")
        tap.check(other == ["other " + w for w in want], f"the {thread} thread signals at most "
                  "itself, maps only what channels need and nothing to run; no other ABI",
                  f"{other}")


def delivery():
    """A program whose output nobody takes: it waits, as a process would, and can be killed."""
    with open(os.path.join(BUILD, "guests/hello.elf"), "rb") as f:
        hello = f.read()
    for act in ("killed", "read", "left"):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(writer, bytes(4096))
        except BlockingIOError:
            pass
        vmm = Vmm(EXE, hello, stdout=writer).wait_started()
        os.close(writer)
        time.sleep(0.3)
        waits = vmm.process.poll() is None
        began = time.monotonic()
        if act == "killed":
            vmm.kill(signal.SIGTERM)
            ok = vmm.end()[:2] == ("KILLED", 15)
        elif act == "read":
            text = b""
            while len(text) < filled + 10:
                text += os.read(reader, 65536)
            ok = text[filled:].startswith(b"hello") and vmm.end()[:2] == ("EXIT", 0)
        else:
            ok = True
        status, _ = vmm.finish()
        took = time.monotonic() - began
        tap.check(waits and ok and took < 1 and status in (0, 1),
                  f"output that nobody takes, {act}", f"{waits} {ok} {status} {took:.3f} s")
        os.close(reader)


def nothing_left():
    """Many guests one after the other, and many at once."""
    before = len(os.listdir("/proc/self/fd"))
    program = elf(EXIT)
    bad = [e for e in (run(program) for _ in range(50)) if e[0][:2] != ("EXIT", 42) or e[1][0]]
    tap.check(not bad, "50 guests one after the other", f"{bad[:3]}")
    guests = [Vmm(EXE, elf(SPIN), ram=16 * MIB) for _ in range(20)]
    ends = []
    for g in guests:
        g.wait_started(30)
    for g in guests:
        g.kill()
    for g in guests:
        ends.append(g.end(30))
        g.finish()
    tap.check(all(e[:2] == ("KILLED", 9) for e in ends), "20 guests at once", f"{ends[:3]}")
    tap.check(len(os.listdir("/proc/self/fd")) == before, "no fds left here")


for test in (h32, h33, messages, images, doorbells, sandbox_state, unprivileged, sandbox_probe, delivery,
             nothing_left):
    test()
sys.exit(tap.done())
