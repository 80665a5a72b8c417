#!/usr/bin/env bash
# The SDK's channel library (exo_channel.h) between guests of a session: what is in
# tests/guest/caps.c, word by word.
. "$(dirname "$0")/../lib.sh"
need_kvm

caps=$BUILD/guests/test/caps.elf
cd "$TMP" || exit 1
tap_plan 43

# guest NAME ARGS SECTIONS…: a manifest for a guest of that name.
guest() {
	local name=$1 args=$2
	shift 2
	{
		printf '[program]\nfile = %s\nargs = %s\nmemory = 192M\n' "$caps" "$args"
		printf '%s\n' "$@"
	} >"$name.exo"
}

session=
rounds=0
# begin: a session of its own for what follows.
begin() {
	rounds=$((rounds + 1))
	export XDG_RUNTIME_DIR=$TMP/run$rounds
	mkdir -m 700 "$XDG_RUNTIME_DIR"
	rm -f session.out
	"$EXO" session >session.out 2>session.err &
	session=$!
	wait_for 10 grep -q listening session.out
}

finish() {
	local left

	kill "$session"
	wait "$session"
	left=$?
	[ $left = 0 ] || diag "the session ended with $left: $(tail -n 3 session.err)"
	session=
}
trap '[ -z "$session" ] || kill "$session"' EXIT

# play CLIENT: runs the client in the foreground; what it said is in $out, its status in $status.
play() {
	out=$(run_timeout 30 "$EXO" run "$1.exo" 2>client.err)
	status=$?
}

# heard NAME WORDS: what a guest in the background said, as soon as it has said WORDS.
heard() {
	wait_for 10 bash -c "'$EXO' log '$1' | grep -q '$2'"
	"$EXO" log "$1"
}

# ---- slots, peers -----------------------------------------------------------------------

begin
guest server 'must serve echo seq accept peer echo end' '[provides]' 'echo = 10 seqpacket' \
	'[lifecycle]' 'start = demand'
guest client 'slots slot echo slot nothing connect echo seq peer say hello hear reason close connect echo stream' \
	'[uses]' 'echo ='
run_timeout 10 "$EXO" add server.exo >/dev/null
play client
is "the client ends well" "$status" 0
like "its slot has a name, and is to connect" "$out" 'slot [0-9]+ echo 9 0 0'
like "there is one" "$out" 'slots 1'
like "the environment knows it" "$out" 'slot 16777'
like "what was not granted is ENOENT" "$out" 'slot: 2 '
like "the library connects" "$out" 'connected 16777'
like "who is at the other end" "$out" 'peer server untrusted [0-9]+'
like "and answers" "$out" 'heard hello'
like "an open connection has no reason" "$out" 'reason none'
like "the wrong socket type is EPROTOTYPE" "$out" 'connect: 91 '
out=$(heard server '^end')
like "the server knows the client" "$out" 'peer client untrusted'
like "and sees it close" "$out" 'end 0 closed'
finish

# ---- refusals ------------------------------------------------------------------------------

begin
guest serves-other 'serve other seq serve echo stream' '[provides]' 'echo = 10 seqpacket'
guest alone "connect absent seq" "[uses]" "absent ="
play serves-other
like "a service that the manifest does not name is EACCES" "$out" 'serve: 13 '
like "nor may it have another type" "$out" 'serve: 91 '
play alone
like "a service that nobody provides is ECONNREFUSED" "$out" 'connect: 111 '
finish

# ---- delegation: three guests -----------------------------------------------------------------

begin
guest server 'must serve echo seq accept peer echo accept peer echo end' '[provides]' 'echo = 10 seqpacket' \
	'[lifecycle]' 'start = demand'
guest middle 'must serve door seq accept hear offer echo c max_conns=1 end accept end' \
	'[provides]' 'door = 11 seqpacket' '[uses]' 'echo = delegate' '[lifecycle]' 'start = demand'
run_timeout 10 "$EXO" add server.exo >/dev/null
run_timeout 10 "$EXO" add middle.exo >/dev/null
guest client 'connect door seq take say please take-wait connect-slot seq peer say hello hear connect-slot seq connect door seq offer-slot c' \
	'[uses]' 'door ='
play client
is "the client ends well" "$status" 0
like "nothing was offered yet: EAGAIN" "$out" 'take: 11 '
like "it takes what was offered: to connect, no more" "$out" 'took [0-9]+ echo 9'
like "and reaches whom it never knew" "$out" 'peer server untrusted'
like "who answers" "$out" 'heard hello'
like "one connection at a time, as the limit says: ENOBUFS" "$out" 'connect-slot: 105 '
like "it may not pass on what it got" "$out" 'offer-slot: 1 |offer-slot: 13 '
like "the offer came from the middle, the connection from the client" "$(heard server '^peer')" \
	'peer client untrusted'
finish

# ---- what is revoked ends ---------------------------------------------------------------------

begin
guest server 'must serve echo seq accept echo end' '[provides]' 'echo = 10 seqpacket' '[lifecycle]' 'start = demand'
guest middle 'must serve door seq accept hear offer echo c hear revoke echo say revoked end' \
	'[provides]' 'door = 11 seqpacket' '[uses]' 'echo = delegate' '[lifecycle]' 'start = demand'
guest client 'connect door seq say please take-wait say taken hear connect-slot seq drop connect-slot seq' \
	'[uses]' 'door ='
run_timeout 10 "$EXO" add server.exo >/dev/null
run_timeout 10 "$EXO" add middle.exo >/dev/null
play client
like "the middle takes it back" "$out" 'heard revoked'
like "and the slot is stale: ESTALE" "$out" 'connect-slot: 116 '
finish

# ---- memory ---------------------------------------------------------------------------------------

begin
guest server 'must serve frames seq accept get-wait check 1 speed say seen hear check 2 say changed get-wait check 3 fill 4 say moved end' \
	'[provides]' 'frames = 10 seqpacket' '[limits]' 'window = 160M' '[lifecycle]' 'start = demand'
guest client 'mem 67108864 fill 1 connect frames seq give ro hear fill 2 say look hear mem-revoke mem-release
	mem 33554432 fill 3 give move hear mem 1073741824' \
	'[uses]' 'frames =' '[limits]' 'grants = 128M' 'window = 160M'
sed -i ':a;N;$!ba;s/mem-release\n\t/mem-release /' client.exo
run_timeout 10 "$EXO" add server.exo >/dev/null
play client
is "the client ends well" "$status" 0
like "memory of 64 MiB" "$out" 'mem [0-9]+'
like "is given" "$out" 'given'
like "and seen" "$out" 'heard seen'
like "what is written there is seen too" "$out" 'heard changed'
like "memory is moved" "$out" 'heard moved'
like "more than the manifest grants is EDQUOT" "$out" 'mem: 122 '
out=$(heard server '^end')
is "every check of the contents holds" "$(grep -c '^check ok' <<<"$out")" 3
like "read-only is said" "$out" 'mem [0-9]+ 67108864 16'
like "moved memory is writable" "$out" 'mem [0-9]+ 33554432 0'
echo "# $(grep speed <<<"$out")"
finish

begin
guest server 'must serve frames seq accept get-wait poke say survived' '[provides]' 'frames = 10 seqpacket' \
	'[lifecycle]' 'start = demand'
guest client 'mem 4096 fill 1 connect frames seq give ro hear end check 1' '[uses]' 'frames =' '[limits]' 'grants = 1M'
run_timeout 10 "$EXO" add server.exo >/dev/null
play client
like "who writes to read-only memory does not survive: ECONNRESET" "$out" 'hear: 104 '
like "its end has a reason" "$out" 'end 0 died'
like "and the memory is as it was" "$out" 'check ok'
finish

# ---- threads ------------------------------------------------------------------------------------------

begin
guest server 'must serve door seq accept hear offer door2 c end' '[provides]' 'door = 11 seqpacket' \
	'[uses]' 'door2 = delegate' '[lifecycle]' 'start = demand'
guest client 'connect door seq threads 8' '[uses]' 'door ='
run_timeout 10 "$EXO" add server.exo >/dev/null
play client
like "eight threads ask while one waits" "$out" 'threads: 0 failed, waiter 0'
finish

# ---- links: the server is killed, and comes back ---------------------------------------------------------

begin
guest server 'must serve echo seq accept echo echo echo echo echo echo echo exit 1' '[provides]' 'echo = 10 seqpacket' \
	'[lifecycle]' 'start = demand' 'restart = on-failure' 'backoff = 10ms' 'restarts = 100'
guest client 'link echo seq 50' '[uses]' 'echo ='
run_timeout 10 "$EXO" add server.exo >/dev/null
play client
like "a link survives a server that keeps dying" "$out" 'link 50 of 50, ([8-9]|1[0-9]) connections'
finish

# ---- without a session ----------------------------------------------------------------------------------------

out=$(run_timeout 10 "$EXO" run --vsock s "$caps" slot echo connect echo seq serve echo seq mem 4096 alive)
is "every call is ENETDOWN" "$(grep -c ': 100 ' <<<"$out")" 5
out=$(run_timeout 10 "$EXO" run "$caps" slot echo connect echo seq serve echo seq mem 4096 alive)
is "also without a vsock device" "$(grep -c ': 100 ' <<<"$out")" 5
out=$(EXO_SLOT_ECHO=77 run_timeout 10 "$EXO" run --env EXO_SLOT_ECHO=77 "$caps" slot echo)
is "but the environment is believed" "$out" "slot 77"
