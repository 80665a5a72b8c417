#!/usr/bin/env bash
# exo-fs by raw 9P: what a hostile guest tries (H-28), as whoever we are and, for
# root, as an ordinary user too.
. "$(dirname "$0")/../lib.sh"

# Where others may read it: a build folder may be private.
chmod 755 "$TMP"
mkdir -p "$TMP/bin" "$TMP/own"
cp "$BUILD/bin/exo-fs" "$TMP/bin/"
cp "$TOP/tests/e2e/p9client.py" "$TOP/tests/e2e/exo_fs_hostile.py" \
	"$TOP/tests/e2e/exo_fs_file.py" "$TMP/"
probe=$BUILD/tools/fs-probe
export BUILD=$TMP

cd "$TMP/own" || exit 1
take own "$TMP/exo_fs_hostile.py"
take "one file" "$TMP/exo_fs_file.py"
if [ "$(id -u)" = 0 ] && setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null; then
	mkdir "$TMP/other" && chown 65534:65534 "$TMP/other" && cd "$TMP/other" || exit 1
	export RACE_SECONDS=0.5
	take "user, one file" setpriv --reuid 65534 --regid 65534 --clear-groups "$TMP/exo_fs_file.py"
	take user setpriv --reuid 65534 --regid 65534 --clear-groups "$TMP/exo_fs_hostile.py"
	# Without namespaces there is no root directory of its own: landlock has to do.
	mkdir "$TMP/locked" && chown 65534:65534 "$TMP/locked" && cd "$TMP/locked" || exit 1
	if "$TOP/tests/e2e/no_userns.py" 65534 true 2>/dev/null; then
		take "landlock" "$TOP/tests/e2e/no_userns.py" 65534 "$TMP/exo_fs_hostile.py"
	else
		skip "confined by landlock" "nobody can make a user namespace here: so were the others"
	fi
else
	skip "as an ordinary user" "we are not root"
	skip "confined by landlock" "we are not root"
fi

cd "$TMP" || exit 1
take filter "$probe"
run "$TMP/bin/exo-fs" --help </dev/null
is "by hand it does nothing" "$status" 1
like "and says so" "$err" '^exo-fs: is started by exo'
tap_done
