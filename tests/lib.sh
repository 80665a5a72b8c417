# Helpers for test scripts that print TAP (bash). A script starts with
#
#	. "$(dirname "$0")/../lib.sh"
#	tap_plan 3
#
# and is called as `script BUILD`. It gets $BUILD (absolute), $TOP (the source
# tree), $EXO and $TMP (a private folder, removed at the end; on tmpfs in the
# nested machine). Test points are numbered here. A script that ends before its
# plan is fulfilled fails: tests/run counts the missing points.

set -u
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$(cd "${1:-$TOP/build}" 2>/dev/null && pwd) || {
	echo "Bail out! no build folder ${1:-$TOP/build}"
	exit 1
}
EXO=$BUILD/bin/exo
export TOP BUILD EXO

TMP=$(mktemp -d "${TMPDIR:-/tmp}/exo-test.XXXXXX") || exit 1
tap_count=0
tap_failed=0
tap_planned=0

# Called at the end, however it comes: kills what the script left running in
# the background, removes $TMP, and turns failures into the exit status.
tap_finish() {
	local status=$? pids
	trap - EXIT
	pids=$(jobs -p)
	[ -z "$pids" ] || kill $pids 2>/dev/null
	rm -rf "$TMP"
	[ "$tap_failed" = 0 ] || exit 1
	[ "$tap_planned" != 0 ] || exit "$status"
	if [ "$tap_count" != "$tap_planned" ]; then
		echo "# planned $tap_planned test points, ran $tap_count"
		exit 1
	fi
	exit 0
}
trap tap_finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# tap_plan N: how many test points follow. Either first, or tap_done last.
tap_plan() {
	tap_planned=$1
	echo "1..$1"
}

# The plan at the end, for scripts that count as they go.
tap_done() {
	tap_planned=$tap_count
	echo "1..$tap_count"
}

# Each line of the arguments (or of stdin when there are none) as a comment.
# Plain bash here and below: starting tools is slow in the nested machine.
diag() {
	local line text
	if [ $# -gt 0 ]; then
		text=$*
	else
		IFS= read -r -d '' text
		text=${text%$'\n'}
	fi
	while IFS= read -r line; do
		echo "# $line"
	done <<<"$text"
}

ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

# not_ok NAME [WHY]
not_ok() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	[ -z "${2:-}" ] || diag "$2"
}

# skip NAME REASON
skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

# skip_all REASON: the whole script has nothing to do here.
skip_all() {
	echo "1..0 # SKIP $1"
	tap_planned=0
	exit 0
}

# is NAME GOT WANTED: the two strings are equal.
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1"
		diag "got:    $2"
		diag "wanted: $3"
	fi
}

# like NAME GOT REGEX: a line of it matches (extended).
like() {
	local line
	while IFS= read -r line; do
		if [[ $line =~ $3 ]]; then
			ok "$1"
			return
		fi
	done <<<"$2"
	not_ok "$1"
	diag "got:        $2"
	diag "wanted: /$3/"
}

# check NAME COMMAND…: the command succeeds; its output is shown when not.
check() {
	local name=$1 text status
	shift
	text=$("$@" 2>&1 </dev/null)
	status=$?
	if [ "$status" = 0 ]; then
		ok "$name"
	else
		not_ok "$name" "exit status $status: $*"
		[ -z "$text" ] || diag "$(tail -n 40 <<<"$text")"
	fi
}

# run_timeout SECONDS COMMAND…: 124 when it takes longer; then it is killed,
# children in its process group included.
run_timeout() {
	local seconds=$1
	shift
	timeout --kill-after=2 "$seconds" "$@"
}

# run COMMAND…: sets $out, $err, $status. Within $RUN_SECONDS (default 20, for
# machines that emulate); stdin is the caller's.
run() {
	run_timeout "${RUN_SECONDS:-20}" "$@" >"$TMP/.out" 2>"$TMP/.err"
	status=$?
	{ out=$(<"$TMP/.out") && err=$(<"$TMP/.err"); } 2>/dev/null # NULs are dropped
}

# take NAME COMMAND…: each point of the guest's TAP becomes one of ours.
take() {
	local name=$1 line number=0 plan=
	shift
	run "$@"
	while IFS= read -r line; do
		case $line in
		"ok "*) number=$((number + 1)) && ok "$name: ${line#ok * - }" ;;
		"not ok "*) number=$((number + 1)) && not_ok "$name: ${line#not ok * - }" ;;
		1..*) plan=${line#1..} ;;
		"#"*) echo "$line" ;;
		esac
	done <<<"$out"
	is "$name: all points, exit status" "$number $status" "$plan 0"
	[ -z "$err" ] || diag "$err"
}

# wait_for SECONDS COMMAND…: tries again every 20 ms until it succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# Which kind of KVM this machine has: none, denied, software (shadow paging,
# no svm/vmx flag), hardware, or nested (exo-nested sets EXO_NESTED).
kvm_kind() {
	if [ ! -c /dev/kvm ]; then
		echo none
	elif ! (exec 9</dev/kvm) 2>/dev/null || [ ! -w /dev/kvm ]; then
		echo denied
	elif [ -n "${EXO_NESTED:-}" ]; then
		echo nested
	elif grep -qwE '^flags.*(svm|vmx)' /proc/cpuinfo; then
		echo hardware
	else
		echo software
	fi
}

# need_kvm: skips the whole script where guests cannot run.
need_kvm() {
	case $(kvm_kind) in
	none) skip_all "no /dev/kvm" ;;
	denied) skip_all "/dev/kvm cannot be opened" ;;
	esac
}
