#!/usr/bin/env bash
# How guests of a session begin, get ready, end and come back (docs/lifecycle.md).
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/lifecycle.py" "$BUILD" "$TMP" "$BUILD/guests/test"
