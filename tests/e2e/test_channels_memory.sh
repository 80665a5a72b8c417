#!/usr/bin/env bash
# Memory that guests create, offer, move and revoke, seen from VMMs whose words the
# test speaks.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/channels_memory.py" "$BUILD" "$TMP"
