#!/bin/bash
# Linux's own drivers of virtio-gpu and virtio-input as a client of our devices: an unmodified
# distribution kernel whose PID 1, images/linuxdpy-init.c, draws through KMS; what it draws, and
# what a person does, is looked at and done from the desktop's side of the VMM.
#
# Only where KVM has hardware semantics: elsewhere a kernel's ring 0 is emulated
# instruction by instruction, and takes minutes to start.
. "$(dirname "$0")/../lib.sh"
need_kvm
[ "$(kvm_kind)" != software ] || skip_all "ring 0 is emulated by this KVM"

exec python3 "$TOP/tests/nested/linux_display.py" "$BUILD"
