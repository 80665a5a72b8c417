#!/usr/bin/env bash
# What is wrong is said in one line that names it and how to mend it, with the
# right exit code, and nothing is left behind.
. "$(dirname "$0")/../lib.sh"
need_kvm

probe=$BUILD/guests/test/probe.elf
cd "$TMP" || exit 1
tap_plan 62

# bad NAME STATUS REGEX OPTIONS…: exo run OPTIONS fails like this.
bad() {
	local name=$1 wanted=$2 regex=$3
	shift 3
	run "$EXO" run "$@"
	if [ "$status" = "$wanted" ] && [ -z "$out" ] && [ "$(wc -l <"$TMP/.err")" = 1 ] &&
		grep -Eq -- "^exo: .*$regex" "$TMP/.err"; then
		ok "$name"
	else
		not_ok "$name" "exit status $status (wanted $wanted)"
		diag "$err"
		diag "wanted: /$regex/"
	fi
}

bad "no program" 125 'no program given; try exo run --help'
bad "unknown option" 125 'unknown option --frobnicate' --frobnicate "$probe"
bad "unknown letter" 125 'unknown option -z' -z "$probe"
bad "option without its value" 125 'option -m needs a value' -m
bad "value for an option that takes none" 125 '--prefault takes no value' --prefault=1 "$probe"
bad "no such file" 127 './none: no such file' ./none
bad "no such name" 127 'none: not found here, in EXO_PATH' none
bad "file in no folder" 127 'no such file' "$probe/x"
mkdir folder
bad "a folder" 126 'folder: Is a directory' ./folder
mkfifo fifo
bad "a FIFO" 126 'fifo: ' ./fifo
echo "#!/bin/sh" >script
bad "a script" 126 'script: .*(ELF|not)' ./script
: >empty
bad "an empty file" 126 'empty: ' ./empty
head -c 100 "$probe" >cut.elf
bad "a file cut off" 126 'cut.elf: ' ./cut.elf
bad "a program of this machine" 126 '/true: .*(note|exo-cc)' /bin/true
python3 - "$probe" <<'PY'
import struct, sys
elf = bytearray(open(sys.argv[1], "rb").read())
def save(name, data): open(name, "wb").write(data)
other = bytearray(elf); other[18:20] = struct.pack("<H", 183); save("arm", other)
other = bytearray(elf); other[4] = 1; save("elf32", other)
phoff, = struct.unpack_from("<Q", elf, 32)
phnum, = struct.unpack_from("<H", elf, 56)
note, far, huge = bytearray(elf), bytearray(elf), bytearray(elf)
for i in range(phnum):
    at = phoff + 56 * i
    kind, = struct.unpack_from("<I", elf, at)
    if kind == 4:
        struct.pack_into("<I", note, at, 0)
    if kind == 1:
        struct.pack_into("<Q", far, at + 24, 0xd0000000)
        struct.pack_into("<Q", huge, at + 40, 1 << 63)
save("nonote", note); save("far", far); save("huge", huge)
PY
bad "wrong architecture" 126 'arm: ' ./arm
bad "32-bit ELF" 126 'elf32: ' ./elf32
bad "no entry note" 126 'nonote: ' ./nonote
bad "segment where there is no memory" 126 'far: ' ./far
bad "absurd segment" 126 'huge: ' ./huge
# as_nobody MODE COMMAND…: in a /dev of its own, with a /dev/kvm of that mode.
as_nobody() {
	local mode=$1
	shift
	# shellcheck disable=SC2016 # for the inner shell
	run unshare -m sh -c 'mount -t tmpfs -o mode=755 none /dev && mknod /dev/null c 1 3 &&
		chmod 666 /dev/null && mknod /dev/kvm c 10 232 && chmod "$1" /dev/kvm && shift &&
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' sh "$mode" "$@"
}

if [ "$(id -u)" = 0 ] && as_nobody 666 true && [ "$status" = 0 ]; then
	mkdir nobody
	cp "$EXO" "$BUILD/bin/exo-vmm" "$probe" nobody
	chmod 755 . nobody
	cp "$probe" secret && chmod 0 secret && truncate -s 512 secret.img && chmod 444 secret.img
	as_nobody 600 nobody/exo run nobody/probe.elf
	is "/dev/kvm without permission" "$status $err" "125 exo: /dev/kvm: no permission; add \
yourself to its group (sudo usermod -aG kvm \$USER) and log in again"
	as_nobody 666 nobody/exo run ./secret
	is "unreadable program" "$status $err" "126 exo: ./secret: not readable; try chmod +r"
	as_nobody 666 nobody/exo run --disk secret.img nobody/probe.elf
	like "unwritable disk" "$status $err" '^125 .*secret.img: not writable; use secret.img:ro'
	as_nobody 666 nobody/exo run --disk secret.img:ro nobody/probe.elf say works
	is "a user without rights can run guests" "$status $out" "0 works"
	rm -rf nobody secret secret.img
else
	skip "/dev/kvm without permission" "no right to make one"
	skip "unreadable program" "no right to be somebody else"
	skip "unwritable disk" "no right to be somebody else"
	skip "a user without rights can run guests" "no right to be somebody else"
fi
if unshare -m true 2>/dev/null; then
	run unshare -m sh -c "mount -t tmpfs none /dev && exec $EXO run $probe"
	like "no /dev/kvm: the nested route is named" "$status $err" \
		'^125 exo: no /dev/kvm: .*exo-nested.*exo doctor'
	run unshare -m sh -c "mount -t tmpfs none /dev && exec $EXO doctor"
	like "and the doctor says so" "$status $out" '^1 bad +/dev/kvm +there is none'
else
	skip "no /dev/kvm: the nested route is named" "no right to mount"
	skip "and the doctor says so" "no right to mount"
fi

bad "memory that is no size" 125 '-m lots: not a size; write' -m lots "$probe"
bad "negative memory" 125 'not a size' -m -1 "$probe"
bad "too little memory" 125 '-m 64: too little; the least is 4M' -m 64 "$probe"
bad "absurd memory" 125 '-m 2T: too much' -m 2T "$probe"
bad "more memory than there is" 125 'this host has .*; give less' -m 900G "$probe"
bad "memory that overflows" 125 'too much' -m 99999999999T "$probe"
bad "uneven memory" 125 'not a multiple of 4K' -m 5000001 "$probe"
bad "no CPUs" 125 '--cpus 0: not a number from 1 to 16' --cpus 0 "$probe"
bad "too many CPUs" 125 '--cpus 17: not a number' --cpus 17 "$probe"
bad "empty name" 125 'a name has 1 to 63' --name "" "$probe"
bad "long name" 125 'a name has 1 to 63' --name "$(head -c 64 /dev/zero | tr '\0' n)" "$probe"
bad "--env without a name" 125 '--env =x: no name' --env =x "$probe"
bad "--timeout that is no time" 125 '--timeout soon: not a duration' --timeout soon "$probe"
bad "--timeout 0" 125 'not a duration' --timeout 0 "$probe"
long=$(head -c 120000 /dev/zero | tr '\0' x)
bad "arguments too long" 125 'longer than' "$probe" "$long" "$long" "$long" "$long" "$long" \
	"$long" "$long" "$long" "$long"
bad "kernel arguments too long" 125 '--kernel-args: longer than' --kernel-args "$long" "$probe"
bad "missing initrd" 125 '--initrd none: No such file' --initrd none "$probe"

bad "missing disk" 125 '--disk none.img: No such file' --disk none.img "$probe"
truncate -s 1000 odd.img
bad "uneven disk" 125 'odd.img: 1000 bytes are not a multiple of 512; mend it with' --disk odd.img "$probe"
: >empty.img
bad "empty disk" 125 'empty.img: empty; give it a size' --disk empty.img "$probe"
bad "a folder as a disk" 125 'folder: ' --disk folder "$probe"
bad "a folder as a read-only disk" 125 'folder: neither a file nor' --disk folder:ro "$probe"
bad "no disk at all" 125 'no file name' --disk :ro "$probe"
truncate -s 64K disk.img
disks=()
for _ in 1 2 3 4 5 6 7 8 9; do disks+=(--disk disk.img:ro); done
bad "too many disks" 125 'at most 8' "${disks[@]}" "$probe"
"$EXO" run --disk disk.img "$probe" say up sleep 20 >up 2>/dev/null &
holder=$!
wait_for 10 test -s up
bad "a disk that another guest has" 125 'disk.img: locked by another guest or program' --disk disk.img "$probe"
bad "a disk that another guest writes" 125 'disk.img: locked by a program that writes' \
	--disk disk.img:ro "$probe"
kill -KILL $holder
wait $holder 2>/dev/null
free() { "$EXO" run --disk disk.img "$probe" exit 0; }
if wait_for 5 free; then ok "kill -9 of its exo frees it"; else not_ok "kill -9 of its exo frees it"; fi
"$EXO" run --disk disk.img:ro "$probe" say up sleep 20 >up2 2>/dev/null &
holder=$!
wait_for 10 test -s up2
run "$EXO" run --disk disk.img:ro "$probe" exit 0
is "read-only disks are shared" "$status" 0
kill $holder
wait $holder 2>/dev/null
n=0
for _ in 1 2 3 4 5 6 7 8 9 10; do "$EXO" run --disk disk.img "$probe" exit 0 && n=$((n + 1)); done
is "a disk is free as soon as its guest's exo has ended" $n 10

bad "status file in no folder" 125 '--json-status none/status: cannot be written: No such' \
	--json-status none/status "$probe"
bad "status file that is a folder" 125 'cannot be written: Is a directory' --json-status folder "$probe"
: >plain
bad "vsock path that is a file" 125 'plain: ' --vsock plain "$probe"
bad "vsock path too long" 125 "a socket's path has" --vsock "$long" "$probe"
bad "vsock in no folder" 125 'none/s: No such file' --vsock none/s "$probe"
EXO_VMM=$TMP/none bad "no exo-vmm" 125 'cannot start exo-vmm: No such file.*EXO_VMM' "$probe"

chmod +x empty
EXO_VMM=$TMP/empty bad "an exo-vmm that is no program" 125 'cannot start exo-vmm: Exec format error' "$probe"

rm -f up up2
is "nothing is left behind" "$(ls "$TMP" | tr '\n' ' ')" \
	"arm cut.elf disk.img elf32 empty empty.img far fifo folder huge nonote odd.img plain script "
