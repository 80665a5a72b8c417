#!/bin/bash
# Linux's own drivers of virtio-gpu, virtio-input and virtio-sound as clients of our devices: an
# unmodified distribution kernel whose PID 1, images/linuxdpy-init.c, draws through KMS, reads evdev
# and plays and records through ALSA; what it draws and plays, and what a person does, is looked
# at and done from the desktop's side of the VMM. Where the kernel has no driver for sound (see
# images/build-virtio-snd) that part is skipped.
#
# Only where KVM has hardware semantics: elsewhere a kernel's ring 0 is emulated
# instruction by instruction, and takes minutes to start.
. "$(dirname "$0")/../lib.sh"
need_kvm
[ "$(kvm_kind)" != software ] || skip_all "ring 0 is emulated by this KVM"

exec python3 "$TOP/tests/nested/linux_display.py" "$BUILD"
