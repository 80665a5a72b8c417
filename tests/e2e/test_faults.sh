#!/usr/bin/env bash
# Every system call of exo-vmm's start-up fails once, in turn (strace --inject):
# the guest runs all the same, or there is one line that says what failed. No
# hang, no crash, nothing left behind.
. "$(dirname "$0")/../lib.sh"
need_kvm
command -v strace >/dev/null || skip_all "strace is not installed"
python3 "$(dirname "$0")/vmm_faults.py" "$BUILD" "$TMP"
