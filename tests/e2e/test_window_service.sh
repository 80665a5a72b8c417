#!/usr/bin/env bash
# What a guest's windows and the desktop say to each other beside pictures (exo/desktop.h), in a
# session: titles, settings, focus, the clipboard, files that the person chooses.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/window_service.py" "$BUILD" "$TMP"
