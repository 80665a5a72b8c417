#!/usr/bin/env bash
# exo-vmm and a desktop (include/exo/display.h): picture memory, desktops that come, go and
# lie, configurations that must be refused; what the input devices and sound do under a guest.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/vmm_display.py" "$BUILD"
