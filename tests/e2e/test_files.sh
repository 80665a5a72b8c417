#!/usr/bin/env bash
# Files of mounts, from inside of guests: folders of the host, read-only, in unions,
# and behind a server that dies (H-28's other half: test_exo_fs.sh).
. "$(dirname "$0")/../lib.sh"
need_kvm

here=$TOP/tests/e2e
guests=$BUILD/guests/test
cd "$TMP" || exit 1

make_plain() {
	rm -rf plain
	mkdir -p plain/sub/deep
	echo "hello from host" >plain/hello
	echo deep >plain/sub/deep/file
	ln -s sub/deep plain/relative
	ln -s /mnt/hello plain/absolute
	ln -s loop plain/loop
	ln -s /etc/passwd plain/outside
	ln -s target plain/dangling
	mkfifo plain/fifo
}

make_plain
chmod -R g=,o= plain
take plain "$here/files.py" /mnt=plain -- "$guests/files.elf" plain
take read-only "$here/files.py" /mnt=plain,ro -- "$guests/files.elf" ro
is "nothing was left in the folder" "$(ls plain | tr '\n' ' ')" \
	"absolute dangling fifo hello loop outside relative sub "
take dead "$here/files.py" --kill-after "now the server dies" /mnt=plain -- "$guests/files.elf" dead

mkdir -p top/dir middle/dir low/dir middle/only-dir/sub low/file
for file in both top; do echo top >top/$file; done
for file in both lower gone; do echo middle >middle/$file; done
chmod 640 middle/lower
for file in lower gone; do echo low >low/$file; done
echo bottom >low/bottom
touch top/file low/file/x top/dir/a middle/dir/a middle/dir/b low/dir/c middle/only-dir/sub/other
echo old >middle/only-dir/sub/deep
ln -s lower middle/link
before=$(find middle low -type f -exec md5sum {} + | sort)
layers=(/mnt=top /mnt=middle,ro /mnt=low)
take union "$here/files.py" "${layers[@]}" -- "$guests/files-union.elf" first
take "union, again" "$here/files.py" "${layers[@]}" -- "$guests/files-union.elf" second
is "lower layers are as they were" "$(find middle low -type f -exec md5sum {} + | sort)" "$before"

"$here/p9liar.py" liar_564 >lies &
wait_for 10 test -s lies
take "lying servers" "$EXO" run --vsock liar -e EXO_MOUNTS=/mnt=564 "$guests/files.elf" liars 60

run "$EXO" run -e "EXO_MOUNTS=/mnt=564;nonsense" "$guests/files.elf" dead
like "a setting that makes no sense is told" "$err$out" 'EXO_MOUNTS: not'
tap_done
