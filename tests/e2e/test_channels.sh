#!/usr/bin/env bash
# Guests that talk with each other, pass capabilities on, share memory and end, in a
# session.
. "$(dirname "$0")/../lib.sh"
need_kvm
python3 "$(dirname "$0")/channels_guests.py" "$BUILD" "$TMP" "$BUILD/guests/test"
