#!/usr/bin/env bash
# A session is killed and a new one finds its guests, their connections and grants; VMMs
# that lie to it (H-34).
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/channels_restart.py" "$BUILD" "$TMP" "$BUILD/guests/test"
