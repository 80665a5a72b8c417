/* How a guest ended; see report.h. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The exit code says how a process would have died of the same. */
static const struct {
	const char *name, *words;
	int exit_code;
} reasons[] = {
	[0] = {"lost", "the VMM was lost", GUEST_EXIT_FAILURE},
	[EXO_END_EXIT] = {"exit", "exited", 0},
	[EXO_END_POWEROFF] = {"poweroff", "powered off", 0},
	[EXO_END_RESET] = {"reset", "asked for a reset, which ends it", GUEST_EXIT_SIGNAL + SIGHUP},
	[EXO_END_SIGNAL] = {"signal", "killed by", GUEST_EXIT_SIGNAL},
	[EXO_END_FAULT] = {"fault", "fault", GUEST_EXIT_SIGNAL + SIGSEGV},
	[EXO_END_KILLED] = {"killed", "killed", GUEST_EXIT_SIGNAL + SIGKILL},
	[EXO_END_TRIPLE_FAULT] = {"triple-fault", "triple fault", GUEST_EXIT_SIGNAL + SIGSEGV},
	[EXO_END_INTERNAL] = {"internal-error", "KVM cannot run this code",
			      GUEST_EXIT_SIGNAL + SIGILL},
	[EXO_END_HOLE] = {"hole", "touched what is neither memory nor device",
			  GUEST_EXIT_SIGNAL + SIGBUS},
	[EXO_END_ENTRY] = {"entry", "the CPU refused its state", GUEST_EXIT_SIGNAL + SIGILL},
	[EXO_END_HALTED] = {"halted", "halted for ever, with interrupts off",
			    GUEST_EXIT_SIGNAL + SIGKILL},
	[EXO_END_CONFIG] = {"config", "cannot start", GUEST_EXIT_CANNOT},
	[EXO_END_HOST] = {"host", "the host failed", GUEST_EXIT_FAILURE},
};

static bool has_signal(const struct report *r)
{
	return r->end.status > 0 && r->end.status < 65 &&
	       (r->end.reason == EXO_END_SIGNAL || r->end.reason == EXO_END_FAULT ||
		r->end.reason == EXO_END_KILLED);
}

const char *report_reason(const struct report *r)
{
	return r->timed_out ? "timeout" : reasons[r->end.reason].name;
}

uint32_t report_reason_by_name(const char *name)
{
	uint32_t reason = sizeof(reasons) / sizeof(reasons[0]) - 1;

	while (reason && strcmp(reasons[reason].name, name) != 0)
		reason--;
	return reason;
}

int report_exit_code(const struct report *r)
{
	if (r->timed_out)
		return GUEST_EXIT_TIMEOUT;
	if (r->end.reason == EXO_END_EXIT)
		return (int)(r->end.status & 0xff);
	if (r->end.reason == EXO_END_CONFIG && r->end.status >= GUEST_EXIT_FAILURE &&
	    r->end.status <= GUEST_EXIT_NOT_FOUND)
		return (int)r->end.status;
	if (has_signal(r))
		return GUEST_EXIT_SIGNAL + (int)r->end.status;
	return reasons[r->end.reason].exit_code;
}

bool report_is_notable(const struct report *r)
{
	if (r->timed_out)
		return true;
	if (r->end.reason == EXO_END_SIGNAL || (r->end.reason == EXO_END_KILLED && !r->killed_why))
		return r->end.status != SIGINT && r->end.status != SIGPIPE;
	return r->end.reason != EXO_END_EXIT && r->end.reason != EXO_END_POWEROFF;
}

void report_describe(const struct report *r, char *line, unsigned capacity)
{
	const char *detail = r->end.detail;

	if (r->timed_out)
		snprintf(line, capacity, "ended by --timeout");
	else if (r->end.reason == EXO_END_KILLED && r->killed_why)
		snprintf(line, capacity, "killed: %s", r->killed_why);
	else if (r->end.reason == EXO_END_SIGNAL)
		snprintf(line, capacity, "killed by signal %u (%s)%s%s", r->end.status,
			 strsignal((int)r->end.status), *detail ? ": " : "", detail);
	else if (!r->end.reason && *detail)
		snprintf(line, capacity, "%s", detail);
	else
		snprintf(line, capacity, "%s%s%s", reasons[r->end.reason].words,
			 *detail ? ": " : "", detail);
}

/* ---- stages ------------------------------------------------------------------- */

static const struct {
	const char *key, *words;
} stages[EXO_STAGES] = {
	[EXO_STAGE_MAIN] = {"vmm_main", "exo-vmm begins"},
	[EXO_STAGE_VM] = {"vm", "VM, interrupts and CPU exist"},
	[EXO_STAGE_CONFIG] = {"config", "configuration received"},
	[EXO_STAGE_MEMORY] = {"memory", "memory mapped and registered"},
	[EXO_STAGE_LOADED] = {"loaded", "program loaded"},
	[EXO_STAGE_DEVICES] = {"devices", "devices exist"},
	[EXO_STAGE_SANDBOX] = {"sandbox", "sealed"},
	[EXO_STAGE_RUN] = {"run", "guest runs"},
	[EXO_STAGE_DRIVER] = {"driver", "first driver ready"},
	[EXO_STAGE_OUTPUT] = {"output", "first byte of output"},
	[EXO_STAGE_END] = {"end", "guest ended"},
};

static double since_ms(const struct report *r, uint64_t ns)
{
	return (double)(int64_t)(ns - r->start_ns) / 1e6;
}

void report_add_timings(const struct report *r, struct text *out)
{
	text_addf(out, "exo: %s: milliseconds since exo began\n", r->guest->name);
	text_addf(out, "%10.3f  exo: exo-vmm started\n", since_ms(r, r->spawned_ns));
	text_addf(out, "%10.3f  exo: configuration sent\n", since_ms(r, r->configured_ns));
	for (int i = 0; i < EXO_STAGES; i++) {
		if (r->end.stage_ns[i]) /* zero: never reached */
			text_addf(out, "%10.3f  vmm: %s\n", since_ms(r, r->end.stage_ns[i]),
				  stages[i].words);
	}
	text_addf(out, "%10.3f  exo: knows the end (%llu exits to user space)\n",
		  since_ms(r, r->end_ns), (unsigned long long)r->end.exits);
}

void report_add_json(const struct report *r, struct text *out)
{
	const struct exo_vmm_ended *e = &r->end;
	int code = report_exit_code(r);

	text_add(out, "{\"name\": ", 9);
	text_add_json(out, r->guest->name);
	text_addf(out, ", \"reason\": \"%s\", \"status\": %u, \"exit_code\": %d", report_reason(r),
		  e->status, code);
	text_addf(out, has_signal(r) ? ", \"signal\": %u" : ", \"signal\": null", e->status);
	text_add(out, ", \"detail\": ", 12);
	text_add_json(out, r->killed_why && !*e->detail ? r->killed_why : e->detail);
	text_addf(out, ", \"ram_bytes\": %llu, \"cpus\": %u, \"wall_ms\": %.3f",
		  (unsigned long long)r->guest->ram_bytes, r->guest->cpus, since_ms(r, r->end_ns));
	if (r->cpu_us >= 0)
		text_addf(out, ", \"cpu_ms\": %.3f", (double)r->cpu_us / 1e3);
	if (r->by_session) {
		text_add(out, "}\n", 2);
		return;
	}
	text_addf(out, ", \"exits\": %llu, \"stages_ms\": {\"spawned\": %.3f, \"configured\": %.3f",
		  (unsigned long long)e->exits, since_ms(r, r->spawned_ns),
		  since_ms(r, r->configured_ns));
	for (int i = 0; i < EXO_STAGES; i++) {
		if (e->stage_ns[i])
			text_addf(out, ", \"%s\": %.3f", stages[i].key,
				  since_ms(r, e->stage_ns[i]));
	}
	text_add(out, "}}\n", 3);
}

/* ---- status file -------------------------------------------------------------- */

/* Pipes, terminals and /dev/fd/N cannot be renamed onto: they are written as they are. */
static bool is_special(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISREG(st.st_mode);
}

static int open_beside(const char *path, char *name, size_t capacity)
{
	int n = snprintf(name, capacity, "%s.%d.tmp", path, (int)getpid());
	int fd;

	if (n < 0 || (size_t)n >= capacity)
		return -ENAMETOOLONG;
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return fd < 0 ? -errno : fd;
}

int report_check_file(const char *path)
{
	struct stat st;
	char name[4096];
	int fd;

	if (is_special(path)) {
		if (!stat(path, &st) && S_ISDIR(st.st_mode))
			return -EISDIR;
		return access(path, W_OK) ? -errno : 0;
	}
	fd = open_beside(path, name, sizeof(name));
	if (fd < 0)
		return fd;
	close(fd);
	if (unlink(name))
		return -errno;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

int report_write_file(const char *path, const struct text *content)
{
	bool special = is_special(path);
	char name[4096];
	int fd, err;

	if (content->truncated)
		return -ENOMEM;
	if (special)
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	else
		fd = open_beside(path, name, sizeof(name));
	if (fd < 0)
		return special ? -errno : fd;
	err = text_write(fd, content->data, content->length);
	if (close(fd) && !err)
		err = -errno;
	if (!special && !err && rename(name, path))
		err = -errno;
	if (!special && err)
		unlink(name);
	return err;
}
