/*
 * How a guest ended: the exit code, the line for people, the JSON for programs,
 * the table of stages. Reason names are those of docs/vmm.md.
 */
#ifndef REPORT_H
#define REPORT_H

#include "launch.h"
#include "text.h"

#include <exo/vmm.h>
#include <stdbool.h>
#include <stdint.h>

struct report {
	const struct guest *guest;
	struct exo_vmm_ended end; /* reason 0: the VMM was lost, detail says how */
	bool timed_out;           /* --timeout ended it */
	const char *killed_why;   /* what made us kill it, or NULL */
	uint64_t start_ns, spawned_ns, configured_ns, end_ns; /* CLOCK_MONOTONIC */
	int64_t cpu_us;                                       /* of the VMM, or -1: unknown */
	bool by_session; /* a session ran it: stages and exits are not known here */
};

/* "exit", "fault", "timeout", …: one word. */
const char *report_reason(const struct report *r);

/* The reason of that word; 0: there is none. */
uint32_t report_reason_by_name(const char *name);

int report_exit_code(const struct report *r);

/* Does the end deserve a line? Not an ordinary exit, nor what Ctrl-C or a closed pipe did. */
bool report_is_notable(const struct report *r);

/* The line, without name: "fault: write to address 0x0 in main+0x12". */
void report_describe(const struct report *r, char *line, unsigned capacity);

/* The object of --json-status, with a newline. */
void report_add_json(const struct report *r, struct text *out);

/* The table of --timings. */
void report_add_timings(const struct report *r, struct text *out);

/* Can a status file be written there? Removes an old one. 0 or -errno. */
int report_check_file(const char *path);
/* Writes it whole or not at all. 0 or -errno. */
int report_write_file(const char *path, const struct text *content);

#endif
