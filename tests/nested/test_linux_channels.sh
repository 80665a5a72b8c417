#!/bin/bash
# A guest with Linux's own virtio-vsock driver and one built with the SDK, wired by a
# session: the switched path at one end, the shared ring at the other. Linux's
# program knows nothing of us: it connects to port 7 of CID 2, which a grant made a slot.
. "$(dirname "$0")/../lib.sh"
need_kvm
[ "$(kvm_kind)" != software ] || skip_all "ring 0 is emulated by this KVM"

RUN_SECONDS=120
export EXO_SESSION=$TMP/session
mkdir -m 700 "$EXO_SESSION"
"$EXO" session >"$TMP/session.log" 2>&1 &
wait_for 20 test -S "$EXO_SESSION/control" || diag "$(cat "$TMP/session.log")"
cat >"$TMP/server.exo" <<END
[program]
file = $BUILD/guests/test/chan.elf
args = serve echo stream count=0 echo
[provides]
echo = 100 stream
[lifecycle]
start = demand
END

linux() {
	run "$EXO" run --name linux -m 192M --initrd "$BUILD/images/linux.cpio" \
		--kernel-args "quiet exo.vsock=echo" "$BUILD/images/cloud/vmlinux"
	out=${out//$'\r'/}
}

linux
like "Linux without a grant is refused" "$out" '^not ok [0-9]+ - vsock: what is sent comes back$'
"$EXO" add "$TMP/server.exo"
check "a person grants it" "$EXO" grant linux echo --port 7
linux
diag "$out" "$err"
is "Linux powers off with status 0" "$status" 0
like "what Linux sends to a guest of the SDK comes back" "$out" \
	'^ok [0-9]+ - vsock: what is sent comes back$'
like "by a server that was started for it" "$("$EXO" log server)" '^accepted [0-9]+'
like "the log of uses has it" "$("$EXO" audit --guest linux)" 'connect .*service=echo'
kill %1
wait %1
is "the session ends" "$?" 0
tap_done
