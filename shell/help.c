/* What the commands say about themselves; see help.h. The man pages say more. */
#include "help.h"

#include "text.h"

#include <string.h>
#include <unistd.h>

static const char general[] =
	"Usage: exo COMMAND [OPTIONS] …\n"
	"Every program is its own machine: a micro-VM that starts like a process.\n"
	"\n"
	"  run      run a program in the foreground\n"
	"  test     run guests that report TAP, and sum up\n"
	"  script   run scenario files: start guests, talk with them, check\n"
	"  check    explain a manifest in words\n"
	"  desktop  windows: start programs, see them and who talks with whom\n"
	"  desktop  windows: start programs, see them, and who talks with whom\n"
	"  doctor   say what this machine can do, and how to mend what it can't\n"
	"  help     show the help of a command, as exo help run\n"
	"  version  show the version\n"
	"\n"
	"Programs that talk with each other belong to a session:\n"
	"  session  run one; the commands below ask it\n"
	"  start    start a guest in the background\n"
	"  add      make a manifest known: its guest starts when it is connected to\n"
	"  remove   forget a guest that does not run\n"
	"  ps       list guests; top: what they use\n"
	"  stop     ask guests to end; kill: end them, or send a signal\n"
	"  pause    stop the clocks of guests; resume: let them go on\n"
	"  wait     wait until a guest is ready or has ended\n"
	"  log      show what a guest printed\n"
	"  wires    show services, grants and connections; who can reach what\n"
	"  grant    let a guest connect to a service; revoke: take that back\n"
	"  audit    show who was granted, used and refused what\n"
	"  connect  connect to a service; listen: provide one\n"
	"\n"
	"First steps:  exo doctor; exo run hello\n";

static const char run[] =
	"Usage: exo run [OPTIONS] PROGRAM [ARGUMENTS…]\n"
	"Runs PROGRAM (an ELF made by exo-cc, or a Linux kernel) in a micro-VM of its own,\n"
	"with this terminal or these pipes as its standard streams.\n"
	"\n"
	"  -m, --memory SIZE    memory, as 64M or 2G (default 64M; 256M for other kernels)\n"
	"      --cpus N         number of virtual CPUs, 1 to 16 (default 1)\n"
	"      --name NAME      name in messages (default: the program's)\n"
	"      --disk FILE[:ro][:direct]  a disk; up to 8, in this order\n"
	"  -e, --env NAME=VALUE environment of the program; NAME alone passes ours on\n"
	"  -t, --timeout TIME   end it after TIME, as 500ms, 10s or 2m; exit status 124\n"
	"      --json-status FILE  how it ended, as JSON\n"
	"      --vsock PATH     vsock device; PATH and PATH_<port> are its Unix sockets\n"
	"      --rng            virtio random number device (always for other kernels)\n"
	"      --kernel-args TEXT  appended to the kernel's command line\n"
	"      --initrd FILE    initial RAM disk of a Linux kernel\n"
	"      --hugepages      memory of huge pages\n"
	"      --prefault       touch all memory first\n"
	"      --timings        print where the time went\n"
	"      --manifest FILE  what it needs (default: PROGRAM.exo beside it)\n"
	"      --mount DIR:/PATH[:ro]  a folder of this host, at PATH\n"
	"      --grant SERVICE[,LIMIT=VALUE…]  lets it connect to a service\n"
	"      --display[=WxH]  windows, which exo desktop shows; of this size at first\n"
	"      --private        a session of its own, if it needs one\n"
	"\n"
	"If a session runs, the guest belongs to it while this command lasts.\n"
	"\n"
	"PROGRAM without a slash is looked for here, in $EXO_PATH and among the installed\n"
	"guests, as PROGRAM and PROGRAM.elf.\n"
	"\n"
	"Exit status: the program's own; 128+N if signal N killed it; 124 timeout; 125 exo\n"
	"failed; 126 PROGRAM cannot run; 127 PROGRAM not found.\n";

static const char test[] =
	"Usage: exo test [OPTIONS] FILE…\n"
	"Runs each guest with EXO_TEST=1 in its environment and collects the TAP that it\n"
	"writes to vsock port 1 of the host (CID 2). A failed test, a missing plan, a\n"
	"crash, a timeout or silence is a failure.\n"
	"\n"
	"      --junit FILE     write JUnit XML (\"-\": standard output, instead of TAP)\n"
	"  -t, --timeout TIME   for each guest (default 60s)\n"
	"  -j, --jobs N         guests at a time (default: number of CPUs)\n"
	"  -v, --verbose        show the output of all guests, not only of failed ones\n"
	"  -m, --cpus, --env, --disk, --rng, …   as for exo run\n"
	"\n"
	"Exit status: 0 if all passed, 1 if not, 125 if exo failed.\n";

static const char doctor[] =
	"Usage: exo doctor [--json]\n"
	"Says what this machine can do for exo, and how to mend what it can't.\n"
	"\n"
	"Exit status: 0 if exo run works here, 1 if not.\n";

static const char script[] =
	"Usage: exo script [OPTIONS] FILE…\n"
	"Runs scenario files: they start guests, wait for them, talk with them and check\n"
	"what comes of it. Each command is a test point of the TAP that is written. A file\n"
	"has a session of its own unless it says otherwise. See docs/script.md.\n"
	"\n"
	"  -D, --define NAME=VALUE  sets a variable of the scripts\n"
	"  -t, --timeout TIME   for each command that waits (default 10s)\n"
	"\n"
	"Exit status: 0 if all passed, 1 if not, 125 if exo failed.\n";

static const char check[] =
	"Usage: exo check [--json] MANIFEST…\n"
	"Reads manifests and says in words what they ask for, or what is wrong in them.\n"
	"\n"
	"Exit status: 0 if they are good, 1 if not, 2 if exo failed.\n";

static const char desktop[] =
	"Usage: exo desktop [OPTIONS]\n"
	"Shows the windows of the session's guests, each in its frame, and panels to start, watch\n"
	"and end them. If no session runs, one is started that ends with the desktop.\n"
	"\n"
	"      --size WxH       of the desktop\n"
	"      --fullscreen     all of the screen\n"
	"      --scale N        pixels of a point, as 1, 1.5 or 2 (default: the display's)\n"
	"      --headless       no window: pictures by screenshots\n"
	"      --session DIR    the session there; one is started that goes on by itself\n"
	"      --keymap LAYOUT  of the keyboard\n"
	"      --theme THEME    light or dark\n"
	"      --key ACTION=CHORD  as launcher=super+space; Super+H lists them\n"
	"      --audio FILE     what is played also goes to this WAV file\n"
	"      --demo           a few programs to look at, in a session of their own\n"
	"      --scenario FILE… runs scripts in a session of their own (docs/script.md)\n"
	"\n"
	"Super+H shows the keys. See docs/desktop.md.\n"
	"\n"
	"Exit status: 0; of --scenario as exo script's; 125 if it cannot run.\n";

static const char session[] =
	"Usage: exo session\n"
	"Keeps guests and the channels between them, until it is ended (SIGTERM). Its control\n"
	"socket is in $EXO_SESSION, else $XDG_RUNTIME_DIR/exo, else /tmp/exo-UID. When it is\n"
	"killed its guests go on, and the next session finds them again.\n"
	"\n"
	"Exit status: 0 after an orderly end, 125 if it cannot run.\n";

#define STATUS "\nExit status: 0; 1 if the session refuses; 125 if there is none, or wrong usage.\n"

static const char start[] =
	"Usage: exo start [OPTIONS] PROGRAM | MANIFEST [ARGUMENTS…]\n"
	"Starts a guest in the background and prints its name. What it writes goes to its log.\n"
	"\n"
	"  -w, --wait           until it is ready\n"
	"      --manifest FILE  what it needs (default: PROGRAM.exo beside it)\n"
	"      --mount DIR:/PATH[:ro], --grant SERVICE[,LIMIT=VALUE…]  as for exo run\n"
	"      --display[=WxH]  windows, which exo desktop shows\n"
	"      --label LABEL    its trust label\n"
	"      --json           the answer, as JSON\n"
	"  -m, --cpus, --name, --env, --disk, --rng, …   as for exo run\n"
	"\n"
	"Exit status: 0; as exo run's if it cannot start; 125 if there is no session.\n";

static const char add[] =
	"Usage: exo add MANIFEST…\n"
	"Makes manifests known: such a guest starts when somebody connects to what it\n"
	"provides.\n" STATUS;

static const char remove_page[] =
	"Usage: exo remove NAME…\n"
	"Forgets guests that do not run, and what their manifests granted.\n" STATUS;

static const char ps[] = "Usage: exo ps [--json]\n"
			 "Lists the guests of the session.\n" STATUS;

static const char top[] =
	"Usage: exo top [-1] [--json]\n"
	"Shows what guests use: on a terminal again every second, else once, in all.\n"
	"\n"
	"  -1, --once           once\n"
	"      --json           once, as JSON\n" STATUS;

static const char stop[] =
	"Usage: exo stop [-t TIME] NAME…\n"
	"Asks guests to end (SIGTERM), and kills those that have not after TIME.\n"
	"\n"
	"  -t, --timeout TIME   default: what the manifest says, or 2s\n" STATUS;

static const char kill_page[] = "Usage: exo kill [-s SIGNAL] NAME…\n"
				"Ends guests at once, or sends them a signal.\n"
				"\n"
				"  -s, --signal SIGNAL  a name, as TERM, or a number\n" STATUS;

static const char pause_page[] = "Usage: exo pause NAME…\n"
				 "Stops the virtual CPUs of guests until exo resume.\n" STATUS;

static const char resume[] = "Usage: exo resume NAME…\n"
			     "Lets paused guests go on.\n" STATUS;

static const char wait_page[] =
	"Usage: exo wait [--for ready|ended] [-t TIME] [--json] NAME\n"
	"Waits until a guest has ended, or is ready, and says how it ended.\n"
	"\n"
	"  -f, --for STATE      ready or ended (default)\n"
	"  -t, --timeout TIME   no longer; exit status 124\n"
	"      --json           the answer, as JSON\n" STATUS;

static const char log_page[] = "Usage: exo log [-f] [-n LINES] NAME\n"
			       "Shows what a guest without a terminal printed.\n"
			       "\n"
			       "  -f, --follow         go on while it runs\n"
			       "  -n, --lines LINES    the last so many only\n" STATUS;

static const char wires[] =
	"Usage: exo wires [--json | --dot | --svg FILE]\n"
	"       exo wires --who-can-reach NAME | --dry-run MANIFEST\n"
	"Shows services, grants and live connections with what went through them.\n"
	"\n"
	"      --json           as JSON\n"
	"      --dot            the graph, for Graphviz\n"
	"      --svg FILE       the graph, drawn (\"-\": standard output)\n"
	"      --who-can-reach NAME  a service or guest: who can connect to it, and why\n"
	"      --dry-run MANIFEST    what it would get, and what is missing\n" STATUS;

static const char grant[] =
	"Usage: exo grant [OPTIONS] GUEST SERVICE\n"
	"Lets a guest connect to a service; prints the grant's number. It holds until\n"
	"it is revoked, also for later guests of that name.\n"
	"\n"
	"      --delegate       it may pass that on\n"
	"      --lease TIME     for so long\n"
	"      --connections N  so many at once\n"
	"      --buffer SIZE    so much buffer memory at once\n"
	"      --rate SIZE      so many bytes a second, each connection\n"
	"      --port N         also at this port of the host (CID 2)\n"
	"      --json           the answer, as JSON\n" STATUS;

static const char revoke_page[] =
	"Usage: exo revoke [--json] NUMBER | GUEST SERVICE\n"
	"Takes a grant back, and all that were delegated from it; connections that were\n"
	"opened through it end at once.\n"
	"\n"
	"      --json           how many, as JSON\n" STATUS;

static const char audit[] = "Usage: exo audit [OPTIONS]\n"
			    "Shows grants, uses and refusals.\n"
			    "\n"
			    "  -f, --follow         go on\n"
			    "      --since TIME     the last TIME only, as 5m\n"
			    "      --guest NAME     of this guest only\n"
			    "      --service NAME   of this service only\n"
			    "      --json           a JSON object a line\n" STATUS;

static const char connect[] =
	"Usage: exo connect [--seqpacket] SERVICE | GUEST:SERVICE | GUEST:PORT\n"
	"Connects standard input and output to a service. Its provider is started if need be.\n"
	"\n"
	"      --seqpacket      messages: each read of the input is one\n" STATUS;

static const char listen[] =
	"Usage: exo listen [--seqpacket] SERVICE [--exec COMMAND…]\n"
	"Provides a service, on standard input and output for one connection, or by a\n"
	"COMMAND for each connection, as its standard input and output, with EXO_PEER and\n"
	"EXO_LABEL in its environment.\n"
	"\n"
	"      --seqpacket      of messages\n"
	"      --exec           what follows is the command\n" STATUS;

/* clang-format off */
static const struct {
	const char *name, *text;
} pages[] = {
	{"run", run}, {"test", test}, {"doctor", doctor}, {"help", general}, {"script", script},
	{"check", check}, {"session", session}, {"desktop", desktop}, {"start", start},
	{"add", add}, {"remove", remove_page}, {"ps", ps}, {"top", top}, {"stop", stop},
	{"kill", kill_page},
	{"pause", pause_page}, {"resume", resume}, {"wait", wait_page}, {"log", log_page},
	{"wires", wires}, {"grant", grant}, {"revoke", revoke_page}, {"audit", audit},
	{"connect", connect}, {"listen", listen},
};
/* clang-format on */

int help_print(const char *command)
{
	const char *page = command ? NULL : general;

	for (size_t i = 0; command && i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (!strcmp(command, pages[i].name))
			page = pages[i].text;
	}
	if (!page)
		return -1;
	text_write(STDOUT_FILENO, page, strlen(page));
	return 0;
}

int help_version(void)
{
	static const char version[] = "exo " HELP_VERSION "\n";

	return text_write(STDOUT_FILENO, version, sizeof(version) - 1) ? 125 : 0;
}
