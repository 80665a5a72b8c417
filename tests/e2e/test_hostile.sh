#!/usr/bin/env bash
# Each script of tests/guest/hostile is carried out by a hostile guest inside a
# real machine, while a neighbour guest watches its own memory. What a script
# expects stands in its head:
#   # expect: exit N          the guest's own verdict
#   # expect: ended           the guest is ended with a reason; exo says which
#   # expect: exit N or ended
#   # run: OPTIONS            of exo run; DISK and SOCKET are filled in
. "$(dirname "$0")/../lib.sh"
need_kvm

scripts=("$TOP"/tests/guest/hostile/*.script)
tap_plan $((${#scripts[@]} + 2))

truncate -s 1M "$TMP/disk"
"$EXO" run --name neighbour "$BUILD/guests/test/neighbour.elf" 600 >"$TMP/neighbour" 2>&1 &
neighbour=$!
wait_for 20 grep -q watching "$TMP/neighbour"
check "a neighbour guest runs" kill -0 $neighbour

# one SCRIPT: runs it and compares with its expectation.
one() {
	local name expect options
	name=$(basename "$1" .script)
	expect=$(sed -n 's/^# expect: //p' "$1")
	options=$(sed -n 's/^# run: //p' "$1")
	options=${options//DISK/$TMP/disk}
	options=${options//SOCKET/$TMP/$name.sock}
	# shellcheck disable=SC2086 # the options are words
	run "$EXO" run $options "$BUILD/guests/hostile.elf" "$(cat "$1")"
	# 125 is our own failure and 134 an abort: never the right answer to a guest.
	case "$expect" in
	*ended) case $status in
		125 | 134) ;;
		12[89] | 1[3-9][0-9])
			[ -n "$err" ] && expect=met
			;;
		0) [ "$expect" = ended ] || expect=met ;;
		esac ;;
	"exit $status") expect=met ;;
	esac
	if [ "$expect" = met ]; then
		ok "$name"
	else
		not_ok "$name" "exit status $status, expected $expect"
		diag "$err"
	fi
}

for script in "${scripts[@]}"; do
	one "$script"
done

if kill -0 $neighbour 2>/dev/null; then
	ok "the neighbour has not noticed anything"
else
	not_ok "the neighbour has not noticed anything" "$(cat "$TMP/neighbour")"
fi
kill -KILL $neighbour 2>/dev/null
wait $neighbour 2>/dev/null
