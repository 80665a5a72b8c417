#!/bin/bash
# Linux's own 9P client and exo-fs: from this machine over a Unix socket, and from a Linux
# guest over vsock. Where KVM has hardware semantics, and the kernel has the modules:
# the nested machine.
. "$(dirname "$0")/../lib.sh"
need_kvm
[ "$(kvm_kind)" != software ] || skip_all "ring 0 is emulated by this KVM"

generic=$BUILD/images/generic
RUN_SECONDS=200
serve=$TOP/tests/e2e/p9serve.py
mkdir -p "$TMP/shared/many" "$TMP/mnt"
cd "$TMP" || exit 1
echo "hello from host" >shared/hello
for i in {1..300}; do : >"shared/many/file-number-$i"; done
ln -s /etc/passwd-of-the-host shared/outside
mkfifo shared/fifo

# ---- this machine's kernel ------------------------------------------------------------

"$serve" --unix local shared >up &
wait_for 20 test -s up
if run mount -t 9p -o trans=unix,version=9p2000.L,msize=131072,cache=none "$TMP/local" mnt &&
	[ "$status" = 0 ]; then
	is "reads" "$(<mnt/hello)" "hello from host"
	is "lists" "$(ls mnt | tr '\n' ' ')" "fifo hello many outside "
	is "lists a folder of 300" "$(ls mnt/many | wc -l)" 300
	head -c 1000000 /dev/urandom >data
	cp data mnt/data
	check "writes" cmp data shared/data
	mv mnt/data mnt/many/ && ln -s many/data mnt/link
	check "renames, makes links, reads through them" cmp data mnt/link
	rm -r mnt/many/data mnt/link
	is "removes" "$(ls shared | tr '\n' ' ')" "fifo hello many outside "
	run mknod mnt/null c 1 3
	like "makes no device nodes" "$err" 'Operation not permitted'
	umount mnt
else
	diag "$err"
	skip "this machine's kernel as a client" "it cannot mount 9p over a Unix socket"
fi

# ---- a Linux guest ----------------------------------------------------------------------

"$serve" --unix sock_564 shared >up2 &
wait_for 20 test -s up2
run "$EXO" run -m 256M --initrd "$BUILD/images/linux9p.cpio" --vsock "$TMP/sock" \
	--kernel-args "quiet exo.9p=564" "$generic/vmlinux"
out=${out//$'\r'/}
diag "$out" "$err"
is "the guest powers off with status 0" "$status" 0
while IFS= read -r name; do
	like "guest: $name" "$out" "^ok [0-9]+ - $name\$"
done <<'NAMES'
drivers load
9p: mounts
9p: reads
9p: lists a folder of 300
9p: writes 1 MiB, syncs, reads it
9p: truncate, chmod, stat
9p: locks
9p: rename, unlink, mkdir, rmdir
9p: symlink, readlink
9p: statfs
9p: a link means our own files, a FIFO is our own
9p: no device nodes
9p: unmounts
NAMES
is "the folder is as it was" "$(ls shared | tr '\n' ' ')" "fifo hello many outside "
tap_done
