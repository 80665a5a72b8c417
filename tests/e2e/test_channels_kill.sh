#!/usr/bin/env bash
# kill -9 of either end, of both, of the session, at random instants of transfers between
# guests. CHANNELS_ROUNDS: how many (200); CHANNELS_SEED.
. "$(dirname "$0")/../lib.sh"
need_kvm
rounds=200
[ "$(kvm_kind)" != nested ] || rounds=10
python3 "$(dirname "$0")/channels_kill.py" "$BUILD" "$TMP" "$BUILD/guests/test" \
	"${CHANNELS_ROUNDS:-$rounds}" ${CHANNELS_SEED:+"$CHANNELS_SEED"}
