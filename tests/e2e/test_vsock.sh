#!/usr/bin/env bash
# vsock through Unix sockets, both ways, both types.
. "$(dirname "$0")/../lib.sh"
need_kvm

probe=$BUILD/guests/test/probe.elf
cd "$TMP" || exit 1
tap_plan 26

# serve WORDS…: starts a guest with the socket s and waits until it listens.
serve() {
	rm -f up
	"$EXO" run --vsock s "$probe" "$@" >up 2>err &
	guest=$!
	wait_for 10 grep -q listening up
}

serve serve 12 exit 3
got=$( (printf 'CONNECT 12\nhello\n'; sleep 0.3) | run_timeout 5 socat -t3 - UNIX-CONNECT:s)
like "host to guest with socat: OK and the echo" "$(tr '\n' ' ' <<<"$got")" '^OK [0-9]+ hello $'
wait $guest
is "the guest saw the end of it" $? 3
is "the sockets are gone with the guest" "$(ls)" "$(printf 'err\nup')"

serve serve 12 exit 3
got=$(python3 - <<'PY'
import os, socket, threading
s = socket.socket(socket.AF_UNIX)
s.settimeout(15)
s.connect("s")
for part in (b"CON", b"NECT ", b"12", b"\n"):
    s.sendall(part)
ok = s.recv(100)
data = os.urandom(1 << 20)
threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()
got = b""
while more := s.recv(65536):
    got += more
print(ok.split()[0].decode(), got == data)
PY
)
is "1 MiB there and back, half-closed at its end" "$got" "OK True"
wait $guest
is "and the guest ends" $? 3

serve serve-seq 12 exit 3
got=$(python3 - <<'PY'
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10)
s.connect("s.seq")
s.send(b"CONNECT 12\n")
ok = s.recv(100)
for part in (b"a", b"bcd", b"e" * 3000):
    s.send(part)
print(ok.split()[0].decode(), *[len(s.recv(10000)) for _ in range(3)])
PY
)
is "SEQPACKET keeps message boundaries" "$got" "OK 1 3 3000"
wait $guest
is "and the guest ends" $? 3

serve serve 12 exit 3
got=$(python3 - <<'PY'
import socket, time
def try_line(line, path="s", kind=socket.SOCK_STREAM):
    c = socket.socket(socket.AF_UNIX, kind)
    c.settimeout(10)
    c.connect(path)
    c.send(line)
    try:
        return c.recv(100)
    except ConnectionResetError:
        return b""
answers = [try_line(l) for l in (b"CONNECT 13\n", b"CONNECT x\n", b"HELLO\n", b"CONNECT 99999999999\n",
                                 b"CONNECT 4294967295\n", b"connect 12\n", b"X" * 100)]
answers.append(try_line(b"CONNECT 12", "s.seq", socket.SOCK_SEQPACKET))
print(answers.count(b""))
silent = [socket.socket(socket.AF_UNIX) for _ in range(40)]
for c in silent:
    c.connect("s")
for c in silent:
    c.close()
c = socket.socket(socket.AF_UNIX)
c.settimeout(10)
c.connect("s")
c.send(b"CONNECT 12\nstill there")
answer = c.recv(100)
while b"there" not in answer:
    answer += c.recv(100)
print(answer.split(b"\n")[1].decode())
PY
)
is "nonsense and closed ports are hung up on" "$(head -n 1 <<<"$got")" 8
is "silent clients are in nobody's way" "$(tail -n 1 <<<"$got")" "still there"
wait $guest
is "and the guest was not disturbed" $? 3

# ---- guest to host ---------------------------------------------------------------

echo "hello guest" | run_timeout 20 socat -t3 - UNIX-LISTEN:s_7 >heard &
wait_for 5 test -S s_7
run "$EXO" run --vsock s "$probe" call 7
is "guest to host: the answer" "$out" "hello guest"
wait
is "guest to host: what was said" "$(cat heard)" "hello host"
python3 - >heard <<'PY' &
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("s_8")
s.listen()
s.settimeout(20)
c, _ = s.accept()
print(c.recv(100).decode())
c.send(b"in packets")
c.recv(100)
PY
wait_for 5 test -S s_8
run "$EXO" run --vsock s "$probe" call-seq 8
is "guest to host by SEQPACKET" "$out" "in packets"
wait
is "and what was said" "$(cat heard)" "hello host"
run "$EXO" run --vsock s "$probe" call 9
like "nobody listens" "$out" '^connect: Connection (reset by peer|refused)$'
run "$EXO" run --vsock s "$probe" call-seq 7
like "a leftover of another type" "$out" '^connect: '
run "$EXO" run "$probe" call 7
like "no vsock device without --vsock" "$out" '^connect: '

# ---- sockets in the file system ------------------------------------------------------

serve serve 12 exit 3
is "the sockets are for their owner only" "$(stat -c %a s s.seq | tr '\n' ' ')" "700 700 "
run "$EXO" run --vsock s "$probe" exit 0
is "a path in use is refused" "$status" 125
like "with one line" "$err" '^exo: --vsock s: in use by a running guest'
check "and still works for its guest" test -S s
kill -KILL $guest
wait $guest 2>/dev/null
check "a SIGKILL leaves the socket" test -S s
run "$EXO" run --vsock s "$probe" exit 0
is "which the next guest replaces" "$status" 0
rm -f err heard s_7 s_8 up
is "nothing is left behind" "$(ls)" ""

# Two guests, wired by hand on the host: one's server is the other's port 7.
serve serve 12 exit 3
python3 - <<'PY' &
import socket, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind("t_7")
listener.listen()
listener.settimeout(20)
client, _ = listener.accept()
server = socket.socket(socket.AF_UNIX)
server.connect("s")
server.sendall(b"CONNECT 12\n")
while server.recv(1) != b"\n":
    pass
client.sendall(server.recv(server.send(client.recv(100))))
PY
relay=$!
wait_for 5 test -S t_7
run "$EXO" run --vsock t "$probe" call 7
is "two guests talk through a relay" "$out" "hello host"
wait $relay
wait $guest
is "and the server ends with its only client" $? 3
