/*
 * exo-desktop: options, the person's settings, begin and end. `exo desktop` is its one caller.
 *
 * Settings are in $XDG_CONFIG_HOME/exo/desktop.ini (else ~/.config/…): [desktop] theme, keymap,
 * scale; [keys] ACTION = CHORD, with the words of desktop_action_named; nothing: no keys.
 * Options win.
 *
 * Exit status: 0, or that of the scenario; 125 if it could not be started.
 */
#include "desktop.h"
#include "help.h"
#include "output.h"
#include "programs.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_CANNOT 125
#define DEMO_DISK_BYTES (64 << 20)

struct options {
	struct desktop_setup setup;
	char *session;
	char **scenario; /* NULL-terminated */
	unsigned nscenario;
	bool headless, demo;
	bool wrong;      /* a setting is */
	char keymap[32]; /* of the settings */
};

static const char usage[] =
	"usage: exo desktop [options]\n"
	"The windows of a session's guests, on this screen.\n"
	"\n"
	"  --headless           no screen: frames are made in memory\n"
	"  --size WxH           of the window, or of the screen that is not there\n"
	"  --scale N            1, 1.5, 2 …; default: the display's\n"
	"  --fullscreen         all of the display, and all of its keyboard\n"
	"  --session DIR        of the session; default: $EXO_SESSION, $XDG_RUNTIME_DIR/exo\n"
	"  --scenario FILE…     runs `exo script` with these files, and ends as it does\n"
	"  --demo               starts some programs, and shows what there is\n"
	"  --keymap LAYOUT      us, gb, de, fr, es, …\n"
	"  --theme dark|light\n"
	"  --key ACTION=CHORD   as launcher=super+space, graph= (none); Super+H lists them\n"
	"  --audio FILE         what is played also goes to this WAV file\n"
	"  --help, --version\n"
	"\n"
	"Super+H shows the keys, Ctrl+Alt+Delete is the shell's whatever a guest does.\n";

static int complain(const char *what, const char *value)
{
	fprintf(stderr, "exo desktop: %s%s%s\n", what, value ? ": " : "", value ? value : "");
	return EXIT_CANNOT;
}

/* ---- values ----------------------------------------------------------------------- */

static bool parse_size(const char *text, int *width, int *height)
{
	char end;

	return sscanf(text, "%dx%d%c", width, height, &end) == 2 && *width >= 64 && *height >= 64 &&
	       *width <= 16384 && *height <= 16384;
}

static bool parse_scale(const char *text, uint32_t *scale)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end || !(n >= 0.5) || n > 8)
		return false;
	*scale = (uint32_t)(n * EXO_DPY_SCALE_ONE + 0.5);
	return true;
}

static bool parse_theme(const char *text, bool *dark)
{
	*dark = strcmp(text, "light") != 0;
	return !*dark || !strcmp(text, "dark");
}

/* Nothing as chord: the action has no keys. */
static bool parse_key(struct options *o, const char *action, const char *chord, const char **why)
{
	enum hid_action which = desktop_action_named(action);

	*why = "there is no such action";
	if (!which)
		return false;
	if (*chord)
		return hid_parse_chord(chord, &o->setup.chord[which], why);
	*why = "the secure attention chord can be changed, and not be taken away";
	o->setup.chord[which] = (struct hid_chord){0, DESKTOP_NO_KEY};
	return which != HID_ACTION_ATTENTION;
}

/* ---- settings ------------------------------------------------------------------------ */

static int take_setting(void *opaque, const char *section, const char *name, const char *value)
{
	struct options *o = opaque;
	const char *why = "there is no such setting";
	bool good = false;

	if (!strcmp(section, "desktop") && !strcmp(name, "theme")) {
		good = parse_theme(value, &o->setup.dark);
		why = "theme is dark or light";
	} else if (!strcmp(section, "desktop") && !strcmp(name, "scale")) {
		good = parse_scale(value, &o->setup.scale);
		why = "scale is 0.5 … 8";
	} else if (!strcmp(section, "desktop") && !strcmp(name, "keymap")) {
		good = keymap_find(value) != NULL;
		why = "there is no such keyboard layout";
		snprintf(o->keymap, sizeof(o->keymap), "%s", value);
		o->setup.keymap = o->keymap;
	} else if (!strcmp(section, "keys")) {
		good = parse_key(o, name, value, &why);
	}
	if (!good)
		fprintf(stderr, "exo desktop: desktop.ini: [%s] %s = %s: %s\n", section, name,
			value, why);
	o->wrong = o->wrong || !good;
	return 1;
}

static int read_settings(struct options *o)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char path[4096];
	int err;

	if (config && *config)
		snprintf(path, sizeof(path), "%s/exo/desktop.ini", config);
	else
		snprintf(path, sizeof(path), "%s/.config/exo/desktop.ini", home ? home : "");
	if (access(path, R_OK) != 0)
		return 0;
	err = ini_parse(path, take_setting, o);
	if (err > 0)
		fprintf(stderr, "exo desktop: %s:%d: this line is not understood\n", path, err);
	return err || o->wrong ? EXIT_CANNOT : 0;
}

/* ---- options -------------------------------------------------------------------------- */

enum option_id {
	OPTION_HEADLESS = 256,
	OPTION_SIZE,
	OPTION_SCALE,
	OPTION_FULLSCREEN,
	OPTION_SESSION,
	OPTION_SCENARIO,
	OPTION_DEMO,
	OPTION_KEYMAP,
	OPTION_THEME,
	OPTION_AUDIO,
	OPTION_KEY,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{"headless", no_argument, NULL, OPTION_HEADLESS},
	{"size", required_argument, NULL, OPTION_SIZE},
	{"scale", required_argument, NULL, OPTION_SCALE},
	{"fullscreen", no_argument, NULL, OPTION_FULLSCREEN},
	{"session", required_argument, NULL, OPTION_SESSION},
	{"scenario", required_argument, NULL, OPTION_SCENARIO},
	{"demo", no_argument, NULL, OPTION_DEMO},
	{"keymap", required_argument, NULL, OPTION_KEYMAP},
	{"theme", required_argument, NULL, OPTION_THEME},
	{"audio", required_argument, NULL, OPTION_AUDIO},
	{"key", required_argument, NULL, OPTION_KEY},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

static int take_key(struct options *o, char *value)
{
	char *chord = strchr(value, '=');
	const char *why = "ACTION=CHORD is meant, as launcher=super+space";

	if (chord)
		*chord++ = 0;
	if (chord && parse_key(o, value, chord, &why))
		return -1;
	return complain(why, value);
}

static int complain_option(int option, const char *value)
{
	const struct option *o = long_options;

	while (o->name && o->val != option)
		o++;
	fprintf(stderr, "exo desktop: --%s %s: this cannot be meant; try --help\n", o->name, value);
	return EXIT_CANNOT;
}

/* -1: it goes on; else the exit status. */
static int take_option(struct options *o, int option, char *value)
{
	bool good = true;

	switch (option) {
	case OPTION_HEADLESS:
		o->headless = true;
		break;
	case OPTION_SIZE:
		good = parse_size(value, &o->setup.width, &o->setup.height);
		break;
	case OPTION_SCALE:
		good = parse_scale(value, &o->setup.scale);
		break;
	case OPTION_FULLSCREEN:
		o->setup.fullscreen = true;
		break;
	case OPTION_SESSION:
		o->session = value;
		break;
	case OPTION_SCENARIO:
		o->scenario[o->nscenario++] = value;
		break;
	case OPTION_DEMO:
		o->demo = true;
		break;
	case OPTION_KEYMAP:
		good = keymap_find(value) != NULL;
		o->setup.keymap = value;
		break;
	case OPTION_THEME:
		good = parse_theme(value, &o->setup.dark);
		break;
	case OPTION_AUDIO:
		o->setup.wav = value;
		break;
	case OPTION_KEY:
		return take_key(o, value);
	case OPTION_HELP:
		return fputs(usage, stdout) < 0 ? EXIT_CANNOT : 0;
	case OPTION_VERSION:
		return puts("exo " HELP_VERSION) < 0 ? EXIT_CANNOT : 0;
	default:
		return EXIT_CANNOT; /* getopt said why */
	}
	return good ? -1 : complain_option(option, value);
}

static int read_options(struct options *o, int argc, char **argv)
{
	int option, status;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		status = take_option(o, option == 'h' ? OPTION_HELP : option, optarg);
		if (status >= 0)
			return status;
	}
	if (optind < argc && !o->nscenario)
		return complain("nothing belongs here but options; try --help", argv[optind]);
	while (optind < argc)
		o->scenario[o->nscenario++] = argv[optind++];
	return -1;
}

/* Where it is shown: a display, or with a scenario nowhere. */
static int choose_output(struct options *o)
{
	const char *const names[] = {"DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"};
	bool display = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		display = display || (getenv(names[i]) && *getenv(names[i]));
	if (!display && (o->demo || o->nscenario))
		o->headless = true;
	if (!display && !o->headless)
		return complain("there is no display (DISPLAY, WAYLAND_DISPLAY); "
				"without one: --headless",
				NULL);
	o->setup.output = o->headless ? &output_headless : &output_sdl;
	return -1;
}

/* As the session and its other clients find it (docs/control.md). */
static bool name_session(const struct options *o, struct desktop *d)
{
	const char *named = o->session ? o->session : getenv("EXO_SESSION");
	const char *run = getenv("XDG_RUNTIME_DIR");
	size_t room = sizeof(d->directory);
	int n;

	if (named && *named)
		n = snprintf(d->directory, room, "%s", named);
	else if (run && *run)
		n = snprintf(d->directory, room, "%s/exo", run);
	else
		n = snprintf(d->directory, room, "/tmp/exo-%u", (unsigned)getuid());
	return n > 0 && (size_t)n < room;
}

/* ---- the demonstration ------------------------------------------------------------------ */

/* The store's disk: the person's own, or with --headless one that goes with the session. */
static int open_disk(const struct desktop *d, bool headless, char path[4096])
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int fd, err = 0;

	if (headless || ((!data || !*data) && (!home || !*home)))
		snprintf(path, 4096, "%s/demo-store.img", d->directory);
	else if (data && *data)
		snprintf(path, 4096, "%s/exo/demo-store.img", data);
	else
		snprintf(path, 4096, "%s/.local/share/exo/demo-store.img", home);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (!lseek(fd, 0, SEEK_END) && ftruncate(fd, DEMO_DISK_BYTES))
		err = -errno;
	close(fd);
	return err;
}

static void on_added(void *opaque, json_t *answer, int fd)
{
	const char *error = link_error(answer);

	if (error)
		notice(opaque, 0xd03030, "the demo's store: %s", error);
}

/* The manifest that comes with the store has its disk beside it, where we may not write. */
static void add_store(struct desktop *d, const struct program *store, bool headless)
{
	char disk[4096], manifest[sizeof(d->directory) + 32];
	int err = open_disk(d, headless, disk);
	FILE *f;

	snprintf(manifest, sizeof(manifest), "%s/demo-store.exo", d->directory);
	f = err ? NULL : fopen(manifest, "we");
	if (!f) {
		notice(d, 0xd03030, "the demo's store has no disk: %s",
		       strerror(err ? -err : errno));
		return;
	}
	fprintf(f,
		"[program]\nname = store\nfile = %.*self\nlabel = storage\ncolour = blue\n"
		"[device]\ndisk = %s\n[provides]\nstore = 10 seqpacket\nfiles = 564 stream\n"
		"[lifecycle]\nrestart = always\nstart = demand\n",
		(int)(strlen(store->path) - 3), store->path, disk);
	if (fclose(f) == 0)
		link_request(d, json_pack("{s:s, s:s}", "op", "add", "manifest", manifest), NULL, 0,
			     on_added, d);
}

static void launch_demo(struct desktop *d, bool headless)
{
	static const char *const names[] = {"store", "clock", "paint", "notes", "term"};
	struct programs all;

	if (programs_read(&all))
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct program *p = programs_find(&all, names[i]);

		if (!p)
			notice(d, 0xd03030, "there is no program “%s” to be shown", names[i]);
		else if (i == 0)
			add_store(d, p, headless);
		else
			guests_launch(d, p->path, NULL);
	}
	programs_free(&all);
	if (!headless)
		panel_launcher(d);
}

static int run(struct options *o, struct desktop *d)
{
	char why[256];
	int status = EXIT_CANNOT, err = desktop_open(d, &o->setup, why);

	if (!err && o->demo)
		launch_demo(d, o->headless);
	if (!err && (o->nscenario || (o->demo && o->headless))) {
		err = remote_run_scenario(d, o->scenario, o->demo && o->headless);
		if (err)
			snprintf(why, sizeof(why), "the scenario cannot be run: %s",
				 strerror(-err));
	}
	if (err)
		complain(why, NULL);
	else
		status = desktop_run(d);
	desktop_close(d);
	return status;
}

int main(int argc, char **argv)
{
	static struct desktop desktop;
	struct options o = {.setup.dark = true};
	int status = read_settings(&o);

	o.scenario = calloc((size_t)argc + 1, sizeof(*o.scenario));
	if (!o.scenario)
		return complain("no memory", NULL);
	if (!status)
		status = read_options(&o, argc, argv);
	if (status < 0)
		status = choose_output(&o);
	if (status < 0 && !name_session(&o, &desktop))
		status = complain("the name of the session's folder is too long", o.session);
	if (status < 0)
		status = run(&o, &desktop);
	free(o.scenario);
	return status;
}
