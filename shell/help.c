/* What the commands say about themselves; see help.h. The man pages say more. */
#include "help.h"

#include "text.h"

#include <string.h>
#include <unistd.h>

#define VERSION "0.1.0"

static const char general[] =
	"Usage: exo COMMAND [OPTIONS] …\n"
	"Every program is its own machine: a micro-VM that starts like a process.\n"
	"\n"
	"  run     run a program in the foreground\n"
	"  test    run guests that report TAP, and sum up\n"
	"  doctor  say what this machine can do, and how to mend what it can't\n"
	"  help    show the help of a command, as exo help run\n"
	"  version show the version\n"
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

int help_print(const char *command)
{
	static const struct {
		const char *name, *text;
	} pages[] = {{"run", run}, {"test", test}, {"doctor", doctor}, {"help", general}};
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
	static const char version[] = "exo " VERSION "\n";

	return text_write(STDOUT_FILENO, version, sizeof(version) - 1) ? 125 : 0;
}
