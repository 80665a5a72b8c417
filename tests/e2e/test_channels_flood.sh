#!/usr/bin/env bash
# One guest floods whom it can reach, in every way; another pair does not care (H-21).
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/channels_flood.py" "$BUILD" "$TMP" "$BUILD/guests/test"
