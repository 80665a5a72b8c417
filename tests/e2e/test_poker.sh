#!/usr/bin/env bash
# A guest that breaks the rules of a direct channel, beside a server that must go on
# serving others (H-11, H-19, H-21).
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/poker.py" "$BUILD" "$TMP"
