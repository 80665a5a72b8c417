/*
 * exo doctor: what this machine can do for us, one line a fact, each with the
 * way to mend it. It tries things rather than asking for versions: a kernel
 * may have a feature and still forbid it.
 *
 * Three grades: good; limited (exo run works without it); bad (it does not).
 */
#include "doctor.h"

#include "guest.h"
#include "help.h"
#include "opts.h"
#include "search.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum grade { GOOD, LIMITED, BAD };

struct doctor {
	bool as_json, works;
	unsigned count;
	struct text out;
};

/* One fact. `mend` may be NULL. */
__attribute__((format(printf, 5, 6))) static void say(struct doctor *d, enum grade grade,
						      const char *what, const char *mend,
						      const char *format, ...)
{
	static const char *const marks[] = {"good", "limited", "bad"};
	char found[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(found, sizeof(found), format, ap);
	va_end(ap);
	d->works = d->works && grade != BAD;
	if (grade == GOOD)
		mend = NULL;
	if (!d->as_json) {
		text_addf(&d->out, "%-8s %-16s %s\n", marks[grade], what, found);
		if (mend)
			text_addf(&d->out, "%-8s %-16s -> %s\n", "", "", mend);
		return;
	}
	text_addf(&d->out, "%s\n    {\"check\": \"%s\", \"grade\": \"%s\", \"found\": ",
		  d->count++ ? "," : "", what, marks[grade]);
	text_add_json(&d->out, found);
	if (mend) {
		text_add(&d->out, ", \"mend\": ", 10);
		text_add_json(&d->out, mend);
	}
	text_add(&d->out, "}", 1);
}

/* The first bytes of a file, terminated; "" when it cannot be read. */
static const char *read_file(const char *path, char *buffer, size_t capacity)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buffer, capacity - 1);

	buffer[n > 0 ? n : 0] = '\0';
	buffer[strcspn(buffer, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
	return buffer;
}

static bool is_in_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[1024];

	for (path = path ? path : "/usr/bin:/bin"; *path;) {
		size_t length = strcspn(path, ":");

		snprintf(file, sizeof(file), "%.*s/%s", (int)length, path, program);
		if (!access(file, X_OK))
			return true;
		path += length + (path[length] == ':');
	}
	return false;
}

/* ---- KVM ------------------------------------------------------------------------ */

static bool cpu_has_virtualization(void)
{
	char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "flags", 5) &&
			(strstr(line, " svm") || strstr(line, " vmx"));
	if (f)
		fclose(f);
	return found;
}

static void check_vm(struct doctor *d, int kvm)
{
	static const struct {
		int extension;
		const char *what, *words;
	} needed[] = {
		{KVM_CAP_SPLIT_IRQCHIP, "split irqchip", "interrupt controller in two parts"},
		{KVM_CAP_SIGNAL_MSI, "MSI", "interrupts as messages"},
		{KVM_CAP_IOEVENTFD, "ioeventfd", "doorbells without an exit"},
		{KVM_CAP_IRQFD, "irqfd", "interrupts from a file descriptor"},
		{KVM_CAP_IMMEDIATE_EXIT, "immediate exit", "a spinning guest can be stopped"},
	};
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0) {
		say(d, BAD, "create VM",
		    "is another hypervisor using the CPU? see the kernel's log", "%s",
		    strerror(errno));
		return;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		bool has = ioctl(vm, KVM_CHECK_EXTENSION, needed[i].extension) > 0;

		say(d, has ? GOOD : BAD, needed[i].what, "a kernel from 2017 or later has it",
		    "%s%s", has ? "" : "no ", needed[i].words);
	}
	close(vm);
}

static void check_kvm(struct doctor *d)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct stat st;

	if (kvm < 0 && stat("/dev/kvm", &st)) {
		say(d, BAD, "/dev/kvm",
		    cpu_has_virtualization()
			    ? "sudo modprobe kvm_amd or kvm_intel"
			    : "switch virtualization on in the firmware, or (in a VM) "
			      "nesting on the host; until then: exo-nested -- exo run PROGRAM",
		    "there is none");
		return;
	}
	if (kvm < 0) {
		say(d, BAD, "/dev/kvm", "sudo usermod -aG kvm $USER, then log in again", "%s",
		    strerror(errno));
		return;
	}
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		say(d, BAD, "/dev/kvm", "update the kernel", "an unknown version");
	else if (cpu_has_virtualization())
		say(d, GOOD, "/dev/kvm", NULL, "hardware virtualization");
	else
		say(d, LIMITED, "/dev/kvm",
		    "programs built with exo-cc are made for this; run Linux guests with "
		    "exo-nested",
		    "software KVM: a guest's ring 3 is native, its ring 0 is emulated");
	check_vm(d, kvm);
	close(kvm);
}

/* ---- the VMM and its sandbox ------------------------------------------------------- */

static void check_vmm(struct doctor *d)
{
	char path[SEARCH_PATH_MAX];

	for (unsigned i = 0; i < SEARCH_VMM_PLACES; i++) {
		if (search_vmm(i, path) || access(path, X_OK))
			continue;
		say(d, GOOD, "exo-vmm", NULL, "%s", path);
		return;
	}
	say(d, BAD, "exo-vmm", "make install, or EXO_VMM=/path/to/exo-vmm", "not found");
}

static int try_namespaces(void *unused)
{
	_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET) ? errno : 0);
}

static void check_sandbox(struct doctor *d)
{
	_Alignas(16) static char stack[16384];
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	int status = 0;
	pid_t pid = clone(try_namespaces, stack + sizeof(stack), SIGCHLD, NULL);

	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
		say(d, LIMITED, "namespaces", "sudo sysctl kernel.unprivileged_userns_clone=1",
		    "%s",
		    pid > 0 && WIFEXITED(status) ? strerror(WEXITSTATUS(status))
						 : "cannot be tried");
	else
		say(d, GOOD, "namespaces", NULL, "user, mount, IPC and network");
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		say(d, BAD, "seccomp", "a kernel with CONFIG_SECCOMP_FILTER, 4.14 or later", "%s",
		    strerror(errno));
	else
		say(d, GOOD, "seccomp", NULL, "filters that kill");
}

/* ---- the rest ------------------------------------------------------------------------- */

static void check_memory(struct doctor *d)
{
	char free_pages[32], shmem[128];
	struct rlimit lock;

	read_file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", free_pages,
		  sizeof(free_pages));
	if (atoi(free_pages) > 0)
		say(d, GOOD, "huge pages", NULL, "%s free, 2 MiB each", free_pages);
	else
		say(d, LIMITED, "huge pages",
		    "sudo sysctl vm.nr_hugepages=64, for exo run --hugepages", "none reserved");
	read_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", shmem, sizeof(shmem));
	say(d, GOOD, "transparent", NULL, "huge pages in shared memory: %s",
	    *shmem ? shmem : "unknown");
	if (!getrlimit(RLIMIT_MEMLOCK, &lock) && lock.rlim_cur != RLIM_INFINITY)
		say(d, lock.rlim_cur < 8u << 20 ? LIMITED : GOOD, "locked memory",
		    "ulimit -l 8192, or a line in /etc/security/limits.conf", "%llu KiB",
		    (unsigned long long)lock.rlim_cur >> 10);
	else
		say(d, GOOD, "locked memory", NULL, "unlimited");
}

static void check_io_uring(struct doctor *d)
{
	unsigned char params[120] = {0}; /* struct io_uring_params, all defaults */
	long fd = syscall(SYS_io_uring_setup, 4, params);

	if (fd < 0)
		say(d, LIMITED, "io_uring", "sudo sysctl kernel.io_uring_disabled=0; disks need it",
		    "%s", strerror(errno));
	else
		say(d, GOOD, "io_uring", NULL, "usable");
	if (fd >= 0)
		close((int)fd);
}

static void check_programs(struct doctor *d)
{
	static const struct {
		const char *program, *package, *use;
	} wanted[] = {
		{"qemu-system-x86_64", "qemu-system-x86",
		 "the nested route and the reference tests"},
		{"musl-gcc", "musl-tools", "building guests with exo-cc"},
	};
	const char *x11 = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
	char mend[128];

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		bool has = is_in_path(wanted[i].program);

		snprintf(mend, sizeof(mend), "sudo apt install %s", wanted[i].package);
		say(d, has ? GOOD : LIMITED, wanted[i].program, mend, "%s: %s",
		    has ? "installed" : "missing", wanted[i].use);
	}
	if ((x11 && *x11) || (wayland && *wayland))
		say(d, GOOD, "display", NULL, "%s", x11 && *x11 ? "X11" : "Wayland");
	else
		say(d, LIMITED, "display", "log in graphically, or set DISPLAY", "none here");
}

int doctor_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {
		{"json", 0, false, 1}, {"help", 'h', false, 2}, {NULL}};
	struct doctor d = {.works = true};
	struct opts o;
	int id;

	opts_init(&o, options, argv);
	while ((id = opts_next(&o)) != OPTS_DONE) {
		if (id == 2)
			return help_print("doctor");
		if (id == OPTS_ERROR)
			return text_error(GUEST_EXIT_FAILURE, "%s; try exo doctor --help", o.error);
		d.as_json = true;
	}
	if (argv[o.pos])
		return text_error(GUEST_EXIT_FAILURE,
				  "doctor takes no operands; try exo doctor --help");
	if (d.as_json)
		text_add(&d.out, "{\"checks\": [", 12);
	check_kvm(&d);
	check_vmm(&d);
	check_sandbox(&d);
	check_memory(&d);
	check_io_uring(&d);
	check_programs(&d);
	if (d.as_json)
		text_addf(&d.out, "\n  ],\n  \"works\": %s\n}\n", d.works ? "true" : "false");
	else
		text_addf(&d.out, "\n%s\n",
			  d.works ? "exo run works here." : "exo run does not work here.");
	text_write(STDOUT_FILENO, d.out.data, d.out.length);
	text_finish(&d.out);
	return d.works ? 0 : 1;
}
