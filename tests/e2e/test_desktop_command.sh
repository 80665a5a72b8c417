#!/usr/bin/env bash
# exo desktop: how it finds exo-desktop and a session, and what becomes of both. The
# desktop is a stand-in: tests/e2e/fakedesktop.sh.
. "$(dirname "$0")/../lib.sh"

fake=$TOP/tests/e2e/fakedesktop.sh
export EXO_DESKTOP=$fake XDG_RUNTIME_DIR=$TMP/run FAKE=$TMP/fake
mkdir -m 700 "$XDG_RUNTIME_DIR" "$FAKE"
unset EXO_SESSION

gone() { # FOLDER: nobody listens there any more
	for _ in $(seq 500); do
		EXO_SESSION=$1 "$EXO" ps >/dev/null 2>&1 || return 0
		sleep 0.01
	done
	return 1
}

run "$EXO" desktop --size 640x480 "two words"
is "a desktop without a session runs" "$status" 0
is "it gets its arguments" "$(cat "$FAKE/args")" "exo-desktop --size 640x480 two words"
is "a session is there for it" "$(cat "$FAKE/ps")" 0
is "in the usual folder" "$(cat "$FAKE/session")" "$XDG_RUNTIME_DIR/exo"
like "and the person is told" "$err" "^exo: desktop: no session ran; started one in .*/run/exo, which ends"
check "it ends with the desktop" gone "$XDG_RUNTIME_DIR/exo"

run "$EXO" desktop --session "$TMP/named"
is "a session that is named" "$(cat "$FAKE/session") $status $(cat "$FAKE/args")" "$TMP/named 0 exo-desktop "
like "is said to go on" "$err" "started one, which goes on"
check "and does" env EXO_SESSION="$TMP/named" "$EXO" ps
run "$EXO" desktop --session="$TMP/named"
is "the next desktop finds it, and says nothing" "$status $err" "0 "
check "it goes on still" env EXO_SESSION="$TMP/named" "$EXO" ps
(cd "$TMP" && FAKE_ASK=shutdown "$EXO" desktop --session named)
is "a folder may be relative" "$(cat "$FAKE/session")" "$TMP/named"
check "it was ended from within" gone "$TMP/named"

for option in --demo "--scenario x"; do
	# shellcheck disable=SC2086 # two words
	run "$EXO" desktop $option
	folder=$(cat "$FAKE/session")
	is "$option: a session is there" "$(cat "$FAKE/ps") $status $err" "0 0 "
	like "$option: of its own" "$folder" "^$XDG_RUNTIME_DIR/exo-desktop\\."
	check "$option: and its folder is gone" test ! -e "$folder"
done

FAKE_STATUS=3 run "$EXO" desktop --demo
is "its exit status is passed on" "$status" 3
FAKE_STATUS=127 run "$EXO" desktop --demo
is "a library is missing" "$status" 125
like "and the person is told how to mend it" "$err" "a library that .* needs is missing.*apt install"
rm -f "$FAKE/count"
FAKE_SIGNAL=SEGV FAKE_CRASHES=2 run "$EXO" desktop
is "one that crashes is started again" "$(cat "$FAKE/count") $status" "3 0"
like "which is said" "$err" "it crashed .* and is started again"
rm -f "$FAKE/count"
FAKE_SIGNAL=SEGV FAKE_CRASHES=100 run "$EXO" desktop
is "but not for ever" "$(cat "$FAKE/count") $status" "4 139"
check "and its session ends" gone "$XDG_RUNTIME_DIR/exo"
rm -f "$FAKE/count"
FAKE_SIGNAL=TERM FAKE_CRASHES=1 run "$EXO" desktop
is "one that is told to end is not" "$(cat "$FAKE/count") $status" "1 143"

FAKE_WAIT=1 "$EXO" desktop 2>/dev/null &
pid=$!
for _ in $(seq 500); do [ -e "$FAKE/waits" ] || sleep 0.01; done
kill -TERM $pid
wait $pid
is "SIGTERM is passed on, and all of it ends" "$?" 0
check "with its session" gone "$XDG_RUNTIME_DIR/exo"

run "$EXO" desktop --demo --session "$TMP/named"
is "a demo has a session of its own" "$status" 125
rm "$FAKE"/*
run "$EXO" desktop --version
is "--version needs no session" "$status $(cat "$FAKE/args" "$FAKE/ps")" "0 exo-desktop --version
125"
EXO_DESKTOP=$TMP/none run "$EXO" desktop
is "no exo-desktop" "$status" 125
like "is said" "$err" "exo-desktop is not here: No such file .*EXO_DESKTOP names it.*SDL2"
run env -u EXO_DESKTOP "$EXO" desktop --session
is "--session without a folder" "$status" 125
run "$EXO" desktop --session "$TMP/$(printf 'x%.0s' $(seq 200))"
is "a folder with too long a name" "$status" 125
touch "$TMP/file"
run "$EXO" desktop --session "$TMP/file/x"
is "a folder that can't be" "$status" 125
run "$EXO" desktop --help
like "it explains itself" "$out" "Usage: exo desktop"
tap_done
