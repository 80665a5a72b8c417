#!/usr/bin/env bash
# The desktop without a screen, with real guests, by the scenario files in scripts/desktop:
# windows, clipboard, file chooser, the shell's panels, golden pictures. EXO_GOLDEN=write makes those.
. "$(dirname "$0")/../lib.sh"
need_kvm

unset EXO_SESSION EXO_SCENARIO
export TMPDIR=$TMP XDG_CONFIG_HOME=$TMP HOME=$TMP EXO_FAILURES=${EXO_FAILURES:-$TMP}
for file in "$TOP"/tests/e2e/scripts/desktop/*.exoscript; do
	name=${file##*/}
	RUN_SECONDS=300 run "$EXO" script ${EXO_NESTED:+-t 120s} -D "g=$BUILD/guests" "$file"
	if [ "$status" = 0 ]; then
		ok "scenario $name"
	else
		not_ok "scenario $name" "$(grep -A 5 -v '^ok' <<<"$out")$err"
	fi
done
tap_done
