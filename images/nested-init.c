/*
 * PID 1 of the nested machine: loads modules, mounts the caller's file system
 * over virtio-9p, runs one command in it and reports how it ended.
 *
 * It runs as the only process of an initramfs that also holds the modules
 * (/modules/order lists them in the order of their dependencies). The kernel
 * command line names the folder with the request: exo.run=PATH, in which
 * "request" holds, each terminated by a NUL: the working directory, the number
 * of arguments, the arguments, then the environment.
 *
 * Ports of the virtio-serial device: 1 takes the command's standard output,
 * 2 its standard error, 3 gives its standard input, 4 takes the report.
 * The report is one line, "exit N NS" or "signal N NS" or "error TEXT", where
 * NS is how many nanoseconds of this machine's time the command took.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT_OUT 1
#define PORT_ERR 2
#define PORT_IN 3
#define PORT_REPORT 4
#define VIRTIO_DEVICES 8      /* the serial device is one of the first so many */
#define DEBUG_EXIT_PORT 0x501 /* isa-debug-exit: QEMU exits at once */
#define REQUEST_MAX (1u << 20)
#define STRINGS_MAX 4096

struct request {
	char *dir;
	char **argv;
	char **envp;
};

static int report_fd = -1;

static void power_off(void)
{
	sync();
	umount2("/host", MNT_DETACH);
	sync();
	if (ioperm(DEBUG_EXIT_PORT, 1, 1) == 0)
		outb(0, DEBUG_EXIT_PORT);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...)
{
	char line[256];
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (len > (int)sizeof(line) - 1)
		len = sizeof(line) - 1;
	if (write(report_fd >= 0 ? report_fd : STDOUT_FILENO, line, (size_t)len) != len)
		dprintf(STDOUT_FILENO, "report lost: %s", line);
}

static void die(const char *what)
{
	report("error %s: %s\n", what, strerror(errno));
	power_off();
}

static void load_modules(void)
{
	char name[96], path[128];
	FILE *order = fopen("/modules/order", "re");

	if (!order)
		die("/modules/order");
	while (fscanf(order, "%95s", name) == 1) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
			dprintf(STDOUT_FILENO, "module %s: %s\n", name, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	fclose(order);
}

/* Ports appear in their own time; a second is forever. */
static int open_port(int port, int flags)
{
	struct timespec tick = {.tv_nsec = 1000000};
	char path[32];
	int fd;

	for (int i = 0; i < 1000; i++) {
		for (int device = 0; device < VIRTIO_DEVICES; device++) {
			snprintf(path, sizeof(path), "/dev/vport%dp%d", device, port);
			fd = open(path, flags | O_CLOEXEC);
			if (fd >= 0)
				return fd;
		}
		nanosleep(&tick, NULL);
	}
	return -1;
}

static void mount_or_die(const char *what, const char *where, const char *type, const char *opts)
{
	if (mount(what, where, type, 0, opts) != 0)
		die(where);
}

static void mount_early(void)
{
	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/host", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) != 0 && errno != EBUSY)
		die("/dev");
	mount_or_die("proc", "/proc", "proc", NULL);
}

/* The caller's files, with this machine's own /dev, /proc, /sys, /run over them. */
static void mount_host(void)
{
	mount_or_die("host", "/host", "9p",
		     "trans=virtio,version=9p2000.L,msize=512000,cache=loose,access=any,posixacl");
	mount_or_die("dev", "/host/dev", "devtmpfs", NULL);
	mkdir("/host/dev/pts", 0755);
	mkdir("/host/dev/shm", 01777);
	mount_or_die("pts", "/host/dev/pts", "devpts", "ptmxmode=0666,mode=0620");
	mount_or_die("shm", "/host/dev/shm", "tmpfs", "mode=1777");
	mount_or_die("proc", "/host/proc", "proc", NULL);
	mount_or_die("sys", "/host/sys", "sysfs", NULL);
	mount_or_die("run", "/host/run", "tmpfs", "mode=755");
	mkdir("/host/run/tmp", 01777);
	chmod("/host/run/tmp", 01777);
	if (symlink("/proc/self/fd", "/host/dev/fd") != 0 && errno != EEXIST)
		die("/host/dev/fd");
	chmod("/host/dev/kvm", 0666);
}

/* Programs expect to reach themselves at 127.0.0.1. There is no other network. */
static void start_loopback(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) != 0)
		die("lo");
	close(fd);
}

/* The value of exo.run= on the kernel command line. */
static void find_run_folder(char *out, size_t cap)
{
	char line[4096];
	const char *key = "exo.run=", *at;
	size_t n = 0;
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (len < 0)
		die("/proc/cmdline");
	close(fd);
	line[len] = '\0';
	at = strstr(line, key);
	if (!at) {
		errno = ENOENT;
		die("exo.run= on the command line");
	}
	for (at += strlen(key); n + 1 < cap && *at && *at != ' ' && *at != '\n'; at++)
		out[n++] = *at;
	out[n] = '\0';
}

static void read_request(const char *path, struct request *req)
{
	static char text[REQUEST_MAX];
	static char *strings[STRINGS_MAX];
	size_t nstrings = 0, argc;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (len < 0)
		die(path);
	close(fd);
	text[len] = '\0';
	for (char *s = text; s < text + len && nstrings < STRINGS_MAX - 2; s += strlen(s) + 1)
		strings[nstrings++] = s;
	argc = nstrings > 2 ? strtoul(strings[1], NULL, 10) : 0;
	if (argc == 0 || argc > nstrings - 2) {
		errno = EINVAL;
		die(path);
	}
	/* Make room for the NULL between the arguments and the environment. */
	memmove(&strings[3 + argc], &strings[2 + argc], (nstrings - 2 - argc) * sizeof(strings[0]));
	strings[2 + argc] = NULL;
	req->dir = strings[0];
	req->argv = &strings[2];
	req->envp = &strings[3 + argc];
}

static void write_all(int fd, const char *data, ssize_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, (size_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		data += n;
		len -= n;
	}
}

/* Copies what is there. Returns false at the end of the stream. */
static bool pump(int from, int to)
{
	static char buf[65536];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n > 0)
		write_all(to, buf, n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/*
 * Standard input goes through a process of its own, so that a command that
 * does not read cannot hold up its output.
 */
static void start_stdin(int *child_end)
{
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		int in = open_port(PORT_IN, O_RDONLY);

		close(pipe_fds[0]);
		signal(SIGPIPE, SIG_DFL);
		while (in >= 0 && pump(in, pipe_fds[1]))
			;
		_exit(0);
	}
	close(pipe_fds[1]);
	*child_end = pipe_fds[0];
}

static void run_child(const struct request *req, int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(125);
	if (chroot("/host") != 0 || chdir(req->dir) != 0) {
		dprintf(2, "exo-nested: %s: %s\n", req->dir, strerror(errno));
		_exit(125);
	}
	/* execvpe would search this process's PATH, not the request's. */
	environ = req->envp;
	execvp(req->argv[0], req->argv);
	dprintf(2, "exo-nested: %s: %s\n", req->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Waits for the command while passing on what it writes; its wait status. */
static int attend(pid_t pid, int out, int err)
{
	struct pollfd p[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
	int to[2] = {open_port(PORT_OUT, O_WRONLY), open_port(PORT_ERR, O_WRONLY)};
	const struct timespec no_wait = {0};
	int status = 0;
	bool ended = false;
	sigset_t awake;

	sigemptyset(&awake);

	if (to[0] < 0 || to[1] < 0)
		die("output ports");
	while (!ended) {
		pid_t done;
		int any, st;

		while ((done = waitpid(-1, &st, WNOHANG)) > 0) {
			if (done == pid) {
				ended = true;
				status = st;
			}
		}
		/* Once it is gone: what is left in the pipes, even if others hold them open. */
		do {
			any = ppoll(p, 2, ended ? &no_wait : NULL, &awake);
			for (int i = 0; any > 0 && i < 2; i++) {
				if (p[i].revents && !pump(p[i].fd, to[i]))
					p[i].fd = -1;
			}
		} while (any > 0);
	}
	return status;
}

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void on_child(int signo) {}

static void run(const struct request *req)
{
	struct sigaction sa = {.sa_handler = on_child};
	int in, out[2], err[2], status;
	sigset_t child;
	long long start;
	pid_t pid;

	/* SIGCHLD is let in only while attend() waits, so that none is missed. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);

	start_stdin(&in);
	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
		die("pipe");
	start = now_ns();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		run_child(req, in, out[1], err[1]);
	close(in);
	close(out[1]);
	close(err[1]);
	status = attend(pid, out[0], err[0]);
	if (WIFSIGNALED(status))
		report("signal %d %lld\n", WTERMSIG(status), now_ns() - start);
	else
		report("exit %d %lld\n", WEXITSTATUS(status), now_ns() - start);
}

int main(void)
{
	char folder[1024], path[1100];
	struct request req;

	mount_early();
	load_modules();
	report_fd = open_port(PORT_REPORT, O_WRONLY);
	mount_host();
	start_loopback();
	find_run_folder(folder, sizeof(folder));
	snprintf(path, sizeof(path), "/host%s/request", folder);
	read_request(path, &req);
	run(&req);
	power_off();
	return 0;
}
