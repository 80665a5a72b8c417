#!/usr/bin/env bash
# Socket calls on connections between guests: tests/guest/pairs.c, by both paths.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/pairs.py" "$BUILD" "$TMP"
