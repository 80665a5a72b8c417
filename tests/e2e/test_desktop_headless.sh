#!/usr/bin/env bash
# exo-desktop without a screen, with guests played by desktop_rig.py: sound, pictures and films of
# the screen, sizes and scales, several windows of a guest, VMMs that break the protocol.
. "$(dirname "$0")/../lib.sh"
[ -z "${EXO_NESTED:-}" ] || skip_all "no machine is part of this: it runs outside"
"$BUILD/bin/exo-desktop" --version >/dev/null 2>&1 || skip_all "exo-desktop does not run here"
python3 "$(dirname "$0")/desktop_headless.py" "$BUILD" "$TMP"
