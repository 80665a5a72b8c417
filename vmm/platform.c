/* The platform page; see platform.h. */
#include "platform.h"

#include "symbols.h"

#include <stdio.h>
#include <string.h>

#define VECTOR_PAGE_FAULT 14
#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_FETCH 16u
#define NULL_BYTES 4096u /* an access below this is called one of NULL */

#define SLEEP_ENABLE 0x20u /* ACPI 6.3, 4.8.3.7 */
#define RESET_VALUE 1u

#define BATCH_CHUNK 64 /* operations copied at once */

static const char *exception_name(uint32_t vector)
{
	static const char *const names[] = {
		[0] = "division by zero",
		[1] = "debug exception",
		[3] = "breakpoint",
		[4] = "overflow",
		[5] = "bound exceeded",
		[6] = "invalid instruction",
		[7] = "no FPU",
		[8] = "double fault",
		[11] = "segment not present",
		[12] = "stack segment fault",
		[13] = "general protection fault",
		[16] = "floating-point error",
		[17] = "misaligned access",
		[18] = "machine check",
		[19] = "SIMD floating-point error",
	};

	if (vector < sizeof(names) / sizeof(names[0]) && names[vector])
		return names[vector];
	return "exception";
}

static void describe_page_fault(const struct exo_fault *f, const char *where, char *line, size_t n)
{
	const char *what = f->error & PF_FETCH   ? "jump to"
			   : f->error & PF_WRITE ? "write to"
						 : "read of";
	const char *kind = "unmapped memory";
	unsigned long long address = f->address;

	if (f->address >= f->stack_guard_lo && f->address < f->stack_guard_hi) {
		snprintf(line, n, "stack overflow in %s (%s 0x%llx)", where, what, address);
		return;
	}
	if (f->address < NULL_BYTES)
		kind = "NULL pointer";
	else if (f->error & PF_PRESENT)
		kind = f->error & PF_FETCH ? "memory that is not code" : "protected memory";
	snprintf(line, n, "%s 0x%llx in %s: %s", what, address, where, kind);
}

void platform_describe_fault(const struct exo_fault *f, int program_fd, char *line, size_t n)
{
	char where[SYMBOLS_NAME_MAX];

	symbols_format(program_fd, f->rip, where, sizeof(where));
	if (f->kind == EXO_FAULT_PANIC)
		snprintf(line, n, "%.*s", (int)sizeof(f->text) - 1, f->text);
	else if (f->kind == EXO_FAULT_EXCEPTION && f->vector == VECTOR_PAGE_FAULT)
		describe_page_fault(f, where, line, n);
	else if (f->kind == EXO_FAULT_EXCEPTION)
		snprintf(line, n, "%s in %s (vector %u, error 0x%llx)", exception_name(f->vector),
			 where, f->vector, (unsigned long long)f->error);
	else
		snprintf(line, n, "fault report of unknown kind %u", f->kind);
}

static void report_fault(struct platform *p, gpa_t gpa)
{
	char line[sizeof(((struct exo_vmm_ended *)0)->detail)];
	struct exo_fault fault;

	if (gmem_read(p->mem, gpa, &fault, sizeof(fault))) {
		p->ops->end(p->opaque, EXO_END_FAULT, 0, "the fault report is not in memory");
		return;
	}
	fault.text[sizeof(fault.text) - 1] = 0;
	platform_describe_fault(&fault, p->program_fd, line, sizeof(line));
	p->ops->end(p->opaque, EXO_END_FAULT, fault.signal & 127, line);
}

/*
 * The list is copied a chunk at a time, each operation once; where it lies was
 * checked as a whole. An access may end the guest: then this does not return.
 */
static void run_batch(struct platform *p, gpa_t gpa)
{
	struct exo_batch_op op[BATCH_CHUNK];
	struct exo_batch head;
	gpa_t at = gpa + sizeof(head);

	if (gmem_read(p->mem, gpa, &head, sizeof(head)) || head.count > EXO_BATCH_MAX ||
	    !gmem_ptr(p->mem, gpa, sizeof(head) + head.count * sizeof(op[0])))
		return;
	for (uint32_t done = 0; done < head.count;) {
		uint32_t left = head.count - done, n = left < BATCH_CHUNK ? left : BATCH_CHUNK;

		gmem_read(p->mem, at, op, n * sizeof(op[0]));
		for (uint32_t i = 0; i < n; i++) {
			bool write = op[i].flags == EXO_BATCH_WRITE;

			if (!write)
				op[i].value = 0;
			if (op[i].flags <= EXO_BATCH_WRITE)
				p->ops->access(p->opaque, op[i].gpa, write, &op[i].value);
		}
		gmem_write(p->mem, at, op, n * sizeof(op[0]));
		at += n * sizeof(op[0]);
		done += n;
	}
	head.done = head.count;
	gmem_write(p->mem, gpa, &head, sizeof(head));
}

static void handle_read(void *opaque, uint64_t off, void *data, size_t len)
{
	static const uint32_t constant[2] = {
		[EXO_PLAT_MAGIC / 4] = EXO_PLAT_MAGIC_VALUE,
		[EXO_PLAT_VERSION / 4] = EXO_PLAT_VERSION_VALUE,
	};

	memset(data, 0, len);
	if (off + len <= sizeof(constant))
		memcpy(data, (const char *)constant + off, len);
}

/* A register takes writes of its own width only; others are dropped. */
static void handle_write(void *opaque, uint64_t off, const void *data, size_t len)
{
	struct platform *p = opaque;
	uint64_t value = 0;

	memcpy(&value, data, len);
	if (off == EXO_PLAT_EXIT && len == 4)
		p->ops->end(p->opaque, EXO_END_EXIT, value & 255, "");
	else if (off == EXO_PLAT_SIGNAL && len == 4)
		p->ops->end(p->opaque, EXO_END_SIGNAL, value & 127, "");
	else if (off == EXO_PLAT_SLEEP && len == 1 && (value & SLEEP_ENABLE))
		p->ops->end(p->opaque, EXO_END_POWEROFF, 0, "");
	else if (off == EXO_PLAT_RESET && len == 1 && value == RESET_VALUE)
		p->ops->end(p->opaque, EXO_END_RESET, 0, "");
	else if (off == EXO_PLAT_FAULT && len == 8)
		report_fault(p, value);
	else if (off == EXO_PLAT_BATCH && len == 8)
		run_batch(p, value);
}

const struct bus_handler platform_handler = {.read = handle_read, .write = handle_write};
