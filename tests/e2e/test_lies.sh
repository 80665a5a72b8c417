#!/usr/bin/env bash
# H-34: exo against an exo-vmm that was taken over: it lies, floods, falls
# silent or dies. exo says so in one line, ends with 125 and leaves nothing.
. "$(dirname "$0")/../lib.sh"
need_kvm

cd "$TMP" || exit 1
EXO_VMM=$TOP/tests/e2e/fakevmm.py
export EXO_VMM
"$EXO_VMM" --elf guest.elf --sdk
tap_plan 21

# ends NAME STATUS REGEX WORDS…: a VMM that does these words.
ends() {
	local name=$1 wanted=$2 regex=$3
	shift 3
	run "$EXO" run guest "$@" </dev/null
	if [ "$status" = "$wanted" ] && [ "$(wc -l <"$TMP/.err")" = 1 ] &&
		grep -Eq "^exo: guest: $regex$" "$TMP/.err" && ! pgrep -P $$ -f exo-vmm; then
		ok "$name"
	else
		not_ok "$name" "exit status $status"
		diag "$err"
	fi
}

run "$EXO" run guest started ready exit 3
is "the stand-in works" "$status" 3
broke='exo-vmm broke the protocol and was ended'
ends "H-34: wrong magic" 125 "$broke" lie magic
ends "H-34: wrong size" 125 "$broke" started lie size
ends "H-34: wrong type" 125 "$broke" started lie type
ends "H-34: an fd that nobody asked for" 125 "$broke" started lie fd
ends "H-34: a packet too short" 125 "$broke" started raw 4d
ends "H-34: a packet too long" 125 "$broke" started raw "$(head -c 16000 /dev/zero | tr '\0' 0)"
ends "H-34: started twice" 125 "$broke" started started
ends "H-34: ready before it started" 125 "$broke" ready
ends "H-34: requests without end" 125 'exo-vmm does not take messages and was ended' started lie flood
ends "H-34: terminal flags that don't exist" 125 "$broke" started termios 4096
ends "killed before it started" 125 'exo-vmm was killed by signal 9 \(Killed\)' die 9
ends "killed by its filter" 125 'exo-vmm was killed by signal 31 \(Bad system call\)' started die 31
ends "left without a word" 125 'exo-vmm ended with status 3 and gave no reason' started leave 3
ends "the image was refused" 126 'cannot start: no good' end config 0 "no good"
ends "the host failed" 125 'the host failed: no memory' end host 0 "no memory"
ends "text for the terminal is harmless" 139 'fault: a\?\[2Jb\?c' end fault 11 "$(printf 'a\033[2Jb\nc')"

run timeout -s INT -k 10 0.5 "$EXO" run guest started hang
is "a VMM that does not answer a KILL is killed" "$status" 124
like "and exo says so" "$err" 'exo-vmm did not answer and was killed'
run "$EXO" run -m 16M --cpus 2 --name x --kernel-args "a b" -e V=1 --rng guest config exit 0 </dev/null
like "the configuration" "$out" \
	'^ram=16777216 cpus=2 flags=8 .* argc=4 envc=1 stdin=4294967295 .*boot_flags=16 .*ndisks=0'
like "the VMM has no environment and no descriptor but its own" "$out" \
	'^open 0 1 2 3 4 5 6 7 8 9$'
