/*
 * How the program ends: the platform page where there is one, isa-debug-exit
 * under QEMU (exo.exit=0xPORT on the command line), else halted for ever.
 */
#include "posix.h"

#include "../drivers/vsock.h"

#define EXIT_KEY "exo.exit="

static volatile uint32_t *plat32(unsigned reg)
{
	return (volatile uint32_t *)(uintptr_t)(EXO_PLATFORM_GPA + reg);
}

static _Noreturn void halt(void)
{
	for (;;) {
		__atomic_store_n(&sup->pending, 0, __ATOMIC_RELAXED);
		sup_call(SUP_TIMER, 0, 0, 0);
		sup_call(SUP_WAIT, 0, 0, 0);
	}
}

static uint32_t exit_port(void)
{
	const char *p = facts->cmdline;
	uint32_t port = 0;

	if (sup->exit_port)
		return sup->exit_port;
	while (*p && strncmp(p, EXIT_KEY, sizeof(EXIT_KEY) - 1) != 0)
		p++;
	if (!*p)
		return 0;
	p += sizeof(EXIT_KEY) - 1;
	if (p[0] == '0' && (p[1] | 32) == 'x')
		p += 2;
	for (;; p++) {
		unsigned c = (unsigned char)*p | 32;

		if (c >= '0' && c <= '9')
			port = port * 16 + c - '0';
		else if (c >= 'a' && c <= 'f')
			port = port * 16 + c - 'a' + 10;
		else
			return port;
	}
}

static _Noreturn void end_by_port(int status)
{
	uint32_t port = exit_port();

	if (port)
		sup_call(SUP_EXIT_PORT, port, (uint64_t)status, 0);
	halt();
}

void power_exit(int status)
{
	tty_flush();
	vsock_flush();
	if (facts->platform)
		*plat32(EXO_PLAT_EXIT) = (uint32_t)status & 0xff;
	end_by_port(status & 0xff);
}

void power_signal(int sig)
{
	if (facts->platform)
		*plat32(EXO_PLAT_SIGNAL) = (uint32_t)sig;
	end_by_port(128 + sig);
}

static size_t put_text(char *out, size_t at, const char *text)
{
	size_t n = strlen(text);

	memcpy(out + at, text, n);
	return at + n;
}

static size_t put_hex(char *out, size_t at, const char *label, uint64_t v)
{
	at = put_text(out, at, label);
	at = put_text(out, at, "0x");
	for (int shift = 60; shift >= 0; shift -= 4)
		if (v >> shift || shift == 0)
			out[at++] = "0123456789abcdef"[v >> shift & 15];
	return at;
}

/* Our monitor prints the report, with names; others show a line on their console. */
void power_fault(struct exo_fault *f)
{
	char line[512];
	size_t n;

	if (facts->platform)
		*(volatile uint64_t *)(EXO_PLATFORM_GPA + EXO_PLAT_FAULT) = (uintptr_t)f;
	if (f->kind == EXO_FAULT_PANIC) {
		n = put_text(line, 0, "guest: ");
	} else {
		n = put_hex(line, 0, "guest: exception ", f->vector);
		n = put_hex(line, n, " at rip ", f->rip);
		n = put_hex(line, n, ", address ", f->address);
		n = put_hex(line, n, ", error ", f->error);
		if (f->address >= f->stack_guard_lo && f->address < f->stack_guard_hi)
			n = put_text(line, n, " (stack overflow)");
	}
	n = put_text(line, n, f->text);
	line[n++] = '\n';
	tty_report(line, n);
	end_by_port(128 + (int)f->signal);
}

void power_panic(const char *text)
{
	APART static struct exo_fault f;

	f = (struct exo_fault){.kind = EXO_FAULT_PANIC, .signal = SIGABRT};
	strncpy(f.text, text, sizeof(f.text) - 1);
	power_fault(&f);
}
