#!/usr/bin/env bash
# Desktops and sessions that are killed under running guests: windows come back with pictures and
# input. And 64 windows at once, after which nothing is left.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/desktop_restart.py" "$BUILD" "$TMP"
