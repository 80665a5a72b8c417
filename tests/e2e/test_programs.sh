#!/usr/bin/env bash
# The programs with windows that come along (docs/programs.md), with a desktop that the test plays.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/programs.py" "$BUILD"
