#!/usr/bin/env bash
# The desktop's side of a session: displays of guests that were there and that come, one
# desktop at a time, its end and the session's; files that it offers; the service control.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/desktop_session.py" "$BUILD" "$TMP" "$BUILD/guests"
