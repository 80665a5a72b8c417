#!/usr/bin/env bash
# Guests that are frozen, that flood the shell, and that pretend to be it, before a desktop without
# a screen: the shell and another guest go on, memory stays bounded, the strip is the shell's.
. "$(dirname "$0")/../lib.sh"
[ -z "${EXO_NESTED:-}" ] || skip_all "floods take too long where machines are emulated"
need_kvm
python3 "$(dirname "$0")/desktop_hostile.py" "$BUILD" "$TMP"
