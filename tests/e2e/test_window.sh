#!/usr/bin/env bash
# Windows of a guest (exo_window.h) against exo-vmm's devices and a desktop that the test plays:
# pictures in shared memory and by transfers, input, sizes, desktops that come and go; and sound.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/window.py" "$BUILD"
