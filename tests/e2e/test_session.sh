#!/usr/bin/env bash
# The commands of a session from outside: start, list, talk, grant, end; and scenario
# files (tests/e2e/scripts), which do most of it from inside.
. "$(dirname "$0")/../lib.sh"
need_kvm

probe=$BUILD/guests/test/probe.elf
pty=$TOP/tests/e2e/pty.py
export EXO_PATH=$BUILD/guests:$BUILD/guests/test
export EXO_SESSION=$TMP/session
mkdir "$TMP/m"
ln -s "$BUILD/guests/test/chan.elf" "$probe" "$TMP/m"
cp "$TOP"/tests/e2e/scripts/*.exo "$TMP/m"
cd "$TMP/m" || exit 1

# ---- without a session --------------------------------------------------------------

run "$EXO" ps
is "no session: one line says how to start one" "$status $err" \
	"125 exo: ps: no session runs here; start one with: exo session &"
run "$EXO" run --private hello
is "exo run needs none" "$status $out" "0 hello from its own machine"
run "$EXO" run talker.exo
is "or makes a private one, where nobody provides what the program wants" \
	"$status $(head -n 1 <<<"$out")" "3 connect: 111 Connection refused"
no_private_session() {
	local process words
	for process in /proc/[0-9]*; do
		mapfile -d '' -t words <"$process/cmdline"
		[ "${words[1]-} ${words[2]-}" = "session --private" ] || continue
		mapfile -d '' -t words <"$process/environ"
		[[ " ${words[*]-} " != *" EXO_SESSION=$EXO_SESSION "* ]] || return 1
	done 2>/dev/null
}
check "which ends with it" wait_for 3 no_private_session
run "$EXO" run --vsock "$TMP/v" talker.exo
like "--vsock does not go with channels" "$status $err" '^125 exo: --vsock: not for a program that needs'
run "$EXO" run --manifest talker.exo hello
like "another program's manifest" "$status $err" '^125 exo: talker.exo is the manifest of .*chan.elf, not of hello'
run "$EXO" run --manifest talker.exo chan.elf
is "its own" "$status" 3
run "$EXO" run --mount nonsense hello
like "a mount without a path" "$status $err" '^125 exo: --mount nonsense: write DIR:/path'
run "$EXO" run --grant words,lease=x hello
like "a grant with a bad limit" "$status $err" '^125 exo: --grant words,lease=x: lease x: not a duration'
EXO_SESSION=$TMP/$(printf 'x%.0s' {1..120}) run "$EXO" ps
like "a folder with too long a name" "$status $err" '^125 exo: ps: the session.s folder has too long a name'

# ---- a session --------------------------------------------------------------------------

start_session() {
	"$EXO" session >"$TMP/session.out" 2>"$TMP/session.err" &
	session=$!
	wait_for 5 "$EXO" ps
}

start_session
is "exo session" $? 0
run "$EXO" session
like "only one uses a folder" "$status $err" '^125 .*a session runs here already'
run "$EXO" run hello
is "exo run joins it" "$status $out" "0 hello from its own machine"
run "$EXO" ps
like "exo ps shows it, and how it ended" "$out" '^hello +ended: exit 0 +untrusted'
run "$EXO" run "$probe" exit 9
is "exit status" "$status" 9
run "$EXO" run "$probe" abort
is "a signal's exit status, and one line" "$status $err" "134 exo: probe: killed by signal 6 (Aborted)"
is "standard input and output" "$(echo through | "$EXO" run "$probe" cat)" through
run "$EXO" run -e A=1 --env 'B=two words' "$probe" env
is "the environment, and the guest's name" "$out" "$(printf 'A=1\nB=two words\nEXO_NAME=probe')"
big=$(head -c 100000 /dev/zero | tr '\0' x)
run "$EXO" run hello "$big"
is "what is too long for the session goes without it" "$status $out" "0 $big"
run "$EXO" run --grant nothing hello "$big"
is "if it can" "$status $err" \
	"125 exo: hello: the request is longer than 64 KiB: fewer or shorter arguments"
run "$EXO" run /nonexistent
is "a program that is not there" "$status" 127
run "$EXO" run "$TOP/README.md"
is "one that is none" "$status" 126
run "$EXO" run --timeout 300ms "$probe" sleep 20
is "--timeout" "$status $err" "124 exo: probe: ended by --timeout"
run "$EXO" run --json-status "$TMP/status" -m 32M "$probe" exit 7
is "--json-status" "$(python3 -c 'import json, sys
d = json.load(open(sys.argv[1])); print(d["reason"], d["exit_code"], d["ram_bytes"], d["cpus"])' "$TMP/status")" \
	"exit 7 33554432 1"
out=$(python3 "$pty" modes=run send='ab\n' expect=ab expect=ab send='\x04' -- "$EXO" run "$probe" cat exit 5)
like "on a terminal, to the end of input" "$out" '^status 5$'
out=$(python3 "$pty" expect=up send='\x03' -- "$EXO" run "$probe" say up sleep 20)
like "Ctrl-C" "$out" '^status -2$'
out=$(python3 "$pty" expect=up send='\x1a' stopped continue sleep=0.2 kill=TERM -- \
	"$EXO" run "$probe" say up sleep 20)
like "Ctrl-Z, fg, SIGTERM" "$out" '^status 143$'
python3 "$pty" expect=up kill=TSTP stopped sleep=1.5 continue sleep=0.5 kill=TERM -- \
	"$EXO" run --name z "$probe" say up sleep 20 >"$TMP/z" &
check "its guest is paused meanwhile" wait_for 5 sh -c '"$EXO" ps | grep -q "^z *ready, paused"'
check "and then goes on" wait_for 5 sh -c '"$EXO" ps | grep -q "^z *ready  "'
wait $!
like "to its end" "$(<"$TMP/z")" '^status 143$'
"$EXO" run --name orphan "$probe" sleep 20 &
wait_for 5 sh -c '"$EXO" ps | grep -q "^orphan *ready"'
kill -9 $!
wait $! 2>/dev/null
check "a killed exo run takes its guest with it" wait_for 3 sh -c '"$EXO" ps | grep -q "^orphan *ended"'

# ---- one guest ---------------------------------------------------------------------------

run "$EXO" start --name s "$probe" sleep 30
is "exo start prints the name" "$status $out" "0 s"
run "$EXO" start --name s "$probe" sleep 30
like "which is then taken" "$status $err" '^125 exo: start: s: the name is taken|^1 exo: start: s: the name is taken'
run "$EXO" wait --for ready s
is "exo wait --for ready" "$status $out" "0 s: ready"
run "$EXO" wait -t 100ms s
is "exo wait does not wait for ever" "$status" 124
run "$EXO" pause s
run "$EXO" ps
like "exo pause" "$out" '^s +ready, paused'
run "$EXO" resume s
run "$EXO" ps --json
is "exo resume; exo ps --json" "$(python3 -c 'import json, sys
print([g["paused"] for g in json.load(open(sys.argv[1]))["guests"] if g["name"] == "s"])' "$TMP/.out")" "[False]"
run "$EXO" stop s
is "exo stop" "$status-$out$err" "0-"
run "$EXO" wait s
is "it was asked" "$status $out" "0 s: ended: signal 15"
run "$EXO" start --wait --name k "$probe" sleep 30
run "$EXO" kill -s USR1 k
is "exo kill -s" "$status $("$EXO" wait k)" "0 k: ended: signal 10"
run "$EXO" start --wait --name k "$probe" sleep 30
run "$EXO" kill k nobody
is "exo kill; one of the names is wrong" "$status $err" "1 exo: kill: no guest named nobody; exo ps lists them"
is "it was killed" "$("$EXO" wait k)" "k: ended: killed 9"
run "$EXO" kill -s FROB k
is "no such signal" "$status" 125
run "$EXO" start --name l "$probe" say first say second exit 0
"$EXO" wait l >/dev/null
is "exo log" "$("$EXO" log l | tr '\n' ' ')$("$EXO" log -n 1 l)" "first second second"
run "$EXO" log nobody
is "exo log of nobody" "$status" 1
run timeout 5 "$EXO" log -f l
is "exo log -f ends with a guest that is over" "$status $(tail -n 1 <<<"$out")" "0 second"
run "$EXO" remove l
run "$EXO" remove l
is "exo remove, twice" "$status" 1
run "$EXO" start nonsense.exo
is "a manifest that is not there" "$status" 127
printf '[program]\nfrob = 1\n' >bad.exo
run "$EXO" start bad.exo
like "a manifest with a mistake: its line" "$status $err" '^[0-9]+ exo: start: .*bad.exo:2: '

# ---- channels ------------------------------------------------------------------------------

run "$EXO" add echo.exo
is "exo add" "$status" 0
is "exo connect starts the provider" "$(echo hello | timeout 10 "$EXO" connect echo)" hello
is "exo connect GUEST:SERVICE" "$(echo hello | timeout 10 "$EXO" connect echo:echo)" hello
head -c 3000000 /dev/urandom >"$TMP/data"
timeout 20 "$EXO" connect echo <"$TMP/data" >"$TMP/copy"
check "3 MB there and back" cmp "$TMP/data" "$TMP/copy"
run "$EXO" connect nothing
like "a service that nobody provides" "$status $err" '^1 exo: connect: '
run "$EXO" connect --seqpacket echo
is "the other socket type" "$status" 1
run "$EXO" run talker.exo
like "a guest talks with a guest" "$status $out" '^got hello$'
timeout 20 "$EXO" listen words --exec sh -c 'printf "%s %s " "$EXO_PEER" "$EXO_LABEL"; cat' &
wait_for 5 sh -c '"$EXO" wires | grep -q "^words"'
like "exo listen --exec" "$(echo from here | timeout 5 "$EXO" connect words)" '^host .*from here$'
run "$EXO" run --grant words chan.elf connect words stream say loud
like "guests can be granted it, and are known by name" "$out" '^got chan untrusted '
kill $!
(echo to the guest) | timeout 10 "$EXO" listen once >"$TMP/once" &
wait_for 5 sh -c '"$EXO" wires | grep -q "^once"'
run "$EXO" run --grant once chan.elf connect once stream say "to the host"
like "exo listen on standard input" "$out" '^got to the guest$'
wait $! # the listener
is "and output" "$(<"$TMP/once")" "to the host"

run "$EXO" grant probe echo --lease 1h --connections 3 --delegate --rate 1M
id=$out
like "exo grant" "$status $out" '^0 [0-9]+$'
run "$EXO" wires
like "exo wires shows it" "$out" "^$id +probe +echo +person +0 +0 +delegate, lease .*, 3 connections, 1M/s$"
run "$EXO" wires --dot
like "--dot" "$out" '^	"probe" -> "echo" \[label="echo"'
run "$EXO" wires --svg "$TMP/wires.svg"
check "--svg" python3 -c 'import sys, xml.dom.minidom
svg = xml.dom.minidom.parse(sys.argv[1]); assert len(svg.getElementsByTagName("rect")) > 2' "$TMP/wires.svg"
run "$EXO" wires --json
check "--json" python3 -c 'import json, sys; assert "echo" in [s["name"] for s in json.load(open(sys.argv[1]))["services"]]' "$TMP/.out"
run "$EXO" wires --who-can-reach echo
like "--who-can-reach" "$status $out" '^(0 )?.*talker'
run "$EXO" wires --who-can-reach nowhere
is "of nothing" "$status $err" "1 exo: wires: no service or guest named nowhere; exo wires lists them"
run "$EXO" wires --dry-run ungranted.exo
is "--dry-run" "$status" 0
run "$EXO" revoke "$id"
is "exo revoke" "$status" 0
run "$EXO" revoke "$id"
is "twice" "$status" 1
run "$EXO" revoke echo
is "by half a name" "$status" 125
run "$EXO" audit --since 1m --guest probe
like "exo audit" "$out" '^20.* grant guest=probe service=echo'
run "$EXO" audit --json --service echo
check "--json" python3 -c 'import json, sys
assert all(json.loads(line)["service"] == "echo" for line in open(sys.argv[1]))' "$TMP/.out"
run "$EXO" top
like "exo top" "$out" '^echo +[0-9.]+s +[0-9.]+[KM]'
out=$(python3 "$pty" expect=CPU expect='%' send='\x03' -- "$EXO" top)
like "exo top on a terminal goes on" "$out" '^status -2$'

# ---- the session dies ------------------------------------------------------------------------

"$EXO" run --name survivor "$probe" sleep 4 say "still here" exit 6 >"$TMP/survivor" &
survivor=$!
wait_for 5 sh -c '"$EXO" ps | grep -q "^survivor *ready"'
kill -9 $session
wait $session 2>/dev/null
start_session
is "a new session" $? 0
run "$EXO" ps
like "finds its guests" "$out" '^survivor +ready'
wait $survivor
is "exo run waits on, with the new one" "$? $(<"$TMP/survivor")" "6 still here"
kill $session
wait $session
is "exo session ends in order" $? 0

# ---- scenario files ---------------------------------------------------------------------------

unset EXO_SESSION
export TMPDIR=$TMP
for file in "$TOP"/tests/e2e/scripts/*.exoscript; do
	name=${file##*/}
	RUN_SECONDS=300 run "$EXO" script ${EXO_NESTED:+-t 60s} -D "m=$TMP/m" "$file"
	if [ "$status" = 0 ]; then
		ok "scenario $name"
	else
		not_ok "scenario $name" "$(grep -A 5 -v '^ok' <<<"$out")$err"
	fi
done
printf 'start a hello.elf\nexpect-exit a 1\nsleep 1\n' >fails.exoscript
run "$EXO" script fails.exoscript
is "a scenario that fails" "$status $(sed 's/(.*//' <<<"$out" | tr '\n' '|')" \
	"1 ok 1 - fails.exoscript:1: start a hello.elf|not ok 2 - fails.exoscript:2: expect-exit a 1|# exit code 0: exit 0 |1..2|"
printf 'start a hello.elf\nfrobnicate\n' >wrong.exoscript
run "$EXO" script wrong.exoscript
is "one with a mistake does not begin" "$status $out $err" \
	"125  exo: wrong.exoscript:2: no command named frobnicate"
is "scenario files leave nothing behind" "$(ls -d "$TMP"/exo-?????? 2>/dev/null | wc -l)" 0
tap_done
