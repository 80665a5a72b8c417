#!/usr/bin/env bash
# Many launches and what they leave behind: nothing. SOAK=1: ten times as many.
. "$(dirname "$0")/../lib.sh"
need_kvm

probe=$BUILD/guests/test/probe.elf
cd "$TMP" || exit 1
launches=1000
[ "$(kvm_kind)" != nested ] || launches=50
[ -z "${SOAK:-}" ] || launches=$((launches * 10))
tap_plan 17

# Every guest here has this name, which is in the VMM's and exo's argument lists.
name=many-$$
ours() { pgrep -f "^(exo-vmm|$EXO run .*) ?$name" | wc -l; }
none_of_ours() { [ "$(ours)" = 0 ]; }
# Everything of a guest is memory of its memfd: Shmem would show what stays.
shmem_kib() { awk '/^Shmem:/ { print $2 }' /proc/meminfo; }
file_nr() { cut -f 1 /proc/sys/fs/file-nr; }

check "nothing of ours runs before" wait_for 10 none_of_ours
shmem=$(shmem_kib)
files=$(file_nr)
start=$(date +%s%N)
python3 - "$EXO" "$BUILD/guests/hello.elf" $launches $name <<'PY' >result
import os, subprocess, sys
exo, hello, launches, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
fds = len(os.listdir("/proc/self/fd"))
wrong = 0
for i in range(launches):
    p = subprocess.run([exo, "run", "--name", name, hello, "turn", str(i)], stdin=subprocess.DEVNULL, capture_output=True)
    if p.returncode or p.stdout != b"turn %d\n" % i or p.stderr:
        wrong += 1
        print(p, file=sys.stderr)
print(wrong, len(os.listdir("/proc/self/fd")) - fds)
PY
ms=$((($(date +%s%N) - start) / 1000000))
is "$launches launches, each right" "$(cat result)" "0 0"
diag "$launches launches in $ms ms"
check "no process is left" wait_for 10 none_of_ours
# A guest touches some 200 KiB; other programs of this machine come and go.
memory_is_back() { [ $(($(shmem_kib) - shmem)) -lt $((launches * 32)) ]; }
check "no guest memory is left" wait_for 10 memory_is_back
files_are_closed() { [ $(($(file_nr) - files)) -lt $((launches / 2 + 200)) ]; }
check "no open file is left" wait_for 10 files_are_closed
is "no file is left" "$(ls)" result

# ---- a hundred at once -----------------------------------------------------------------

guests=100
[ "$(kvm_kind)" != nested ] || guests=10
for i in $(seq $guests); do
	"$EXO" run --name $name -m 32M "$probe" say up line exit $((i % 100)) >out.$i 2>err.$i < <(
		while [ ! -e go ]; do sleep 0.05; done
		echo "guest $i"
	) &
	pids[i]=$!
done
all_up() { [ "$(cat out.* | grep -c '^up$')" = $guests ]; }
check "$guests guests at once all run" wait_for 60 all_up
is "each in a process of its own" "$(pgrep -c -f "^exo-vmm $name")" $guests
: >go
wrong=0
for i in $(seq $guests); do
	wait ${pids[i]}
	[ $? = $((i % 100)) ] && [ "$(tr '\n' ' ' <out.$i)" = "up got guest $i " ] || wrong=$((wrong + 1))
done
is "each has its own input, output and status" $wrong 0
check "and none is left" wait_for 20 none_of_ours
rm -f out.* err.* go

# ---- sudden ends ----------------------------------------------------------------------------

vmm_of() { pgrep -P "$1" -x exo-vmm; }
"$EXO" run --name $name --vsock s "$probe" say up spin >up 2>err &
pid=$!
wait_for 10 test -s up
vmm=$(vmm_of $pid)
kill -KILL $pid
wait $pid 2>/dev/null
vmm_gone() { [ ! -e "/proc/$vmm" ]; }
check "kill -9 of exo ends its guest, even one that spins" wait_for 10 vmm_gone
rm -f s s.seq up
"$EXO" run --name $name --vsock s "$probe" say up sleep 20 >up 2>err &
pid=$!
wait_for 10 test -s up
kill -KILL "$(vmm_of $pid)"
wait $pid
is "kill -9 of exo-vmm is a failure of ours" $? 125
is "which is said" "$(cat err)" "exo: $name: exo-vmm was killed by signal 9 (Killed)"
is "and its sockets are gone" "$(ls)" "$(printf 'err\nresult\nup')"

# At random instants of a start.
python3 - "$EXO" "$probe" $name <<'PY' >result
import random, signal, subprocess, sys, time
random.seed(7)
for i in range(60):
    p = subprocess.Popen([sys.argv[1], "run", "--name", sys.argv[3], sys.argv[2], "sleep", "20"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(random.random() * 0.004)
    p.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
    try:
        p.wait(10)
    except subprocess.TimeoutExpired:
        print("stuck", i)
        p.kill()
print("done")
PY
is "signals at any instant of a start end it" "$(cat result)" "done"
check "and leave no process" wait_for 10 none_of_ours

# Our own process table stays as it was in a shell that goes on.
for i in 1 2 3 4 5; do "$EXO" run "$probe" exit 0; done
is "no zombies" "$(ps -o stat= --ppid $$ | grep -c Z)" 0
