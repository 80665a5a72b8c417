#!/usr/bin/env bash
# What exo says about itself: help, manual pages and completion know the same
# options; the doctor; an installed tree works by itself.
. "$(dirname "$0")/../lib.sh"

commands='run test doctor script check session start add remove ps top stop kill pause resume wait log
wires grant revoke audit connect listen'
cd "$TMP" || exit 1
tap_plan 82

run "$EXO" --version
like "version" "$status $out" '^0 exo [0-9]+\.[0-9]+\.[0-9]+$'
run "$EXO"
like "no command: the help, and a failure" "$status $out" '^125 Usage: exo '
run "$EXO" frobnicate
like "an unknown command" "$status $err" '^125 exo: no command named frobnicate; try exo help'
run "$EXO" help frobnicate
is "help of an unknown command" "$status-$out" "125-"
export EXO_SESSION=/nonexistent # no session is asked or started
for command in $commands; do
	run "$EXO" help $command
	text=$out
	like "exo help $command" "$status $out" "^0 Usage: exo $command( |$)"
	run "$EXO" $command --help
	is "exo $command --help is the same" "$out" "$text"
	# Long options as the help names them.
	options=$(grep -oE -- '--[a-z-]+' <<<"$text" | sort -u)
	missing=
	for option in $options; do
		grep -q -- "Fl ${option#-}\|, ${option#-}\|Fl . , ${option#-}" "$TOP/docs/man/exo-$command.1" ||
			missing+=" man:$option"
		for file in exo.bash _exo; do
			grep -q -- "$option" "$TOP/shell/completion/$file" || missing+=" $file:$option"
		done
		grep -q -- "-l ${option#--}" "$TOP/shell/completion/exo.fish" || missing+=" fish:$option"
		# The parser knows it: it complains of a value, or not at all, but not of the option.
		timeout 5 "$EXO" $command "$option" 2>&1 </dev/null | grep -qE "unknown option|takes no arguments" &&
			missing+=" parser:$option"
	done
	is "manual, completion and parser know the options of $command" "$missing" ""
done

if command -v man >/dev/null && [ -z "${EXO_NESTED:-}" ]; then
	warnings=$(for page in "$TOP"/docs/man/*.1; do
		LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null
	done)
	is "manual pages format without warnings" "$warnings" ""
else
	skip "manual pages format without warnings" "no man here"
fi
COMP=$(bash -c ". '$TOP/shell/completion/exo.bash'; COMP_WORDS=(exo run --js); COMP_CWORD=2; _exo
	echo \"\${COMPREPLY[@]}\"; COMP_WORDS=(exo d); COMP_CWORD=1; _exo; echo \"\${COMPREPLY[@]}\"
	exo() { echo '{\"guests\":[{\"name\":\"web\",\"provides\":[\"www\",\"log\"]}]}'; }
	COMP_WORDS=(exo stop w); COMP_CWORD=2; _exo; echo \"\${COMPREPLY[@]}\"
	COMP_WORDS=(exo connect ''); COMP_CWORD=2; _exo; echo \"\${COMPREPLY[@]}\"")
is "bash completion, names of guests and services too" "$COMP" \
	"$(printf -- '--json-status\ndoctor desktop\nweb\nwww log')"

run "$EXO" doctor --json
python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(d["works"], len(d["checks"]) > 8)' \
	"$TMP/.out" >json 2>&1
case $(kvm_kind) in
none | denied) is "doctor --json: does not work here" "$status $(cat json)" "1 False True" ;;
*) is "doctor --json: works here" "$status $(cat json)" "0 True True" ;;
esac
run "$EXO" doctor
is "doctor names a way to mend for all that is not good" "$(grep -cE '^(limited|bad) ' <<<"$out")" \
	"$(grep -cE '^ +-> ' <<<"$out")"
run env EXO_VMM=/nonexistent "$EXO" doctor
like "doctor without exo-vmm" "$status $out" 'bad +exo-vmm +not found'
run "$EXO" doctor now
is "doctor with an operand" "$status" 125
run "$EXO" doctor --frobnicate
is "doctor with an unknown option" "$status" 125

if [ -n "${EXO_NESTED:-}" ]; then
	skip "make install" "in the nested machine"
	skip "what was installed works" "in the nested machine"
	exit
fi
check "make install" make -s -o all -C "$TOP" BUILD="$BUILD" DESTDIR="$TMP/root" PREFIX=/usr install
case $(kvm_kind) in
none | denied) skip "what was installed works" "no usable /dev/kvm" ;;
*)
	echo 'int main(void) { return 23; }' >prog.c
	PATH=$TMP/root/usr/bin:$PATH run sh -c 'exo-cc prog.c -o prog.elf && exo run hello && exo run prog.elf'
	is "what was installed works" "$status $out" "23 hello from its own machine"
	;;
esac
