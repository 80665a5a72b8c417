#!/usr/bin/env bash
# exo run --mount, mounts of manifests, and the file servers behind them: one a mount,
# started when it is first used, ended with its guest, replaced when it dies.
. "$(dirname "$0")/../lib.sh"
need_kvm

guests=$BUILD/guests/test
export EXO_PATH=$BUILD/guests EXO_SESSION=$TMP/session
cd "$TMP" || exit 1

mkdir -p plain/sub/deep
echo "hello from host" >plain/hello
echo deep >plain/sub/deep/file
ln -s sub/deep plain/relative
ln -s /mnt/hello plain/absolute
ln -s loop plain/loop
ln -s /etc/passwd plain/outside
ln -s target plain/dangling
mkfifo plain/fifo

# ---- sessions of their own -----------------------------------------------------------

take "private session" "$EXO" run --mount "$TMP/plain:/mnt" "$guests/files.elf" plain
take "read-only" "$EXO" run --mount "$TMP/plain:/mnt:ro" "$guests/files.elf" ro
run "$EXO" run --mount plain:/mnt cat /mnt/hello
is "a folder by a relative name" "$status $out" "0 hello from host"
run "$EXO" run --mount "$TMP/none:/mnt" cat /mnt/hello
like "a folder that is not there" "$status $err" '^12[0-9] exo: cat: mount /mnt: .*/none: No such file'
run "$EXO" run --mount "$TMP/plain/hello:/mnt" cat /mnt/hello
like "a file instead of a folder" "$status $err" '^12[0-9] exo: cat: mount /mnt: .*: Not a directory'
EXO_FS=/nonexistent run "$EXO" run --mount "$TMP/plain:/mnt" cat /mnt/hello
like "no exo-fs: the mount does not answer" "$status $err" '^[1-9][0-9]* .*/mnt/hello'

mkdir top middle
echo top >top/both
echo middle >middle/both
echo middle >middle/other
run "$EXO" run --mount "$TMP/top:/u" --mount "$TMP/middle:/u:ro" cat /u/both /u/other
is "a union: the first is on top" "$status $out" "0 $(printf 'top\nmiddle')"

mkdir m
ln -s "$(command -v "$BUILD/guests/cat.elf")" m/prog.elf
printf '[program]\nargs = /data/hello\n[mount]\n/data = %s ro\n' "$TMP/plain" >m/prog.exo
run "$EXO" run m/prog.exo
is "a manifest's mount" "$status $out" "0 hello from host"

# ---- a session with several guests ------------------------------------------------------

"$EXO" session >session.out 2>session.err &
session=$!
wait_for 5 "$EXO" ps
servers() {
	pgrep -P $session -x exo-fs
}
count() {
	[ "$(servers | wc -l)" = "$1" ]
}

"$EXO" run --mount "$TMP/plain:/mnt" "$guests/files.elf" dead >dead.out 2>&1 &
guest=$!
check "the server starts with the first use" wait_for 10 count 1
wait_for 10 grep -q "now the server dies" dead.out
kill -KILL "$(servers)"
wait $guest
is "a killed server is replaced: exit status" $? 0
is "and points" "$(grep -c '^ok' dead.out)" 6
check "it ends with its guest" wait_for 10 count 0
"$EXO" run --mount "$TMP/plain:/mnt" "$guests/probe.elf" sleep 1 &
run "$EXO" wires --json
check "no server where nothing was opened" count 0
wait $!

# Another guest that was granted the name all the same.
"$EXO" start --name owner --mount "$TMP/plain:/mnt" "$guests/probe.elf" sleep 20 >started
name=$("$EXO" wires --json | grep -o 'fs-[0-9]*-0' | head -n 1)
printf '[program]\nfile = %s\nargs = call 564\n[uses]\n%s = port=564\n' "$guests/probe.elf" "$name" \
	>m/thief.exo
run "$EXO" run m/thief.exo
like "H-28: a folder is its guest's alone, whatever another's manifest says" "${name%%-*} $out" \
	'^fs connect: Connection refused'
"$EXO" kill owner

"$EXO" run --mount "$TMP/plain:/mnt" "$guests/files.elf" dead >one.out 2>&1 &
"$EXO" run --mount "$TMP/plain:/mnt:ro" "$guests/files.elf" dead >two.out 2>&1 &
check "a server for each guest's mount" wait_for 10 count 2
servers | xargs kill -KILL
wait %2 %3 2>/dev/null
wait_for 10 count 0
is "neither is in the other's way" "$(cat one.out two.out | grep -c '^ok')" 11

# ---- the session is killed: open files are lost once, the mount is not ---------------------

"$EXO" start --name heir --mount "$TMP/plain:/mnt" "$guests/files.elf" dead >started
has_said() {
	"$EXO" log heir | grep -q "$1"
}
wait_for 10 has_said "now the server dies"
kill -KILL $session
wait $session 2>/dev/null
"$EXO" session >session.out 2>session.err &
session=$!
wait_for 5 "$EXO" ps
wait_for 20 has_said "^1..6"
wait_for 20 has_said " 6 - "
is "a new session has the mounts of its guests" "$("$EXO" log heir | grep -c '^ok')" 6
wait_for 10 count 0
run "$EXO" wires
is "and they go with them" "$status $(grep -c '^fs-' <<<"$out") $(grep -c ' fs-' <<<"$out")" "0 0 0"
[ "$status" = 0 ] || diag "$out" "$err"
kill $session
wait $session 2>/dev/null
tap_done
