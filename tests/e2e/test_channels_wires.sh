#!/usr/bin/env bash
# What a session does with connections, capabilities and ends, seen from its VMMs, whose
# words the test speaks: honest ones, and others (H-34).
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/channels_puppets.py" "$BUILD" "$TMP"
