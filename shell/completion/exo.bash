# bash completion for exo

_exo_commands='run test script check doctor desktop session start add remove ps top stop kill pause resume
wait log wires grant revoke audit connect listen help version'
_exo_guest_options='-m --memory --cpus --name --disk -e --env --kernel-args --initrd --hugepages
--prefault --rng'

# Names of the session's guests, or of what they provide.
_exo_guests() {
	exo ps --json 2>/dev/null | grep -o '"name":"[^"]*"' | cut -d '"' -f 4
}

_exo_services() {
	exo ps --json 2>/dev/null | grep -o '"provides":\[[^]]*\]' | cut -d : -f 2 | tr -d '[]"' | tr , '\n'
}

_exo_options() {
	case $1 in
	run) echo "$_exo_guest_options -t --timeout --json-status --vsock --timings --manifest --mount
		--grant --display --private" ;;
	test) echo "$_exo_guest_options -t --timeout --junit -j --jobs -v --verbose" ;;
	start) echo "$_exo_guest_options -w --wait --manifest --mount --grant --display --label --json" ;;
	desktop) echo '--size --fullscreen --scale --headless --session --keymap --theme --key --audio --demo --scenario' ;;
	script) echo '-D --define -t --timeout' ;;
	check | doctor | ps | revoke) echo '--json' ;;
	top) echo '-1 --once --json' ;;
	stop) echo '-t --timeout' ;;
	kill) echo '-s --signal' ;;
	wait) echo '-f --for -t --timeout --json' ;;
	log) echo '-f --follow -n --lines' ;;
	wires) echo '--json --dot --svg --who-can-reach --dry-run' ;;
	grant) echo '--delegate --lease --connections --buffer --rate --port --json' ;;
	audit) echo '-f --follow --since --guest --service --json' ;;
	connect) echo '--seqpacket' ;;
	listen) echo '--seqpacket --exec' ;;
	esac
	echo '--help'
}

# What may stand where no option does.
_exo_operands() {
	case $1 in
	help) echo "$_exo_commands" ;;
	remove | stop | kill | pause | resume | wait | log) _exo_guests ;;
	connect | listen) _exo_services ;;
	grant | revoke) _exo_guests && _exo_services ;;
	esac
}

_exo() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$_exo_commands" -- "$cur")
		return
	fi
	case $prev in
	--disk | --json-status | --junit | --initrd | --vsock | --manifest | --mount | --svg | --dry-run | \
		--scenario | --session | --audio)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--guest)
		mapfile -t COMPREPLY < <(compgen -W "$(_exo_guests)" -- "$cur")
		return
		;;
	--grant | --service | --who-can-reach)
		mapfile -t COMPREPLY < <(compgen -W "$(_exo_services)" -- "$cur")
		return
		;;
	--theme)
		mapfile -t COMPREPLY < <(compgen -W 'light dark' -- "$cur")
		return
		;;
	--for)
		mapfile -t COMPREPLY < <(compgen -W 'ready ended' -- "$cur")
		return
		;;
	-m | --memory | --cpus | --name | -e | --env | -t | --timeout | --kernel-args | -j | --jobs | --label | \
		-s | --signal | --lines | --lease | --connections | --buffer | --rate | --port | --since | \
		-D | --define | --size | --scale | --keymap | --key)
		return
		;;
	esac
	case $cur:$command in
	-*) mapfile -t COMPREPLY < <(compgen -W "$(_exo_options "$command")" -- "$cur") ;;
	*:run | *:test | *:script | *:check | *:start | *:add)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	*) mapfile -t COMPREPLY < <(compgen -W "$(_exo_operands "$command")" -- "$cur") ;;
	esac
}

complete -o filenames -F _exo exo
