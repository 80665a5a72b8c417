#!/usr/bin/env bash
# Guests that serve others, in a real session: the store (killed in the middle), the
# log, a pipeline of three machines started by its first, and frames of memory.
. "$(dirname "$0")/../lib.sh"
need_kvm

export EXO_SESSION=$TMP/session
mkdir -m 700 "$EXO_SESSION"
"$EXO" session >"$TMP/session.log" 2>&1 &
wait_for 10 test -S "$EXO_SESSION/control" || diag "$(cat "$TMP/session.log")"

# manifest NAME PROGRAM ARGS [LINES…]: in $TMP.
manifest() {
	local name=$1
	{
		printf '[program]\nfile = %s\nargs = %s\n' "$2" "$3"
		shift 3
		printf '%s\n' "$@"
	} >"$TMP/$name.exo"
}

pid_of() {
	"$EXO" ps --json | python3 -c '
import json, sys
for g in json.load(sys.stdin)["guests"]:
    if g["name"] == sys.argv[1]:
        print(g["pid"])' "$1"
}

# ---- pipeline ---------------------------------------------------------------------

"$EXO" add "$BUILD/guests/demo-count.exo" "$BUILD/guests/demo-upper.exo"
run "$EXO" run "$BUILD/guests/demo-source.exo"
is "a pipeline of three machines: its source" "$status" 0
wait_for 10 grep -q "1000 lines" "$EXO_SESSION/log/demo-count.log"
like "what came out at its end" "$("$EXO" log demo-count)" '^1000 lines$'
like "changed on the way" "$("$EXO" log demo-count)" '^LINE 1 OF THE SOURCE$'

# ---- log --------------------------------------------------------------------------------

"$EXO" add "$BUILD/guests/log.exo"
chan=$BUILD/guests/test/chan.elf
manifest talker "$chan" 'connect log stream say "a line of its own"' '[uses]' 'log ='
# "say" waits for an answer that never comes: it is ended.
"$EXO" run --timeout 2s "$TMP/talker.exo" >/dev/null 2>&1
like "the log knows who said it" "$("$EXO" log log)" 'Z talker \[untrusted\] a line of its own$'
printf 'from outside\n' | run_timeout 10 "$EXO" connect log >/dev/null
wait_for 5 grep -q outside "$EXO_SESSION/log/log.log"
like "and that the host is the host" "$("$EXO" log log)" 'Z host \[.*\] from outside$'
like "its readers get what it has" "$(run_timeout 2 "$EXO" connect logs </dev/null)" \
	'Z talker \[untrusted\] a line of its own$'

# ---- store ------------------------------------------------------------------------------

mkdir "$TMP/store"
cp "$BUILD/guests/store.exo" "$BUILD/guests/store.elf" "$TMP/store"
truncate -s 64M "$TMP/store/store.img"
"$EXO" add "$TMP/store/store.exo"
client=$BUILD/guests/test/store-client.elf
for name in keeper other; do
	manifest "$name" "$client" "" '[uses]' 'store ='
done
RUN_SECONDS=120
run "$EXO" run "$TMP/keeper.exo" put 100 1
is "the store takes a hundred things" "$status $(tail -n 1 <<<"$out")" "0 acked 99"
run "$EXO" run "$TMP/keeper.exo" check 100 1
is "and gives them back" "$status $out" "0 checked 20"
run "$EXO" run "$TMP/other.exo" list
is "nobody sees another's names" "$status $out" "0 "
run "$EXO" run "$TMP/other.exo" put 200 2 10 &
putting=$!
kills=0
while kill -0 "$putting" 2>/dev/null; do
	sleep 0.2
	pid=$(pid_of store)
	[ "${pid:-0}" -gt 1 ] && [ "$kills" -lt 5 ] && kill -9 "$pid" && kills=$((kills + 1))
done
wait "$putting"
is "killed $kills times in the middle" "$([ "$kills" -ge 3 ] && echo yes)" yes
run "$EXO" run "$TMP/other.exo" check 200 2
is "nothing that was acknowledged is lost" "$status $out" "0 checked 20"
run "$EXO" stop store
run "$EXO" run "$TMP/keeper.exo" check 100 1
is "a store that was stopped starts again when it is asked" "$status $out" "0 checked 20"

# ---- its files ---------------------------------------------------------------------------

manifest files "$BUILD/guests/test/store-files.elf" "" '[mount]' '/data = service:files'
for part in first second; do
	run "$EXO" run "$TMP/files.exo" "$part"
	is "the store's names as files, $part" "$status $(grep -c '^ok' <<<"$out")" \
		"0 $([ $part = first ] && echo 18 || echo 3)"
	grep -E '^(not ok|#)' <<<"$out" | sed 's/^/# /'
	kill -9 "$(pid_of store)"
	wait_for 10 test "$(pid_of store)" != 0
done

# ---- memory -------------------------------------------------------------------------------

frames=$BUILD/guests/test/frames.elf
limits=('[limits]' 'grants = 40M' 'window = 64M' '[lifecycle]' 'start = demand')
frames() { # NAME ARGS…: a producer and its consumer
	manifest "$1-from" "$frames" "$2" '[provides]' "$1 = 9 seqpacket" "${limits[@]}"
	manifest "$1-to" "$frames" "$3" '[uses]' "$1 =" '[limits]' 'window = 64M'
	"$EXO" add "$TMP/$1-from.exo"
	run "$EXO" run "$TMP/$1-to.exo"
}
frames film 'produce film 30 16777216' 'consume film'
is "frames of 16 MiB that nobody copied" "$status $out" "0 consumed 30 ok"
frames gift 'move gift 20 4194304' 'moved gift 20'
is "memory that is given away" "$status $out" "0 moved 20 ok"
for how in change revoke exit touch; do
	frames "$how" "spoil $how 4194304 $how" "suffer $how"
	is "the other end does something bad: $how" "$status ${out%,*}" "0 survived"
done
frames ink 'spoil ink 4194304 change' 'suffer ink write'
is "who writes what it may only read ends, as of a fault" "$status" 139
like "and the message says why" "$err" 'write to memory that it was granted to read'
frames large 'produce large 1 67108864' 'consume large'
is "more than the manifest allows is not made" "$status" 3
wait_for 5 grep -q create "$EXO_SESSION/log/large-from.log"
like "which its maker is told" "$("$EXO" log large-from)" '^create: [0-9]+ Quota exceeded'

# ---- the picture of it ---------------------------------------------------------------------

# The picture in the README, in a session of its own.
kill %1
wait %1
is "the session ends" "$?" 0
rm -rf "$EXO_SESSION"
mkdir -m 700 "$EXO_SESSION"
"$EXO" session >"$TMP/session.log" 2>&1 &
wait_for 10 test -S "$EXO_SESSION/control"
cast() { # NAME LABEL COLOUR ARGS SERVICES…
	local name=$1
	manifest "$name" "$chan" "$4" "label = $2" "colour = $3" '[uses]' "${@:5}"
	"$EXO" start "$TMP/$name.exo" >/dev/null
}
manifest time "$chan" 'serve time seq count=0 threads hold 60' 'label = system' 'colour = gray' \
	'[provides]' 'time = 9 seqpacket' '[lifecycle]' 'start = demand'
"$EXO" add "$TMP/store/store.exo" "$BUILD/guests/log.exo" "$TMP/time.exo"
cast notes work green 'connect log stream hold 60' 'log =' 'store ='
cast mail private red 'connect log stream hold 60' 'log ='
cast clock work green 'connect time seq hold 60' 'time ='
sleep 60 | "$EXO" connect store --seqpacket >/dev/null 2>&1 &
wait_for 10 sh -c '[ "$("$EXO" wires | grep -c "^[a-z]* *[a-z]* *[a-z]* *\(stream\|seqpacket\) *\(direct\|host\)")" = 4 ]'
mkdir -p "$BUILD/pictures"
run "$EXO" wires --svg "$BUILD/pictures/wires.svg"
is "the graph is drawn" "$status" 0
check "as XML with all names in it" python3 -c '
import sys, xml.etree.ElementTree as tree
names = {t.text for t in tree.parse(sys.argv[1]).iter("{http://www.w3.org/2000/svg}text")}
missing = {"notes", "mail", "clock", "host", "store", "log", "time", "private"} - names
sys.exit(f"missing: {missing}" if missing else 0)' "$BUILD/pictures/wires.svg"
kill %2 2>/dev/null
kill %1
wait %1
is "this session too" "$?" 0
tap_done
