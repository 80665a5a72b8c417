#!/usr/bin/env bash
# exo-desktop's window on an X server without a screen: what a person does there, by xdotool;
# what is to be seen, read from the server's own picture. The session and the guests are
# played by desktop_rig.py.
. "$(dirname "$0")/../lib.sh"
[ -z "${EXO_NESTED:-}" ] || skip_all "no machine is part of this: it runs outside"
"$BUILD/bin/exo-desktop" --version >/dev/null 2>&1 || skip_all "exo-desktop does not run here"
command -v Xvfb >/dev/null && command -v xdotool >/dev/null || skip_all "no Xvfb or xdotool"
python3 "$(dirname "$0")/desktop_x11.py" "$BUILD" "$TMP"
