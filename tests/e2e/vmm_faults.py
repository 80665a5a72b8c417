"""The loop of test_faults.sh. usage: vmm_faults.py BUILD TMP"""
import os
import re
import subprocess
import sys

from vmmctl import *

EXE = os.path.join(os.path.abspath(sys.argv[1]), "bin/exo-vmm")
LOG = os.path.join(sys.argv[2], "strace.log")
TIMEOUT = 10
tap = Tap()

# Calls that can't fail, or whose failure libc has no way to report.
NEVER = {"exit_group", "exit", "execve", "arch_prctl", "set_tid_address", "futex", "getpid",
         "gettid", "geteuid", "rt_sigreturn", "sched_yield", "restart_syscall"}
ERRORS = {"ioctl": ("EINVAL", "ENOMEM", "EMFILE", "EINTR"), "recvmsg": ("EINTR", "ENOMEM"),
          "sendmsg": ("EINTR", "EAGAIN", "EPIPE"), "epoll_pwait": ("EINTR", "EINVAL"),
          "pread64": ("EIO", "EINTR"), "preadv": ("EIO", "EINTR"), "unshare": ("EPERM", "ENOSPC"),
          "clone": ("EAGAIN", "ENOMEM"), "seccomp": ("EINVAL", "ENOMEM"),
          "memfd_create": ("EMFILE", "ENOMEM"), "epoll_create1": ("EMFILE", "ENOMEM"),
          "timerfd_create": ("EMFILE", "ENOMEM"), "io_uring_setup": ("ENOSYS", "EPERM", "ENOMEM"),
          "mmap": ("ENOMEM", "EAGAIN"), "chroot": ("EPERM", "ENOENT"),
          "setresuid": ("EAGAIN", "EPERM")}
DEFAULT = ("EINVAL", "ENOMEM")

disk = memfd(bytes(1 << 16), "disk")
bells = eventfd(), eventfd()
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(os.path.join(sys.argv[2], "listen"))
listener.listen(1)


def attempt(options, user=None):
    """One start with a disk and channels: (end, exit status, standard error)."""
    vmm = Vmm(EXE, elf(EXIT42), flags=RNG | VSOCK | CHANNELS_OK | OUTLIVE, cpus=2, stdout=2,
              bells=bells, window=2 * MIB, listen=listener.fileno(),
              disks=((disk, 0, 1 << 16, b"disk0"),),
              wrap=["strace", "-f", "-qq", "-o", LOG] + options, user=user)
    try:
        end = vmm.end(TIMEOUT)
    except (TimeoutError, subprocess.TimeoutExpired):
        end = ("HUNG", 0, "")
    status, error = vmm.finish()
    return end, status, error


def sane(end, status, error):
    lines = error.strip().splitlines()
    if status == "hung" or (isinstance(status, int) and status < 0):
        return False
    if end[0] == "EXIT":
        return end[1] == 42
    if end[0] in ("HOST", "CONFIG"):
        return bool(end[2]) and not lines
    return end[0] == "HANGUP" and status != 0 and len(lines) <= 1


before = len(os.listdir("/proc/self/fd"))
end, status, error = attempt([])
tap.check(end[:2] == ("EXIT", 42), "the start that is going to fail succeeds",
          f"{end} {status} {error}")
with open(LOG, errors="replace") as f:
    calls = sorted({m[1] for m in re.finditer(r"^\d+ +(\w+)\(", f.read(), re.M)} - NEVER)
tap.check(len(calls) > 25 and "seccomp" in calls, f"it makes {len(calls)} kinds of system call",
          " ".join(calls))

total = tolerated = sealed = 0
for call in calls:
    bad = []
    made = 0
    for error_name in ERRORS.get(call, DEFAULT):
        for when in range(1, 60):
            result = attempt(["-e", f"trace={call},seccomp", "-e",
                              f"inject={call}:error={error_name}:when={when}"])
            with open(LOG, errors="replace") as f:
                log = f.read()
            if "(INJECTED)" not in log and result[1] != -31:
                break
            # strace makes a call fail by turning it into number -1. Behind the seccomp filter
            # that is a forbidden call like any other, so those few can't be tried this way.
            if result[1] == -31 and "seccomp(" in log:
                sealed += 1
                continue
            made += 1
            tolerated += result[0][0] == "EXIT"
            if not sane(*result):
                bad.append(f"{call} no. {when} {error_name}: {result}")
    total += made
    tap.check(not bad, f"{call} fails, {made} times", *bad)
print(f"# {total} faults, {tolerated} of them without consequence; {sealed} more calls are "
      "made when the filter is in place and killed strace's stand-in")
if os.geteuid() == 0:
    os.chmod(sys.argv[2], 0o777)
    os.unlink(LOG)
    # strace counts by thread: that is the user namespace and all others.
    end, status, error = attempt(["-e", "inject=unshare:error=EPERM"], 65534)
    with open(LOG) as f:
        injected = f.read().count("(INJECTED)")
    tap.check(injected == 2 and end[:2] == ("EXIT", 42),
              "an ordinary user's guest runs without namespaces", f"{injected} {end} {error}")
tap.check(len(os.listdir("/proc/self/fd")) == before, "no fds left here")
left = [p for p in os.listdir("/proc") if p.isdigit() and p != str(os.getpid())
        and os.path.exists(f"/proc/{p}/status")
        and f"PPid:\t{os.getpid()}\n" in open(f"/proc/{p}/status").read()]
tap.check(not left, "no processes left", " ".join(left))
sys.exit(tap.done())
