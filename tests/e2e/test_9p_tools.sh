#!/usr/bin/env bash
# diod's tools as clients of exo-fs, over TCP on this machine.
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin
command -v diodls >/dev/null || skip_all "diod is not installed"

mkdir -p "$TMP/shared/sub"
cd "$TMP" || exit 1
echo hello >shared/hello
head -c 3000000 /dev/urandom >shared/big
for i in {1..300}; do : >"shared/sub/file-number-$i"; done
mkfifo shared/fifo
ln -s /etc/passwd shared/outside
"$TOP/tests/e2e/p9serve.py" shared >port &
wait_for 10 test -s port
at=(-s "127.0.0.1:$(<port)" -a /)

run diodls "${at[@]}"
is "diodls" "$(sort <<<"$out" | tr '\n' ' ')$err" "big fifo hello outside sub "
run diodls "${at[@]}" -l
like "diodls -l: a file" "$out" '^-rw-r--r--.* 6 .* hello$'
like "diodls -l: a folder" "$out" '^drwxr-xr-x.* sub$'
run diodls "${at[@]}" sub
is "a folder of 300" "$(wc -l <<<"$out")" 300
for size in 4096 65536; do
	run_timeout 20 diodcat "${at[@]}" -m $size big >copy
	check "diodcat, messages of $size bytes" cmp copy shared/big
done
run diodcat "${at[@]}" ../hello
like "diodcat: no .." "$err" 'Invalid argument'
run diodcat "${at[@]}" outside
like "diodcat: no links" "$err" 'Too many levels'
run diodcat "${at[@]}" fifo
like "diodcat: no FIFOs" "$err" 'Permission denied'
run diodls -s "${at[1]}" -a /etc
like "another root" "$err" "^diodls: .*: No such file"
tap_done
