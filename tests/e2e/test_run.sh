#!/usr/bin/env bash
# exo run as a process: arguments, environment, streams, pipes, exit status.
. "$(dirname "$0")/../lib.sh"
need_kvm

probe=$BUILD/guests/test/probe.elf
tap_plan 43

# ---- arguments, environment, names --------------------------------------------

run "$EXO" run "$BUILD/guests/hello.elf" one "two  three" "" "é"
is "arguments arrive as they are" "$out" "one two  three  é"
is "and hello ends with 0" "$status" 0
run "$EXO" run "$BUILD/guests/hello"
is "NAME finds NAME.elf" "$status" 0
cd "$TMP" || exit 1
run "$EXO" run hello
is "a bare name is looked for among the guests beside exo" "$status" 0
mkdir -p "$TMP/path/hidden"
cp "$probe" "$TMP/path/other.elf"
run env EXO_PATH="$TMP/nowhere::$TMP/path" "$EXO" run other exit 6
is "and in EXO_PATH" "$status" 6
cp "$probe" "$TMP/hello.elf"
run "$EXO" run hello exit 5
is "and first of all in the current folder" "$status" 5
ln -s "$EXO" "$TMP/link"
run "$TMP/link" run hello exit 7
is "exo works through a link" "$status" 7

SECRET=1 run "$EXO" run -e A=1 --env 'B=two words' -e C= "$probe" env
is "the environment is what --env says, in order" "$out" "$(printf 'A=1\nB=two words\nC=')"
PASSED=on run "$EXO" run --env PASSED --env ABSENT_VARIABLE "$probe" env
is "--env NAME passes a variable on, if there is one" "$out" "PASSED=on"
big=$(head -c 100000 /dev/zero | tr '\0' x)
run "$EXO" run "$BUILD/guests/hello.elf" "$big"
is "a long argument arrives whole" "$out" "$big"

# ---- exit status ----------------------------------------------------------------

for n in 1 42 255; do
	run "$EXO" run "$probe" exit $n
	is "exit status $n" "$status" $n
done
run "$EXO" run "$probe" abort
is "abort is 134" "$status" 134
like "and one line says so" "$err" '^exo: probe: killed by signal 6 \(Aborted\)$'
run "$EXO" run --name "other name" "$probe" null
is "a NULL write is 139" "$status" 139
like "and one line names address and function" "$err" '^exo: other name: fault: .*0x?.* in [a-z_]+\+0x'
is "which is all" "$(wc -l <"$TMP/.err")" 1

# ---- streams ---------------------------------------------------------------------

run "$EXO" run "$probe" say out err err exit 0
is "standard output" "$out" out
is "standard error" "$err" err
head -c 3000000 /dev/urandom >"$TMP/data"
"$EXO" run "$probe" cat <"$TMP/data" >"$TMP/copy"
check "3 MB from a file to a file" cmp "$TMP/data" "$TMP/copy"
cat "$TMP/data" | "$EXO" run "$probe" cat | cat >"$TMP/copy"
check "3 MB through pipes" cmp "$TMP/data" "$TMP/copy"
"$EXO" run "$probe" cat <"$TMP/data" | "$EXO" run "$probe" cat >"$TMP/copy"
check "3 MB through a pipeline of two guests" cmp "$TMP/data" "$TMP/copy"
(
	echo before
	"$EXO" run "$probe" say middle
	echo after
) >"$TMP/file"
is "the position in a shared file is shared" "$(tr '\n' ' ' <"$TMP/file")" "before middle after "
echo first >"$TMP/file"
"$EXO" run "$probe" say second >>"$TMP/file"
is "output is appended with >>" "$(tr '\n' ' ' <"$TMP/file")" "first second "
run "$EXO" run "$probe" cat exit 3 </dev/null
is "/dev/null is at its end" "$out-$status" "-3"
run "$EXO" run "$probe" cat exit 3 <&-
is "a closed stdin is at its end" "$out-$status" "-3"
"$EXO" run "$probe" say lost exit 4 >&- 2>"$TMP/err"
is "a closed stdout discards" "$?-$(cat "$TMP/err")" "4-"
"$EXO" run "$probe" say lost err lost exit 4 >&- 2>&- <&-
is "all three closed" "$?" 4
is "inherited descriptors by our numbers are in nobody's way" \
	"$("$EXO" run "$probe" say x 3</dev/null 4</dev/null 9</dev/null)" x

"$EXO" run "$probe" yes 2>"$TMP/err" | head -n 1 >"$TMP/file"
is "a closed pipe ends the program by SIGPIPE, silently" \
	"${PIPESTATUS[0]} $(cat "$TMP/file") $(cat "$TMP/err")" "141 y "
"$EXO" run "$probe" flood 2>"$TMP/err" | true
is "or is EPIPE, for one that ignores the signal" "${PIPESTATUS[0]} $(cat "$TMP/err")" \
	"3 flood: Broken pipe"
# The reader sees the end of file when the program closes its output, not when it ends.
got=$(
	python3 - "$EXO" "$probe" <<'PY'
import subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "run", sys.argv[2], "say", "text", "close-out", "sleep", "3"],
                     stdout=subprocess.PIPE)
print(p.stdout.read().decode().strip(), "ended" if p.poll() is not None else "runs")
p.kill()
PY
)
is "closing standard output is the end of the file for its reader" "$got" "text runs"
(
	sleep 0.4
	echo late
) | "$EXO" run "$probe" say early cat >"$TMP/file"
is "input is waited for" "$(tr '\n' ' ' <"$TMP/file")" "early late "
mkfifo "$TMP/fifo"
exec 7<>"$TMP/fifo"
"$EXO" run "$probe" say x >&7
after=$(python3 -c 'import fcntl, os; print(fcntl.fcntl(7, fcntl.F_GETFL) & os.O_NONBLOCK)')
is "our pipes do not become non-blocking" "$after" 0
exec 7>&-
socket_out=$(python3 - "$EXO" "$probe" <<'PY'
import socket, subprocess, sys
a, b = socket.socketpair()
p = subprocess.Popen([sys.argv[1], "run", sys.argv[2], "cat"], stdin=b, stdout=b)
b.close()
a.sendall(b"over a socket" * 1000)
a.shutdown(socket.SHUT_WR)
got = b""
while True:
    more = a.recv(65536)
    if not more:
        break
    got += more
print(p.wait(), len(got), got[:13].decode())
PY
)
is "sockets as streams" "$socket_out" "0 13000 over a socket"

# ---- limits, status ------------------------------------------------------------------

start=$(date +%s%N)
run "$EXO" run --timeout 300ms "$probe" sleep 30
ms=$((($(date +%s%N) - start) / 1000000))
is "--timeout is 124" "$status" 124
if [ $ms -ge 300 ] && [ $ms -lt 2000 ]; then ok "after its time"; else not_ok "after its time" "$ms ms"; fi
like "and one line says so" "$err" '^exo: probe: ended by --timeout$'
run "$EXO" run --timeout 200ms "$probe" spin
is "H-33: a guest that spins is ended, too" "$status" 124

run "$EXO" run --json-status "$TMP/status" --name 'a "name"' -m 32M "$probe" exit 9
json() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(*[d[k] for k in sys.argv[2:]])' "$TMP/status" "$@"; }
is "--json-status" "$(json name reason status exit_code signal ram_bytes cpus)" \
	'a "name" exit 9 9 None 33554432 1'
run "$EXO" run --json-status "$TMP/status" "$probe" abort
is "--json-status of a signal" "$(json reason exit_code signal)" "signal 134 6"
run "$EXO" run --json-status "$TMP/status" "$TMP/none"
check "an old status is not left to be taken for the new" test ! -e "$TMP/status"
