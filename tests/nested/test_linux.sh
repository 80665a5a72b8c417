#!/bin/bash
# An unmodified distribution kernel as a guest, with devices found through our
# ACPI tables: started by PVH (vmlinux) and by Linux's own protocol (bzImage).
# Its PID 1, images/linux-init.c, prints TAP on the virtio console.
#
# Only where KVM has hardware semantics: elsewhere a kernel's ring 0 is emulated
# instruction by instruction, and takes minutes to start.
. "$(dirname "$0")/../lib.sh"
need_kvm
[ "$(kvm_kind)" != software ] || skip_all "ring 0 is emulated by this KVM"

cloud=$BUILD/images/cloud
initrd=$BUILD/images/linux.cpio
RUN_SECONDS=120

# Sends back what a guest writes to port 7 of the host.
socat "UNIX-LISTEN:$TMP/sock_7,fork" EXEC:cat &
wait_for 5 test -S "$TMP/sock_7"

# point NAME: the guest's TAP has this point, and it passed.
point() {
	like "$1" "$out" "^ok [0-9]+ - $2\$"
}

truncate -s 1M "$TMP/disk"
printf 'exo test disk' | dd of="$TMP/disk" conv=notrunc status=none

# ---- vmlinux, all devices, two CPUs -------------------------------------------

run "$EXO" run -m 192M --cpus 2 --initrd "$initrd" --disk "$TMP/disk" --vsock "$TMP/sock" \
	--json-status "$TMP/status" --kernel-args "quiet exo.disk=rw exo.vsock=echo" \
	"$cloud/vmlinux" exo.argument=1
out=${out//$'\r'/} # the console is a terminal
diag "$out" "$err"
is "vmlinux: powers off with status 0" "$status" 0
like "vmlinux: ended by ACPI power-off" "$(cat "$TMP/status")" '"poweroff"'
point "vmlinux: drivers load" "drivers load"
like "vmlinux: arguments follow the kernel's parameters" "$out" \
	'^# Linux .*quiet exo.disk=rw exo.vsock=echo .*exo\.argument=1$'
like "vmlinux: both CPUs run" "$out" '^# CPUs 0-1$'
point "vmlinux: clock source" "clock source"
like "vmlinux: it is kvm-clock" "$out" '^# clock source kvm-clock'
point "vmlinux: timers" "sleeps for as long as it asked"
point "vmlinux: rng" "rng gives bytes that differ"
point "vmlinux: disk reads" "disk reads"
like "vmlinux: the disk is the one given" "$out" '^# disk begins with "exo test disk'
point "vmlinux: disk writes" "disk keeps what is written and flushed"
point "vmlinux: vsock" "vsock: what is sent comes back"
is "vmlinux: what it wrote is in the file" \
	"$(od -An -tu1 -j4096 -N6 "$TMP/disk" | tr -s ' ')" " 7 38 69 100 131 162"
is "vmlinux: nothing failed" "$(printf '%s\n' "$out" | grep -c '^not ok')" 0

# ---- bzImage, the default machine --------------------------------------------

echo keys >"$TMP/keys"
run "$EXO" run --initrd "$initrd" --kernel-args "quiet exo.input=keys" "$cloud/vmlinuz" <"$TMP/keys"
out=${out//$'\r'/}
diag "$out" "$err"
is "bzImage: powers off with status 0" "$status" 0
point "bzImage: drivers load" "drivers load"
point "bzImage: rng" "rng gives bytes that differ"
point "bzImage: console input" "console input"
is "bzImage: nothing failed" "$(printf '%s\n' "$out" | grep -c '^not ok')" 0

# ---- no initrd: a panic, and panic=-1 says restart at once ---------------------

run "$EXO" run --json-status "$TMP/status" --kernel-args "quiet panic=-1" "$cloud/vmlinux"
like "panic: ends by asking for a reset" "$(cat "$TMP/status")" '"reset"'
run "$EXO" run --json-status "$TMP/status" --kernel-args "quiet panic=-1 reboot=a" "$cloud/vmlinux"
like "panic: the same by ACPI" "$(cat "$TMP/status")" '"reset"'

tap_done
