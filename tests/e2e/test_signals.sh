#!/usr/bin/env bash
# Signals and the terminal, on a real pseudo-terminal.
. "$(dirname "$0")/../lib.sh"
need_kvm

probe=$BUILD/guests/test/probe.elf
pty=$TOP/tests/e2e/pty.py
tap_plan 33

# on_tty STEP… -- COMMAND…: sets out.
on_tty() { out=$(run_timeout 30 "$pty" "$@" 2>&1); }

for row in "INT 130" "TERM 143" "HUP 129" "QUIT 131"; do
	read -r signal code <<<"$row"
	rm -f "$TMP/up"
	"$EXO" run "$probe" say up sleep 20 >"$TMP/up" 2>"$TMP/err" &
	pid=$!
	wait_for 10 grep -q up "$TMP/up"
	kill -s "$signal" $pid
	SECONDS=0
	# Jobs of a script ignore SIGINT and SIGQUIT; who does is not to be interrupted.
	if [ "$signal" = INT ] || [ "$signal" = QUIT ]; then
		sleep 0.3
		check "an inherited ignored SIG$signal stays ignored" kill -0 $pid
		kill -s TERM $pid
		code=143
	fi
	wait $pid
	is "SIG$signal row ends the program with $code" $? $code
done
is "Ctrl-C leaves no line, SIGTERM does" "$(cat "$TMP/err")" \
	"exo: probe: killed by signal 15 (Terminated)"

on_tty expect=up "send=\x03" -- "$EXO" run "$probe" say up sleep 20
like "Ctrl-C ends the guest, and exo dies of it" "$out" '^status -2$'
like "without a word" "$out" '^\^C$'
on_tty expect=up "send=\x1c" -- "$EXO" run "$probe" say up sleep 20
like "Ctrl-\\ is SIGQUIT" "$out" '^status 131$'

start=$(date +%s%N)
on_tty expect=up "send=\x03" -- "$EXO" run "$probe" ignore 2 say up spin
ms=$((($(date +%s%N) - start) / 1000000))
like "a guest that ignores Ctrl-C is killed" "$out" 'killed: it did not end within 2 s of being asked'
like "as 137" "$out" '^status 137$'
[ $ms -ge 1900 ] && [ $ms -lt 6000 ] && ok "after 2 s" || not_ok "after 2 s" "$ms ms"
start=$(date +%s%N)
on_tty expect=up "send=\x03" sleep=0.2 "send=\x03" -- "$EXO" run "$probe" ignore 2 say up sleep 20
ms=$((($(date +%s%N) - start) / 1000000))
like "or at the second Ctrl-C" "$out" 'killed: asked twice'
[ $ms -lt 1900 ] && ok "which is at once" || not_ok "which is at once" "$ms ms"
on_tty "send=\x03" -- "$EXO" run "$probe" sleep 20
like "Ctrl-C in the middle of a start" "$out" '^status -2$'

on_tty -- "$EXO" run "$probe" tty
like "the program sees the terminal and its size" "$out" '^tty 1 1 1 24x80$'
on_tty -- sh -c "echo | $EXO run $probe tty | cat"
like "and pipes as pipes" "$out" '^tty 0 0 1'
on_tty expect=up send=abc\\n -- "$EXO" run "$probe" say up line
like "a line that is typed" "$out" '^got abc$'
on_tty expect=up "send=\x04" -- "$EXO" run "$probe" say up cat exit 5
like "Ctrl-D is the end of input" "$out" '^status 5$'
on_tty expect=up size=50x132 sleep=0.5 send=\\n expect=tty -- "$EXO" run "$probe" say up line tty
like "a change of the window's size arrives" "$out" '^tty 1 1 1 50x132$'

on_tty expect=up sleep=0.4 modes=set "send=x\n" -- "$EXO" run "$probe" noecho say up line
like "a program can switch echo off" "$out" '^modes set: noecho canon isig$'
like "which is put back when it ends" "$out" '^modes after: echo canon isig$'
on_tty expect=up sleep=0.4 kill=TERM -- "$EXO" run "$probe" noecho say up sleep 20
like "and when it is killed" "$out" '^modes after: echo canon isig$'
on_tty expect=up sleep=0.4 -- "$EXO" run "$probe" noecho say up sleep 0.5 null
like "and when it crashes" "$out" '^modes after: echo canon isig$'

on_tty expect=up sleep=0.4 "send=\x1a" stopped sleep=0.6 continue sleep=0.3 modes=again send=abc\\n \
	-- "$EXO" run "$probe" noecho say up line exit 6
like "Ctrl-Z stops it, with the terminal as it was" "$out" '^modes stopped: echo canon isig$'
like "continued, it has its own again" "$out" '^modes again: noecho canon isig$'
like "and goes on where it was" "$out" '^status 6$'
# A machine that is stopped does not run: the guest's CPU is not used meanwhile.
on_tty expect=up used=0.5 kill=TSTP stopped sleep=0.3 used=0.5 continue sleep=0.3 used=0.5 kill=TERM \
	-- "$EXO" run "$probe" say up spin
is "kill -TSTP stops the guest as well, kill -CONT lets it run" "$(grep '^used' <<<"$out" | tr '\n' ' ')" \
	"used yes used no used yes "
# In a session of its own there is no shell that could continue it.
setsid "$EXO" run "$probe" say up sleep 1 exit 4 >"$TMP/up3" &
pid=$!
wait_for 10 grep -q up "$TMP/up3"
kill -TSTP $pid
wait $pid
is "where nobody could continue it, it is not stopped" $? 4

fake=$TMP/kernel.elf
python3 "$TOP/tests/e2e/fakevmm.py" --elf "$fake"
on_tty expect="Ctrl-] q" sleep=0.2 modes=raw "send=a\x03\x1d\x1d" "send=\x1dq" -- \
	env EXO_VMM="$TOP/tests/e2e/fakevmm.py" "$EXO" run "$fake" started on-kill 15
like "another kernel gets a raw terminal" "$out" '^modes raw: noecho raw noisig$'
like "Ctrl-] q ends it" "$out" 'killed: Ctrl-\] q'
like "and the terminal is put back" "$out" '^modes after: echo canon isig$'
