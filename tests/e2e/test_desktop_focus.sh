#!/usr/bin/env bash
# Who gets the keyboard, with real guests that print what their devices report: keys and buttons
# across focus changes, panels of the shell, deaths and restarts; windows that appear meanwhile.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/desktop_focus.py" "$BUILD" "$TMP"
