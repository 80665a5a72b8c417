#!/usr/bin/env bash
# What a person gets wrong before a desktop: options, settings, manifests, scenarios, displays that
# are not there. Each is said in one line, and nothing is left behind. And a scenario's pictures are
# the same without a display and in a window.
. "$(dirname "$0")/../lib.sh"
"$BUILD/bin/exo-desktop" --version >/dev/null 2>&1 || skip_all "exo-desktop does not run here"

unset EXO_SESSION EXO_SCENARIO DISPLAY WAYLAND_DISPLAY SDL_VIDEODRIVER
export HOME=$TMP XDG_CONFIG_HOME=$TMP/config XDG_RUNTIME_DIR=$TMP/run EXO_FAILURES=$TMP
mkdir -m 700 "$XDG_RUNTIME_DIR"
mkdir -p "$TMP/config/exo" "$TMP/programs"
empty=$TMP/empty.exoscript
: >"$empty"

# refused NAME REGEX COMMAND…: status 125, and one line that says why.
refused() {
	local name=$1 regex=$2 said
	shift 2
	run "$@"
	said=$(grep -v "no session ran; started one" <<<"$err")
	if [ "$status" = 125 ] && [[ $said =~ $regex ]] && [ "$(wc -l <<<"$said")" = 1 ]; then
		ok "$name"
	else
		not_ok "$name" "status $status: $out $err"
	fi
}

for size in 0x0 -5x5 640 640x 640x480x1 1x1 100000x100000 99999999999999999999x1 ""; do
	refused "a size of '$size'" "--size $size: this cannot be meant" \
		"$EXO" desktop --headless --size "$size" --scenario "$empty"
done
for scale in 0 nan 1e9 x; do
	refused "a scale of $scale" "--scale $scale: this cannot be meant" \
		"$EXO" desktop --headless --scale "$scale"
done
refused "an unknown keyboard layout" "--keymap xx: this" "$EXO" desktop --headless --keymap xx
refused "an unknown theme" "--theme pink: this" "$EXO" desktop --headless --theme pink
refused "an unknown action" "no such action: foo" "$EXO" desktop --headless --key foo=a
refused "keys for secure attention that are none" "not be taken away: attention" \
	"$EXO" desktop --headless --key attention=
refused "an unknown option" "nonsense" "$EXO" desktop --nonsense
refused "a WAV file that can't be" "x.wav: No such file" \
	"$EXO" desktop --headless --audio "$TMP/none/x.wav"
refused "no display" "there is no display .*--headless" "$EXO" desktop
refused "a display that does not answer" "does not answer .*--headless" \
	env DISPLAY=:65000 "$EXO" desktop
refused "an unknown video driver" "no window: .*nonsense.*--headless" \
	env SDL_VIDEODRIVER=nonsense "$EXO" desktop

for setting in "[desktop]|theme = pink|theme is dark or light" "[desktop]|keymap = zz|no such keyboard layout" \
	"[desktop]|foo = 1|no such setting" "[keys]|launcher = zork|no key or modifier" \
	"[desktop]|nonsense|desktop.ini:2: this line"; do
	IFS='|' read -r section line words <<<"$setting"
	printf '%s\n%s\n' "$section" "$line" >"$TMP/config/exo/desktop.ini"
	refused "a setting: $line" "$words" "$EXO" desktop --headless --scenario "$empty"
done
rm "$TMP/config/exo/desktop.ini"

# Scenarios: what is no command is said before anything begins.
printf 'sleep 1ms\nfrobnicate x\n' >"$TMP/unknown.exoscript"
refused "an unknown step" "unknown.exoscript:2: no command named frobnicate" \
	"$EXO" desktop --scenario "$TMP/unknown.exoscript"
refused "a scenario that is not there" "none.exoscript: No such file" \
	"$EXO" desktop --scenario "$TMP/none.exoscript"
printf 'expect-picture none.png\n' >"$TMP/golden.exoscript"
run "$EXO" desktop --scenario "$TMP/golden.exoscript"
is "a golden picture that is missing fails" "$status" 1
like "and is named" "$out" "none.png: No such file"
cp "$empty" "$TMP/none.png"
run "$EXO" desktop --scenario "$TMP/golden.exoscript"
is "one that is no picture, too" "$status" 1

# Programs of the launcher that are wrong.
printf '[program]\nfile = x.elf\n[display]\nsize = 0x0\n' >"$TMP/programs/zero.exo"
printf '[program]\nfile = x.elf\n[display]\nsize = 100000x100000\n' >"$TMP/programs/huge.exo"
printf '[program]\n\nflie = x.elf\n' >"$TMP/programs/broken.exo"
head -c 4096 /dev/urandom >"$TMP/programs/noise.exo"
cp /bin/true "$TMP/programs/linux.elf"
cat >"$TMP/programs.exoscript" <<-END
	assert-fails "zero.exo:4:" launch zero
	assert-fails "huge.exo:4:" launch huge
	assert-fails "broken.exo:3:" launch broken
	assert-fails "noise.exo:" launch noise
	assert-fails "no program" launch nothing
	action launcher
	wait-window panel launcher
	type "broken"
	wait-frame panel launcher
	keys enter
	wait-still 100ms
	keys escape
	wait-no-window panel launcher
	wait-no-window guest broken
END
RUN_SECONDS=200 EXO_PATH=$TMP/programs run "$EXO" desktop --scenario "$TMP/programs.exoscript"
is "programs whose manifests are wrong are refused with the line" "$status" 0
[ "$status" = 0 ] || diag "$out$err"

check "no session is left" test -z "$(find "$XDG_RUNTIME_DIR" -mindepth 1 -maxdepth 1 ! -name exo)"
is "nor one that answers" "$("$EXO" ps 2>/dev/null)" ""

# In a window, without a device for sound, and the same pictures.
if ! command -v Xvfb >/dev/null || [ -n "${EXO_NESTED:-}" ]; then
	skip "a window shows what there is without one" "no Xvfb"
else
	mkfifo "$TMP/display"
	Xvfb -displayfd 6 -screen 0 1024x768x24 -nolisten tcp 6>"$TMP/display" 2>/dev/null &
	read -r display <"$TMP/display"
	cat >"$TMP/pictures.exoscript" <<-END
		timeout 30s
		action help
		wait-frame panel help
		expect-picture screen.png tolerance 0
		theme light
		action launcher
		wait-frame panel launcher
		expect-picture light.png tolerance 0
	END
	set -- "$EXO" desktop --size 800x600 --scale 1 --keymap us --theme dark --scenario "$TMP/pictures.exoscript"
	export EXO_PATH=$BUILD/guests RUN_SECONDS=100
	EXO_GOLDEN="write" run "$@"
	is "pictures are made without a display" "$status" 0
	DISPLAY=:$display SDL_RENDER_DRIVER=software SDL_AUDIODRIVER=nonsense run "$@"
	is "a window shows what there is without one, also without sound" "$status" 0
	[ "$status" = 0 ] || diag "$out$err"
fi
tap_done
