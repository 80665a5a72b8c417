#!/usr/bin/env bash
# The same window programs under QEMU's microvm with QEMU's own virtio-gpu, keyboard, tablet and
# mouse, emulated: the picture by a screendump, input by input-send-event.
. "$(dirname "$0")/../lib.sh"
[ -z "${EXO_NESTED:-}" ] || skip_all "QEMU is tried outside the nested machine"
command -v qemu-system-x86_64 >/dev/null || skip_all "no qemu-system-x86_64"
python3 "$(dirname "$0")/window_qemu.py" "$BUILD" "$TMP"
