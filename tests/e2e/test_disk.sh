#!/usr/bin/env bash
# Disks: what the guest reads is what the file holds, and what it writes is there.
. "$(dirname "$0")/../lib.sh"
need_kvm

cd "$TMP" || exit 1
sum=$BUILD/guests/sha256sum.elf
tap_plan 8

head -c 8388608 /dev/urandom >disk
wanted=$(sha256sum disk | cut -d ' ' -f 1)
# digest OPTIONS…: what a guest makes of its first disk.
digest() {
	run "$EXO" run "$@" "$sum" /dev/vda
	out="$status ${out%% *}"
}
digest --disk disk
is "8 MiB read through a disk" "$out" "0 $wanted"
digest --disk disk:ro
is "read-only" "$out" "0 $wanted"
digest --disk disk:ro:direct
if [ "$status" = 125 ] && grep -q 'has no direct I/O' <<<"$err"; then
	skip "past the page cache" "this file system has no direct I/O"
else
	is "past the page cache" "$out" "0 $wanted"
fi
cp disk "$TMP/name:ro"
digest --disk "name:ro:rw"
is "a file whose name ends in :ro" "$out" "0 $wanted"
head -c 512 /dev/urandom >small
run "$EXO" run --disk disk:ro --disk small:ro "$sum" /dev/vdb
is "the second disk is the second" "${out%% *}" "$(sha256sum small | cut -d ' ' -f 1)"
head -c 100000 disk >input
run "$EXO" run "$sum" <input
is "and standard input is none" "${out%% *}" "$(sha256sum input | cut -d ' ' -f 1)"
truncate -s 1M target
run "$EXO" run --disk target "$BUILD/guests/test/probe.elf" fill /dev/vda
is "what a guest writes and syncs" "$status $(tr -d x <target | wc -c) $(stat -c %s target)" "0 0 1048576"
run "$EXO" run --disk target:ro "$BUILD/guests/test/probe.elf" fill /dev/vda
like "is refused on a read-only disk" "$status $err" '^99 probe: .*(Read-only|not permitted|denied|I/O error)'
