#!/usr/bin/env bash
# exo test: guests that report TAP over vsock, and every way not to.
. "$(dirname "$0")/../lib.sh"
need_kvm

cd "$TMP" || exit 1
tap_plan 30
for name in good bad bad-status plan-last no-plan short bail garbage hang crash silent; do
	cp "$BUILD/guests/test/probe.elf" tap-$name.elf
done

run "$EXO" test tap-good.elf tap-plan-last.elf
is "all good: exit status" "$status" 0
is "all good: results in order, numbered through" "$out" "$(
	cat <<'TAP'
ok 1 - tap-good.elf: one
ok 2 - tap-good.elf: two
ok 3 - tap-good.elf: three # SKIP
ok 4 - tap-plan-last.elf: one
ok 5 - tap-plan-last.elf: two
1..5
TAP
)"
is "all good: the sum" "$err" "exo: 4 passed, 0 failed, 1 skipped"

# fails NAME FAILED REGEX: exo test of that guest fails so.
fails() {
	run "$EXO" test --timeout "${3:-20s}" tap-$1.elf
	if [ "$status" = 1 ] && grep -Eq "^not ok [0-9]+ - tap-$1.elf: $2" <<<"$out" &&
		grep -q ', 1 failed' <<<"$err"; then
		ok "$1 fails"
	else
		not_ok "$1 fails" "exit status $status"
		diag "$out"
		diag "$err"
	fi
}
fails bad 'two$'
like "with what it wrote" "$out" '^# \| tap-bad says hello; EXO_TEST is 1$'
fails bad-status 'exit status 5$'
fails no-plan 'TAP: no plan$'
fails short 'TAP: 3 tests planned, 1 run$'
fails bail 'TAP: bailed out: no more$'
fails garbage 'TAP: a line that is not TAP: hello there$'
fails silent 'reported nothing: it never connected'
run "$EXO" test tap-crash.elf
like "crash fails" "$out" '^not ok 1 - tap-crash.elf: killed by signal 6'
like "and its plan is not fulfilled" "$out" '^not ok 2 - tap-crash.elf: TAP: 1 tests planned, 0 run'
start=$SECONDS
run "$EXO" test --timeout 500ms tap-hang.elf
like "a timeout fails" "$out" '^not ok 1 - tap-hang.elf: ended by --timeout'
if [ $((SECONDS - start)) -lt 4 ]; then ok "in time"; else not_ok "in time"; fi
run "$EXO" test tap-good.elf none.elf tap-plan-last.elf
is "a missing file is one failure" "$status-$(grep -c '^not ok' <<<"$out")-$(grep -c '^ok' <<<"$out")" "1-1-5"
like "and says why" "$err" '^exo: none.elf: not found'
run "$EXO" test /bin/true
is "what is no guest, too" "$status" 1
run "$EXO" test -v tap-good.elf
like "-v shows the output of good ones" "$out" '^# \| tap-good says hello'

run "$EXO" test --junit junit.xml tap-good.elf tap-bad.elf
is "--junit: exit status" "$status" 1
got=$(python3 - <<'PY'
import xml.etree.ElementTree as xml
for suite in xml.parse("junit.xml").getroot():
    print(suite.get("name"), *(suite.get(k) for k in ("tests", "failures", "errors", "skipped")),
          len(suite.findall("testcase")), [c.get("name") for c in suite if c.find("failure") is not None])
PY
)
is "--junit: what is in it" "$got" "$(printf "tap-good.elf 3 0 0 1 3 []\ntap-bad.elf 2 1 0 0 2 ['two']")"
run "$EXO" test tap-good.elf --junit -
like "--junit -: on standard output, alone" "$(head -n 1 <<<"$out")" '^<\?xml'
run "$EXO" test --junit none/x tap-good.elf
is "--junit that cannot be written" "$status-$out" "125-"
run "$EXO" test
is "no guest given" "$status" 125
run "$EXO" test --jobs 0 tap-good.elf
is "--jobs 0" "$status" 125

truncate -s 1M disk
run "$EXO" test --disk disk "$BUILD/guests/selftest.elf"
like "the selftest passes" "$status $err" '^0 exo: [0-9]+ passed, 0 failed'

files=()
for i in $(seq 40); do
	ln tap-good.elf "tap-good.$i.elf"
	files+=("tap-good.$i.elf")
done
run "$EXO" test --jobs 8 "${files[@]}"
is "40 guests, 8 at a time" "$status $err" "0 exo: 80 passed, 0 failed, 40 skipped"
is "in the order of the command line" "$(grep -c . <<<"$out") $(sed -n 's/^ok [0-9]* - \(.*\): one$/\1/p' <<<"$out" | tr '\n' ' ')" \
	"121 ${files[*]} "

"$EXO" test tap-hang.elf tap-hang.elf >/dev/null 2>err &
pid=$!
wait_for 10 pgrep -P $pid
sleep 0.3
kill -TERM $pid
wait $pid
is "interrupted" "$?-$(cat err)" "130-exo: interrupted"
gone() { ! pgrep -f 'exo-vmm tap-hang'; }
check "and its guests are gone" gone
