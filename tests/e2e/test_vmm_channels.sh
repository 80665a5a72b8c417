#!/usr/bin/env bash
# Channels between two exo-vmm processes without a session: every path, revoking,
# death of either end, and a shell that is replaced while data flow.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/vmm_channels.py" "$BUILD" "$TMP"
