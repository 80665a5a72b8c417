#!/usr/bin/env bash
# What guests hear when budgets and tables are used up, or wait for each other.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/channels_crowd_limits.py" "$BUILD" "$TMP" "$BUILD/guests/test"
