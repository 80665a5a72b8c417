/*
 * The supervisor's calls and its last words. Ring 0, interrupts off, on the
 * stack of the gate that was taken; nothing here blocks. The hot paths
 * (waiting, interrupts, system calls) are in boot.S.
 *
 * Devices: local APIC (Intel SDM vol. 3, ch. 11), I/O APIC (82093AA), the PC's
 * CMOS clock, kvm-clock. Page tables are in sup_pt.c.
 */
#include "sup_ring0.h"

#include <errno.h>

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_X2APIC (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_FS_BASE 0xc0000100
#define CR4_FSGSBASE 0x10000
#define MSR_KVM_CLOCK 0x4b564d01

#define LAPIC_ID 0x20
#define LAPIC_SVR 0xf0
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0
#define LAPIC_SVR_ENABLE 0x100
#define LVT_MASKED 0x10000
#define LVT_TSC_DEADLINE 0x40000

/* KVM's and QEMU's timers run at 1 GHz when nothing says otherwise. */
#define LAPIC_HZ_DEFAULT 1000000000u
/* One-shot mode counts in sixteenths: 68 s of reach, 16 ns of resolution. */
#define LAPIC_DIVIDE_BY_16 3
#define LAPIC_DIVIDE_BY_1 0xb
#define LAPIC_DIVIDE_LOG2 4

enum { TIMER_UNKNOWN, TIMER_TSC_DEADLINE, TIMER_ONE_SHOT };

static struct {
	int timer;           /* TIMER_*; anything but UNKNOWN: the local APIC is set up */
	uint64_t lapic_mult; /* LAPIC timer ticks per TSC tick, 32.32 */
	uint32_t apic_id;
} sup;

/* ---- local APIC and timer ------------------------------------------------ */

static void lapic_write(unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(sup_lapic + reg) = value;
}

static uint32_t lapic_read(unsigned reg)
{
	return *(volatile uint32_t *)(sup_lapic + reg);
}

/*
 * On first use, because a short program needs no interrupts. A local APIC that
 * was handed over in x2APIC mode is taken back to xAPIC mode, which only goes by way of
 * "disabled": with one vCPU that loses nothing, and the interrupt stubs can
 * acknowledge with a single store.
 */
static void lapic_setup(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);
	uint32_t lapic_hz = LAPIC_HZ_DEFAULT;
	uint32_t regs[4];

	if (base & APIC_BASE_X2APIC) {
		base &= ~(uint64_t)(APIC_BASE_X2APIC | APIC_BASE_ENABLE);
		wrmsr(MSR_APIC_BASE, base);
	}
	if (!(base & APIC_BASE_ENABLE))
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	lapic_write(LAPIC_SVR, LAPIC_SVR_ENABLE | SUP_VEC_SPURIOUS);
	sup.apic_id = lapic_read(LAPIC_ID) >> 24;

	cpuid(1, 0, regs);
	if (regs[2] & (1u << 24)) {
		lapic_write(LAPIC_LVT_TIMER, LVT_TSC_DEADLINE | SUP_VEC_TIMER);
		/* SDM 11.5.4.1: the mode must be in force before the first deadline. */
		__asm__ volatile("mfence" ::: "memory");
		sup.timer = TIMER_TSC_DEADLINE;
		return;
	}
	if (sup_facts.boot && sup_facts.boot->lapic_hz)
		lapic_hz = sup_facts.boot->lapic_hz;
	if (sup_facts.tsc_hz)
		sup.lapic_mult =
			((uint64_t)lapic_hz << (32 - LAPIC_DIVIDE_LOG2)) / sup_facts.tsc_hz;
	lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_DIVIDE_BY_16);
	lapic_write(LAPIC_LVT_TIMER, SUP_VEC_TIMER);
	sup.timer = TIMER_ONE_SHOT;
}

int64_t sup_call_timer(uint64_t deadline, uint64_t b, uint64_t c)
{
	uint64_t now, ticks;

	if (sup.timer == TIMER_UNKNOWN)
		lapic_setup();
	if (sup.timer == TIMER_TSC_DEADLINE) {
		wrmsr(MSR_TSC_DEADLINE, deadline);
		return 0;
	}
	now = rdtsc();
	ticks = 0;
	if (deadline > now)
		ticks = (uint64_t)(((unsigned __int128)(deadline - now) * sup.lapic_mult) >> 32) +
			1;
	else if (deadline)
		sup_shared.pending |= SUP_PEND_TIMER;
	lapic_write(LAPIC_TIMER_INITIAL, ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks);
	return 0;
}

/* ---- interrupts ---------------------------------------------------------- */

static void ioapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)sup_ioapic = reg;
	*(volatile uint32_t *)(sup_ioapic + 0x10) = value;
}

static int64_t sup_call_irq(uint64_t gsi, uint64_t b, uint64_t c)
{
	if (gsi >= SUP_GSIS)
		return -EINVAL;
	if (sup.timer == TIMER_UNKNOWN)
		lapic_setup();
	/* After reset the destination is CPU 0: two exits less. */
	if (sup.apic_id)
		ioapic_write(0x11 + 2 * (uint32_t)gsi, sup.apic_id << 24);
	ioapic_write(0x10 + 2 * (uint32_t)gsi, SUP_VEC_GSI + (uint32_t)gsi);
	return SUP_PEND_GSI((int64_t)gsi);
}

/* ---- devices ------------------------------------------------------------- */

static bool in_window(uint64_t gpa, uint64_t len)
{
	if (gpa >= SUP_WINDOW0_BASE && gpa < SUP_WINDOW0_END)
		return len <= SUP_WINDOW0_END - gpa;
	if (gpa >= SUP_WINDOW1_BASE && gpa < SUP_WINDOW1_END)
		return len <= SUP_WINDOW1_END - gpa;
	return false;
}

static int64_t sup_call_mmio_map(uint64_t gpa, uint64_t len, uint64_t c)
{
	return in_window(gpa, len) ? 0 : -EPERM;
}

static int64_t sup_call_mmio_batch(uint64_t list, uint64_t b, uint64_t c)
{
	struct exo_batch *batch = (struct exo_batch *)list;
	uint32_t i, count;

	if ((list & 3) || !sup_pt_user_writable(list, sizeof(*batch)))
		return -EFAULT;
	count = batch->count;
	if (count > EXO_BATCH_MAX)
		return -EINVAL;
	if (!sup_pt_user_writable(list, sizeof(*batch) + count * sizeof(batch->op[0])))
		return -EFAULT;
	for (i = 0; i < count; i++) {
		struct exo_batch_op *op = &batch->op[i];
		volatile uint32_t *reg = (volatile uint32_t *)(uintptr_t)op->gpa;
		bool ok = in_window(op->gpa, 4) && !(op->gpa & 3);

		if (op->flags == EXO_BATCH_READ)
			op->value = ok ? *reg : 0;
		else if (ok)
			*reg = op->value;
	}
	batch->done = count;
	return 0;
}

static int64_t sup_call_set_fs(uint64_t base, uint64_t b, uint64_t c)
{
	if (base >> 47)
		return -EINVAL;
	wrmsr(MSR_FS_BASE, base);
	return 0;
}

static int64_t sup_call_fsgsbase(uint64_t a, uint64_t b, uint64_t c)
{
	uint32_t regs[4];

	cpuid(0, 0, regs);
	if (regs[0] < 7)
		return 0;
	cpuid(7, 0, regs);
	if (!(regs[1] & 1))
		return 0;
	write_cr4(read_cr4() | CR4_FSGSBASE);
	return 1;
}

static int64_t sup_call_exit_port(uint64_t port, uint64_t value, uint64_t c)
{
	if (port < 0xf0 || port > 0xffff)
		return -EPERM;
	outl((uint16_t)port, (uint32_t)value);
	return 0;
}

/* ---- clocks -------------------------------------------------------------- */

static uint32_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static uint32_t from_bcd(uint32_t v, bool binary)
{
	return binary ? v : (v >> 4) * 10 + (v & 15);
}

static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
	/* The year begins in March, so that the leap day is its last. */
	if (m <= 2) {
		y--;
		m += 12;
	}
	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + d - 1 - 719468;
}

static int64_t sup_call_rtc(uint64_t a0, uint64_t a1, uint64_t a2)
{
	uint32_t b = cmos(0x0b), s, min, h, day, mon, year;
	bool binary = b & 4;
	unsigned spin;

	if (b == 0xff)
		return -ENODEV;
	do {
		/* Bit 7 of A: an update is near, values may be torn. */
		for (spin = 0; (cmos(0x0a) & 0x80) && spin < 100000; spin++)
			continue;
		s = cmos(0);
		min = cmos(2);
		h = cmos(4);
		day = cmos(7);
		mon = cmos(8);
		year = cmos(9);
	} while (s != cmos(0));
	if (!(b & 2)) /* twelve-hour mode: bit 7 is PM */
		h = (from_bcd(h & 0x7f, binary) % 12) + ((h & 0x80) ? 12 : 0);
	else
		h = from_bcd(h, binary);
	return days_from_civil(2000 + from_bcd(year, binary), from_bcd(mon, binary),
			       from_bcd(day, binary)) *
		       86400 +
	       h * 3600 + from_bcd(min, binary) * 60 + from_bcd(s, binary);
}

/* struct pvclock_vcpu_time_info, the part that says how fast the TSC is. */
static struct {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
} pvclock __attribute__((aligned(32)));

static uint64_t kvm_clock_hz(void)
{
	uint32_t regs[4];
	uint64_t hz = 0;

	cpuid(0x40000000, 0, regs);
	if (regs[1] != 0x4b4d564b || regs[2] != 0x564b4d56 || regs[3] != 0x4d)
		return 0;
	cpuid(0x40000001, 0, regs);
	if (!(regs[0] & 8)) /* KVM_FEATURE_CLOCKSOURCE2 */
		return 0;
	wrmsr(MSR_KVM_CLOCK, (uint64_t)(uintptr_t)&pvclock | 1);
	__asm__ volatile("" ::: "memory");
	if (pvclock.tsc_to_system_mul) {
		hz = (1000000000ull << 32) / pvclock.tsc_to_system_mul;
		hz = pvclock.tsc_shift < 0 ? hz << -pvclock.tsc_shift : hz >> pvclock.tsc_shift;
	}
	wrmsr(MSR_KVM_CLOCK, 0);
	return hz;
}

static int64_t sup_call_tsc_hz(uint64_t a, uint64_t b, uint64_t c)
{
	const uint32_t ticks = LAPIC_HZ_DEFAULT / 200; /* 5 ms */
	uint64_t hz = kvm_clock_hz(), tsc;
	uint32_t start, now, lvt;

	if (hz)
		return (int64_t)hz;
	if (sup.timer == TIMER_UNKNOWN)
		lapic_setup();
	lvt = lapic_read(LAPIC_LVT_TIMER);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | SUP_VEC_TIMER);
	lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_DIVIDE_BY_1);
	lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
	start = lapic_read(LAPIC_TIMER_CURRENT);
	tsc = rdtsc();
	do {
		now = lapic_read(LAPIC_TIMER_CURRENT);
	} while (start - now < ticks);
	tsc = rdtsc() - tsc;
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_DIVIDE_BY_16);
	lapic_write(LAPIC_LVT_TIMER, lvt);
	hz = tsc * LAPIC_HZ_DEFAULT / (start - now);
	/* The timer may have been set up before the frequency was known. */
	sup.lapic_mult = ((uint64_t)LAPIC_HZ_DEFAULT << (32 - LAPIC_DIVIDE_LOG2)) / (hz ? hz : 1);
	return (int64_t)hz;
}

/* ---- last words ---------------------------------------------------------- */

static struct exo_fault report;

static uint32_t signal_of(uint64_t vector)
{
	switch (vector) {
	case 0:
	case 16:
	case 19:
		return 8; /* SIGFPE */
	case 1:
	case 3:
		return 5; /* SIGTRAP */
	case 6:
		return 4; /* SIGILL */
	case 17:
		return 7; /* SIGBUS */
	default:
		return 11; /* SIGSEGV */
	}
}

/*
 * An exception in ring 0, or in ring 3 with no handler for it or inside it. Tells
 * the platform, else the exit port; returns when there is neither.
 */
void sup_report(const struct sup_frame *frame, uint64_t rbp)
{
	volatile uint32_t *magic = (volatile uint32_t *)(EXO_PLATFORM_GPA + EXO_PLAT_MAGIC);

	report.kind = EXO_FAULT_EXCEPTION;
	report.vector = (uint32_t)frame->vector;
	report.error = frame->error;
	report.address = frame->vector == SUP_VEC_PAGE_FAULT ? read_cr2() : 0;
	report.rip = frame->rip;
	report.rsp = frame->rsp;
	report.rbp = rbp;
	report.stack_guard_lo = sup_layout.guard_lo;
	report.stack_guard_hi = sup_layout.guard_hi;
	report.signal = signal_of(frame->vector);
	if (*magic == EXO_PLAT_MAGIC_VALUE)
		*(volatile uint64_t *)(EXO_PLATFORM_GPA + EXO_PLAT_FAULT) = (uintptr_t)&report;
	if (sup_shared.exit_port)
		outl((uint16_t)sup_shared.exit_port, 128 + report.signal);
}

/* ---- dispatch ------------------------------------------------------------ */

/* In the order of the numbers; SUP_WAIT never comes here. */
sup_call_fn *const sup_calls[SUP_CALLS] = {
	sup_call_timer, sup_call_set_fs, sup_pt_protect,      sup_call_mmio_map,
	sup_call_irq,   sup_call_timer,  sup_call_mmio_batch, sup_call_exit_port,
	sup_call_rtc,   sup_call_tsc_hz, sup_call_fsgsbase,
};
