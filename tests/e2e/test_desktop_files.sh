#!/usr/bin/env bash
# The clipboard and files between a person and real guests: once and for who was meant; one file,
# with the rights that were given, and nothing beside it.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/desktop_files.py" "$BUILD" "$TMP"
