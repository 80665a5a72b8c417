#!/usr/bin/env bash
# Every system call of exo run fails once: the guest then runs all the same, or
# exo says in one line why not, with its own exit code, and leaves nothing.
. "$(dirname "$0")/../lib.sh"
need_kvm
command -v strace >/dev/null || skip_all "no strace"
[ "$(kvm_kind)" != nested ] || skip_all "strace slows the emulated machine down too much"

cd "$TMP" || exit 1
python3 - "$EXO" "$BUILD/guests/hello.elf" <<'PY'
import glob
import os
import re
import subprocess
import sys

exo, hello = sys.argv[1:3]
name = f"faults-{os.getpid()}"
with open("disk", "wb") as f:
    f.truncate(65536)
command = [exo, "run", "--name", name, "--disk", "disk", "--vsock", "s", "--json-status", "status", hello]
# No libc can do anything about these failing, or nothing follows them.
exempt = {"execve", "exit_group", "arch_prctl", "set_tid_address", "munmap", "brk"}
kept = {"disk", "status", "trace"}


def run(extra):
    try:
        os.unlink("trace")
    except FileNotFoundError:
        pass
    return subprocess.run(["strace", "-o", "trace"] + extra + ["--"] + command, input=b"",
                          capture_output=True, timeout=20)


base = run([])
calls = [m[1] for m in map(lambda l: re.match(r"(\w+)\(", l), open("trace")) if m]
assert base.returncode == 0 and base.stdout, base
count = {}
sites = []
for call in calls:
    count[call] = count.get(call, 0) + 1
    if call not in exempt:
        sites.append((call, count[call]))
print(f"1..{2 * len(sites) + 1}")
print(f"ok 1 - without a fault, {len(calls)} system calls")
number, failed = 1, 0
for call, when in sites:
    for error in ("ENOMEM", "EINTR" if call in ("poll", "read", "write", "recvmsg", "sendmsg", "wait4",
                                                "open", "connect") else "EIO"):
        number += 1
        why = ""
        try:
            p = run(["-e", f"inject={call}:error={error}:when={when}"])
            lines = [l for l in p.stderr.decode().splitlines() if l.startswith("exo: ")]
            fine = p.returncode == 0 and p.stdout == base.stdout
            said = p.returncode in (125, 126, 127) and len(lines) == 1
            # The guest ran, and what failed was of no importance to it, or its own output.
            if not fine and not said:
                why = f"exit status {p.returncode}, {p.stdout!r}, {p.stderr!r}"
        except subprocess.TimeoutExpired:
            why = "it hung"
        for left in set(os.listdir()) - kept:
            # An unlink that fails cannot leave nothing.
            if call not in ("unlink", "rename"):
                why += f" left {left}"
            os.unlink(left)
        for _ in range(200):
            if subprocess.run(["pgrep", "-f", f"^exo-vmm {name}"], capture_output=True).returncode:
                break
        else:
            why += " left its VMM"
            subprocess.run(["pkill", "-KILL", "-f", f"^exo-vmm {name}"])
        failed += bool(why)
        print(f"{'not ok' if why else 'ok'} {number} - {call} {when}: {error}")
        if why:
            print(f"# {why}")
sys.exit(failed > 0)
PY
