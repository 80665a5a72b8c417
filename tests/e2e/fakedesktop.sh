#!/usr/bin/env bash
# A stand-in for exo-desktop: writes down how it was started, in $FAKE, and ends as it is told.
echo "exo-desktop $*" >"$FAKE/args"
echo "$EXO_SESSION" >"$FAKE/session"
"$EXO" ps >/dev/null 2>&1
echo $? >"$FAKE/ps"
count=$(cat "$FAKE/count" 2>/dev/null || echo 0)
echo $((count + 1)) >"$FAKE/count"
if [ "${FAKE_ASK:-}" = shutdown ]; then
	python3 -c 'import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["EXO_SESSION"] + "/control")
s.send(b"{\"id\":1,\"op\":\"shutdown\"}\n")
s.recv(100)'
fi
if [ "$count" -lt "${FAKE_CRASHES:-0}" ]; then
	ulimit -c 0
	kill "-$FAKE_SIGNAL" $$
fi
if [ -n "${FAKE_WAIT:-}" ]; then
	trap 'exit 0' TERM
	touch "$FAKE/waits"
	while :; do sleep 0.01; done
fi
exit "${FAKE_STATUS:-0}"
