#!/usr/bin/env bash
# exo-vmm by itself, through its protocol: end reasons (H-32), guests that spin
# (H-33), messages it must not take, the sandbox, and that nothing is left behind.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/vmm_guests.py" "$BUILD"
