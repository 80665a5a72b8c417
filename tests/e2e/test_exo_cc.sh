#!/bin/bash
# exo-cc: what it builds, what it refuses and in which words, and that an
# installed copy works from anywhere.
. "$(dirname "$0")/../lib.sh"
[ "$(kvm_kind)" != nested ] || skip_all "what a compiler does depends on no kind of KVM"

CCX=$BUILD/bin/exo-cc
cd "$TMP" || exit 1

cat >hello.c <<'END'
#include <math.h>
#include <stdio.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <exo.h>
int twice(int);
int sup_call = 3; /* the SDK's own names are free for programs */
static _Thread_local int local = 4;
int main(int argc, char **argv)
{
	printf("%d %.2f %d\n", twice(argc), sqrt(argc + 1.0), local + sup_call);
	return 5;
}
END
echo 'int twice(int n) { return 2 * n; }' >twice.c
echo 'int main(void) { return nothing; }' >wrong.c
echo 'int unknown(void); int main(void) { return unknown(); }' >unresolved.c

# segments FILE: the rights of what is loaded
segments() {
	readelf -lW "$1" | sed -n 's/^ *LOAD .* \(R[W ][E ]\) 0x[0-9a-f]*$/\1./p' | tr -d ' \n'
}

for compiler in gcc clang; do
	if ! command -v $compiler >/dev/null; then
		skip "$compiler" "not installed"
		continue
	fi
	export CC=$compiler
	check "$compiler: two sources, one command" \
		"$CCX" -Wall -Wextra -Wno-unused-parameter -Werror hello.c twice.c -o one.elf -lm
	check "$compiler: compile" "$CCX" -O3 -c hello.c -o hello.o
	check "$compiler: compile without optimisation" "$CCX" -O0 -ffunction-sections -c twice.c
	check "$compiler: link" "$CCX" hello.o twice.o -lm -o two.elf
	check "$compiler: link-time optimisation, stripped" \
		"$CCX" -flto -s hello.c twice.c -o three.elf
	for elf in one two three; do
		like "$compiler: $elf.elf: writable or executable" "$(segments $elf.elf)" \
			'^((R|RW|RE)\.){5}$'
	done
	if [ "$(kvm_kind)" != none ] && [ "$(kvm_kind)" != denied ]; then
		strip -o four.elf one.elf
		for elf in one two three four; do
			run "$EXO" run $elf.elf x
			is "$compiler: $elf.elf runs" "$out $status" "4 1.73 7 5"
		done
	else
		skip "$compiler: they run" "no KVM"
	fi
done
unset CC

check "object files keep their names" "$CCX" -MMD -MF hello.d -c hello.c
like "dependencies" "$(cat hello.d)" '^hello.o:'
like "preprocessed output" "$(echo __exoshell__ | "$CCX" -E -)" '^1$'

echo 'char big[200 << 20]; int main(void) { return big[1]; }' >big.c
check "a large array" "$CCX" big.c -o big.elf
check "a large stack" "$CCX" --stack=64M hello.c twice.c -o stack.elf
cmp -s stack.elf one.elf
is "--stack changes something" $? 1

# refused NAME WANTED COMMAND…: exit status 1, and one line that says why
refused() {
	local name=$1 wanted=$2
	shift 2
	run "$@"
	is "$name: exit status" "$status" 1
	is "$name: in one line" "$err" "$wanted"
}
refused "no input" "exo-cc: no input files (exo-cc --help says more)" "$CCX"
refused "missing file" "exo-cc: nowhere.c: no such file" "$CCX" nowhere.c
refused "missing argument" "exo-cc: -o: its argument is missing" "$CCX" hello.c -o
refused "shared" "exo-cc: -shared: a guest is one static executable" "$CCX" -shared hello.c
refused "C++" "exo-cc: x.cc: C++ is not supported" "$CCX" x.cc
refused "stack size" "exo-cc: --stack=lots: not a size such as 256K or 8M" \
	"$CCX" --stack=lots hello.c
refused "tiny stack" "exo-cc: --stack=5: not between 4K and 512M" "$CCX" --stack=5 hello.c
refused "compiler" "exo-cc: nocc: no such compiler" env CC=nocc "$CCX" hello.c
refused "SDK" "exo-cc: no SDK in $TMP/no (set EXO_SYSROOT, or run make)" \
	env EXO_SYSROOT="$TMP/no" "$CCX" hello.c
refused "musl" "exo-cc: no musl: install musl-dev" env EXO_MUSL_INC="$TMP/no" "$CCX" hello.c
echo 'char huge[1100 << 20]; int main(void) { return huge[1]; }' >huge.c
refused "larger than 1 GiB" \
	"exo-mkpt: huge.elf: a segment does not fit between 2 MiB and 1 GiB" "$CCX" huge.c -o huge.elf
check "nothing is left of it" test ! -e huge.elf
run "$CCX" wrong.c -o wrong.elf
like "compiler's own message" "$err" "wrong.c:1:.*nothing"
check "nothing is left of that either" test ! -e wrong.elf
run "$CCX" unresolved.c -o unresolved.elf
like "linker's own message" "$err" "undefined reference to .unknown'"

run "$CCX" --version
like "--version" "$out" '^exo-cc [0-9]'
run "$CCX" --help
like "--help" "$out" '^usage: exo-cc '

mkdir -p "$TMP/place one/bin" "$TMP/place one/lib"
cp "$CCX" "$TMP/place one/bin/"
cp -R "$BUILD/lib/exo" "$TMP/place one/lib/"
ln -s "$TMP/place one/bin/exo-cc" "$TMP/link"
check "works from another place, through a link" ./link hello.c twice.c -o moved.elf

tap_done
