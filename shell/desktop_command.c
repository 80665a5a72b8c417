/*
 * exo desktop: makes sure that there is a session, and runs exo-desktop, which is a program of its
 * own because it needs a desktop's libraries. We stay its parent: to end a session that is
 * for this desktop alone, to start the desktop again if it crashed (its guests went on), and
 * to say what is wrong if its libraries are not there.
 */
#include "commands.h"

#include "client.h"
#include "guest.h"
#include "search.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CRASHES_MAX 3   /* then it is not started again */
#define EXIT_LOADER 127 /* ld.so's, and a shell's for what is not there */

struct desk {
	char program[SEARCH_PATH_MAX];
	char **argv; /* exo-desktop's */
	char directory[CLIENT_PATH_MAX];
	bool named;             /* --session or EXO_SESSION */
	bool alone;             /* without a session: --version */
	bool scratch;           /* --scenario, --demo: the directory is ours, too */
	pid_t session, desktop; /* our children; 0: none */
};

/* ---- the command line ---------------------------------------------------------------- */

/* The folder of --session becomes EXO_SESSION's, for us and for all that we start. */
static int take_session(struct desk *d, const char *folder)
{
	char path[PATH_MAX], here[PATH_MAX / 2];

	if (!folder || !*folder)
		return text_error(CLI_TROUBLE, "desktop: --session needs a folder");
	if (*folder == '/')
		snprintf(path, sizeof(path), "%s", folder);
	else if (getcwd(here, sizeof(here)))
		snprintf(path, sizeof(path), "%s/%.*s", here, PATH_MAX / 2 - 2, folder);
	else
		return text_error(CLI_TROUBLE, "desktop: %s", strerror(errno));
	return setenv("EXO_SESSION", path, 1) ? text_error(CLI_TROUBLE, "out of memory") : 0;
}

/*
 * What concerns us; the rest is exo-desktop's to judge. It finds its session by EXO_SESSION, so
 * --session is taken out.
 */
static int look_at_options(struct desk *d)
{
	char **to = d->argv + 1;
	bool folder = false;
	int err = 0;

	for (char **arg = d->argv + 1; *arg && !err; arg++) {
		bool apart = !strcmp(*arg, "--session");

		if (!strcmp(*arg, "--version") || !strcmp(*arg, "-h"))
			d->alone = true;
		if (!strcmp(*arg, "--demo") || !strncmp(*arg, "--scenario", 10))
			d->scratch = true;
		if (!apart && strncmp(*arg, "--session=", 10) != 0) {
			*to++ = *arg;
			continue;
		}
		folder = true;
		err = take_session(d, apart ? arg[1] : *arg + 10);
		arg += apart && arg[1];
	}
	*to = NULL;
	if (!err && folder && d->scratch)
		err = text_error(CLI_TROUBLE, "desktop: --demo and --scenario have a session of "
					      "their own; leave --session out");
	return err;
}

static int find_program(struct desk *d)
{
	int err = -ENOENT;

	for (unsigned place = 0; err && place < SEARCH_VMM_PLACES; place++) {
		if (!search_desktop(place, d->program))
			err = access(d->program, X_OK) ? -errno : 0;
	}
	if (!err)
		return 0;
	return text_error(
		CLI_TROUBLE,
		"desktop: exo-desktop is not here: %s; it belongs beside exo, or "
		"EXO_DESKTOP names it, and is built where SDL2, pixman, freetype, libvterm "
		"and libpng are",
		strerror(-err));
}

/* ---- a session ------------------------------------------------------------------------ */

/* The child; never returns. detached: it outlives us, and says nothing. */
static void exec_session(int out, bool detached)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid(); /* the terminal's signals are for the desktop */
	if (!detached)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (dup2(null, STDIN_FILENO) == 0 && dup2(out, STDOUT_FILENO) > 0 &&
	    (!detached || dup2(null, STDERR_FILENO) > 0))
		execl("/proc/self/exe", "exo", "session", (char *)NULL);
	_exit(GUEST_EXIT_FAILURE);
}

/* Returns when it listens, or with an exit code after a line. */
static int start_session(struct desk *d, bool detached)
{
	char line[256];
	int pair[2], status;
	ssize_t n;

	if (pipe2(pair, O_CLOEXEC))
		return text_error(CLI_TROUBLE, "desktop: %s", strerror(errno));
	d->session = fork();
	if (!d->session)
		exec_session(pair[1], detached);
	close(pair[1]);
	do { /* it says one line when it listens, and none before */
		n = d->session < 0 ? 0 : read(pair[0], line, sizeof(line));
	} while (n < 0 && errno == EINTR);
	close(pair[0]);
	if (n > 0)
		return 0;
	if (d->session > 0)
		(void)waitpid(d->session, &status, 0);
	d->session = 0;
	return text_error(CLI_TROUBLE, "desktop: no session could be started in %s", d->directory);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static void end_session(struct desk *d)
{
	int status;

	if (d->session > 0) {
		kill(d->session, SIGTERM);
		while (waitpid(d->session, &status, 0) < 0 && errno == EINTR)
			;
	}
	d->session = 0;
	if (d->scratch && d->directory[0])
		(void)nftw(d->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A new folder for a session that nobody else is to find. */
static int make_scratch(struct desk *d)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char path[sizeof(d->directory) - 20];
	int n = snprintf(path, sizeof(path), "%s/exo-desktop.XXXXXX", run && *run ? run : "/tmp");

	if (n < 0 || (size_t)n >= sizeof(path))
		n = snprintf(path, sizeof(path), "/tmp/exo-desktop.XXXXXX");
	if (!mkdtemp(path))
		return text_error(CLI_TROUBLE, "desktop: %s: %s", path, strerror(errno));
	snprintf(d->directory, sizeof(d->directory), "%s", path);
	if (setenv("EXO_SESSION", path, 1))
		return text_error(CLI_TROUBLE, "out of memory");
	return start_session(d, false);
}

/* The session that runs, or one that is started. */
static int find_session(struct desk *d)
{
	char path[CLIENT_PATH_MAX];
	const char *named;
	int fd, err;

	if (d->scratch)
		return make_scratch(d);
	named = getenv("EXO_SESSION");
	d->named = named && *named;
	if (cli_socket_path(path))
		return text_error(CLI_TROUBLE,
				  "desktop: the session's directory has too long a name");
	snprintf(d->directory, sizeof(d->directory), "%.*s",
		 (int)(strlen(path) - strlen("/control")), path);
	if (setenv("EXO_SESSION", d->directory, 1))
		return text_error(CLI_TROUBLE, "out of memory");
	fd = cli_dial(path);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (fd != -ENOENT && fd != -ECONNREFUSED)
		return text_error(CLI_TROUBLE, "desktop: %s: %s", path, strerror(-fd));
	err = start_session(d, d->named);
	if (err)
		return err;
	text_error(0,
		   d->named ? "desktop: no session ran in %s; started one, which goes on without "
			      "the desktop"
			    : "desktop: no session ran; started one in %s, which ends with the "
			      "desktop",
		   d->directory);
	if (d->named)
		d->session = 0;
	return 0;
}

/* ---- the desktop ----------------------------------------------------------------------- */

static void exec_desktop(const struct desk *d, const sigset_t *mask)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	execv(d->program, d->argv);
	text_error(0, "desktop: %s: %s", d->program, strerror(errno));
	_exit(GUEST_EXIT_FAILURE);
}

/* Its wait status. What we are told to do by a signal it is told too. */
static int run_desktop(struct desk *d)
{
	sigset_t mask, old;
	siginfo_t info;
	int status = 0;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, &old);
	d->desktop = fork();
	if (!d->desktop)
		exec_desktop(d, &old);
	while (d->desktop > 0 && waitpid(d->desktop, &status, WNOHANG) != d->desktop) {
		int signo = sigwaitinfo(&mask, &info);

		/* A terminal's comes to both of us. */
		if (signo > 0 && signo != SIGCHLD && info.si_code <= 0)
			kill(d->desktop, signo);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return d->desktop > 0 ? status : CLI_TROUBLE << 8;
}

static bool is_crash(int status)
{
	static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP};

	for (size_t i = 0; WIFSIGNALED(status) && i < sizeof(signals) / sizeof(*signals); i++) {
		if (WTERMSIG(status) == signals[i])
			return true;
	}
	return false;
}

static int run(struct desk *d)
{
	int status = run_desktop(d);

	for (int i = 0; !d->scratch && is_crash(status) && i < CRASHES_MAX; i++) {
		text_error(0, "desktop: it crashed (%s) and is started again; its guests went on",
			   strsignal(WTERMSIG(status)));
		status = run_desktop(d);
	}
	if (WIFSIGNALED(status)) {
		if (is_crash(status))
			text_error(0, "desktop: it crashed (%s)", strsignal(WTERMSIG(status)));
		return GUEST_EXIT_SIGNAL + WTERMSIG(status);
	}
	if (WEXITSTATUS(status) == EXIT_LOADER)
		return text_error(CLI_TROUBLE,
				  "desktop: a library that %s needs is missing, as the line above "
				  "says; on Debian: apt install libsdl2-2.0-0 libpixman-1-0 "
				  "libfreetype6 libvterm0 libpng16-16 libjansson4 libinih1",
				  d->program);
	return WEXITSTATUS(status);
}

int desktop_command(char **argv, uint64_t start_ns)
{
	static char name[] = "exo-desktop";
	struct desk d = {.argv = argv};
	int status;

	argv[0] = name;
	status = look_at_options(&d);
	if (!status)
		status = find_program(&d);
	if (!status && !d.alone)
		status = find_session(&d);
	if (!status)
		status = run(&d);
	end_session(&d);
	return status;
}
