#!/usr/bin/env bash
# desktop.sock: lines, fields and clients that are not as they should be; rest.
. "$(dirname "$0")/../lib.sh"
python3 "$(dirname "$0")/desktop_remote.py" "$BUILD" "$TMP"
