#!/usr/bin/env bash
# A thousand connections at once through one session: all open, all used, all closed.
. "$(dirname "$0")/../lib.sh"
need_kvm
case $(kvm_kind) in
nested) python3 "$(dirname "$0")/channels_crowd.py" "$BUILD" "$TMP" "$BUILD/guests/test" 4 25 ;;
*) python3 "$(dirname "$0")/channels_crowd.py" "$BUILD" "$TMP" "$BUILD/guests/test" ;;
esac
