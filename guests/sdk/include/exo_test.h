/*
 * For test programs: TAP, over vsock to whoever runs `exo test`, else on
 * standard output. Include it in one file of the program.
 *
 *	tap_plan(2);
 *	tap_ok(1 + 1 == 2, "sums");
 *	tap_skip("no disk", "reads the disk");
 *	return tap_done();
 *
 * Works on Linux too, on standard output.
 */
#ifndef EXO_TEST_H
#define EXO_TEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define EXO_TEST_PORT 1 /* EXO_VSOCK_PORT_TAP, on CID 2 */

static struct {
	int fd;
	unsigned planned, run, failed;
} tap = {.fd = -1};

static inline void tap_open(void)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = EXO_TEST_PORT};

	if (tap.fd >= 0)
		return;
	if (getenv("EXO_TEST")) {
		tap.fd = socket(AF_VSOCK, SOCK_STREAM, 0);
		if (tap.fd >= 0 && connect(tap.fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return;
		if (tap.fd >= 0)
			close(tap.fd);
	}
	tap.fd = STDOUT_FILENO;
}

/* A line of any kind, such as a "# comment". */
__attribute__((format(printf, 1, 2))) static inline void tap_line(const char *format, ...)
{
	va_list args;

	tap_open();
	va_start(args, format);
	vdprintf(tap.fd, format, args);
	va_end(args);
	dprintf(tap.fd, "\n");
}

static inline void tap_plan(unsigned n)
{
	tap.planned = n;
	tap_line("1..%u", n);
}

/* Returns ok, so that a caller can stop where going on makes no sense. */
static inline bool tap_ok(bool ok, const char *name)
{
	tap.run++;
	tap.failed += !ok;
	tap_line("%sok %u - %s", ok ? "" : "not ", tap.run, name);
	return ok;
}

static inline void tap_skip(const char *why, const char *name)
{
	tap.run++;
	tap_line("ok %u - %s # SKIP %s", tap.run, name, why);
}

/* The exit status: 0 if all planned points were run and none failed. */
static inline int tap_done(void)
{
	if (tap.run != tap.planned)
		tap_line("# %u of %u points were run", tap.run, tap.planned);
	return tap.failed || tap.run != tap.planned;
}

#endif
