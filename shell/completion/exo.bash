# bash completion for exo

_exo_guest_options='-m --memory --cpus --name --disk -e --env --kernel-args --initrd --hugepages
--prefault --rng'

_exo() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W 'run test doctor help version' -- "$cur")
		return
	fi
	case $prev in
	--disk | --json-status | --junit | --initrd | --vsock)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-m | --memory | --cpus | --name | -e | --env | -t | --timeout | --kernel-args | -j | --jobs)
		return
		;;
	esac
	case ${COMP_WORDS[1]} in
	run) words="$_exo_guest_options -t --timeout --json-status --vsock --timings --help" ;;
	test) words="$_exo_guest_options -t --timeout --junit -j --jobs -v --verbose --help" ;;
	doctor) words='--json --help' ;;
	help) words='run test doctor' ;;
	esac
	case $cur in
	-*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
	*)
		if [ "${COMP_WORDS[1]}" = help ]; then
			mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
		;;
	esac
}

complete -o filenames -F _exo exo
