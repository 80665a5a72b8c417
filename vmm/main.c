/*
 * exo-vmm: one guest's machine monitor, started by exo with a control socket as
 * fd 3 and /dev/kvm as fd 4 (include/exo/vmm.h). This is the main thread: it
 * creates the VM, gets the configuration, loads the program, makes the devices,
 * closes the sandbox behind itself and becomes vCPU 0. docs/vmm.md has the whole.
 */
#include "boot.h"
#include "clock.h"
#include "control.h"
#include "fdmsg.h"
#include "image.h"
#include "load.h"
#include "sandbox.h"
#include "thread.h"
#include "vm.h"
#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LAPIC_HZ 1000000000u /* KVM's: its input clock counts nanoseconds */
#define LOOP_POLL_NS 50000u  /* about what a sleep, a wake-up and a disk read cost */

static struct vm vm = {
	.kvm = {.sys_fd = EXO_VMM_KVM_FD, .fd = -1},
	.sock_fd = EXO_VMM_SOCKET_FD,
	.send_lock = PTHREAD_MUTEX_INITIALIZER,
	.end_lock = PTHREAD_MUTEX_INITIALIZER,
};

static void must(int err, const char *what)
{
	if (err)
		vm_end(&vm, EXO_END_HOST, 0, "%s: %s", what, strerror(-err));
}

/*
 * Keys and the terminal's end are for the shell, which tells us; so is being
 * asked to stop. Ctrl-Z does stop us, and the guest with us.
 */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGPIPE};

	for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* Nothing of ours may get a standard stream's number: messages of libc go to 2. */
static void fill_streams(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && dup2(2, fd) < 0)
			dup2(EXO_VMM_SOCKET_FD, fd);
	}
}

static void get_config(void)
{
	static union {
		struct exo_vmm_config config;
		uint8_t bytes[EXO_VMM_MSG_MAX];
	} packet;
	int fds[EXO_VMM_FDS_MAX];
	const char *why;
	unsigned nfds;
	ssize_t n = fdmsg_recv(vm.sock_fd, &packet, sizeof(packet), fds, EXO_VMM_FDS_MAX, &nfds);

	if (n == 0 || n == -ECONNRESET)
		_exit(1); /* the shell has gone, or thought better of it */
	if (n < 0)
		vm_end(&vm, EXO_END_HOST, 0, "receiving the configuration: %s", strerror((int)-n));
	if (config_decode(&vm.config, &packet, (size_t)n, fds, nfds, &why))
		vm_end(&vm, EXO_END_CONFIG, 0, "%s", why);
	vm.cpus = vm.config.wire.cpus;
	vm.platform.program_fd = vm.config.program_fd;
	vm_stage(&vm, EXO_STAGE_CONFIG);
}

static int set_ram(void)
{
	unsigned slot = 0;
	int err = 0;

	for (; !err && slot < vm.mem.nregions; slot++) {
		const struct gmem_region *r = &vm.mem.region[slot];

		err = kvm_set_ram(&vm.kvm, slot, r->base, r->host, r->size);
	}
	if (!err && vm.channels.vm)
		err = kvm_set_ram(&vm.kvm, slot++, EXO_WINDOW_GPA, vm.channels.window.host,
				  vm.channels.window.bytes);
	if (!err && vm.display.desk)
		err = kvm_set_ram(&vm.kvm, slot++, EXO_PICTURE_GPA, vm.display.picture,
				  vm.config.wire.picture_bytes);
	return err;
}

static void make_memory(void)
{
	const struct exo_vmm_config *w = &vm.config.wire;
	char why[IMAGE_WHY_MAX];

	if (image_parse(&vm.image, vm.config.program_fd, why) ||
	    image_check_ram(&vm.image, w->ram_bytes, 0, why) ||
	    ram_init(&vm.ram, &vm.mem, w->ram_bytes, w->flags & EXO_VMM_HUGEPAGES,
		     w->flags & EXO_VMM_PREFAULT, why, sizeof(why)))
		vm_end(&vm, EXO_END_CONFIG, 0, "%s", why);
	if (w->flags & EXO_VMM_SCREEN && display_init(&vm.display, &vm.config, why, sizeof(why)))
		vm_end(&vm, EXO_END_CONFIG, 0, "%s", why);
	if (w->flags & EXO_VMM_CHANNELS_OK)
		must(channels_init(&vm.channels, &vm, w->window_bytes), "shared memory region");
}

static void load_program(void)
{
	const struct exo_vmm_config *w = &vm.config.wire;
	struct boot_config bc = {
		.mem = &vm.mem,
		.image = &vm.image,
		.ram_bytes = w->ram_bytes,
		.window_bytes = w->window_bytes,
		.picture_bytes = w->picture_bytes,
		.cpus = vm.cpus,
		.device = vm.devices.boot,
		.ndevices = vm.devices.n,
		.cmdline = w->cmdline,
		.args_fd = vm.config.args_fd,
		.args_bytes = w->args_bytes,
		.argc = w->argc,
		.envc = w->envc,
		.initrd_fd = vm.config.initrd_fd,
		.flags = w->boot_flags | EXO_BOOT_MSI_EDGE,
		.tty_rows = (uint16_t)w->tty_rows,
		.tty_cols = (uint16_t)w->tty_cols,
		.lapic_hz = LAPIC_HZ,
	};
	char why[IMAGE_WHY_MAX];

	if (load_image(&vm.image, vm.config.program_fd, &vm.mem, why))
		vm_end(&vm, EXO_END_CONFIG, 0, "%s", why);
	must(set_ram(), "giving the VM its memory");
	vm_stage(&vm, EXO_STAGE_MEMORY);
	must(vcpu_adjust(&vm), "setting up the CPUs");
	bc.tsc_hz = vm.tsc_hz;
	bc.wall_ns = vm.wall_ns;
	bc.wall_tsc = vm.wall_tsc;
	if (boot_write(&bc, &vm.entry, why))
		vm_end(&vm, EXO_END_CONFIG, 0, "%s", why);
	close(vm.config.args_fd);
	if (vm.config.initrd_fd >= 0)
		close(vm.config.initrd_fd);
	vm_stage(&vm, EXO_STAGE_LOADED);
}

/*
 * Between guests on few CPUs each loop that looks instead of sleeping takes the CPU
 * from the other end, whose answer it looks for. Disks answer by themselves.
 */
static void choose_polling(void)
{
	const struct exo_vmm_config *w = &vm.config.wire;
	bool between_guests = w->flags & EXO_VMM_CHANNELS_OK && !w->ndisks;

	if (sysconf(_SC_NPROCESSORS_ONLN) > 1 && !between_guests)
		loop_poll(&vm.loop, LOOP_POLL_NS);
}

static void make_devices(void)
{
	const char *what;
	int err = devices_init(&vm.devices, &vm, &what);

	if (err)
		vm_end(&vm, EXO_END_HOST, 0, "%s: %s", what, strerror(-err));
	choose_polling();
	must(fcntl(vm.sock_fd, F_SETFL, O_NONBLOCK) ? -errno : 0, "control socket");
	must(loop_add(&vm.loop, vm.sock_fd, EPOLLIN, control_receive, &vm), "control socket");
	if (vm.config.display_fd >= 0)
		must(fcntl(vm.config.display_fd, F_SETFL, O_NONBLOCK) ? -errno : 0,
		     "the desktop's socket");
	if (vm.config.listen_fd >= 0)
		must(fcntl(vm.config.listen_fd, F_SETFL, O_NONBLOCK) ? -errno : 0,
		     "socket to listen on");
	vm_stage(&vm, EXO_STAGE_DEVICES);
}

/* ---- joints between the parts ----------------------------------------------- */

static void on_message(void *opaque, unsigned pin, uint64_t address, uint32_t data)
{
	(void)kvm_signal_msi(&vm.kvm, address, data); /* the guest's own choice where to */
}

static int on_route(void *opaque, unsigned pin, bool on, uint64_t address, uint32_t data)
{
	return kvm_set_route(&vm.kvm, pin, on, address, data);
}

static void on_end(void *opaque, enum exo_end reason, unsigned status, const char *detail)
{
	vm_end(&vm, reason, status, "%s", detail);
}

static void on_access(void *opaque, gpa_t gpa, bool write, uint32_t *value)
{
	devices_access(&vm.devices, gpa, write, value);
}

static void on_timer(void *opaque)
{
	uint64_t now = clock_now_ns();
	uint32_t due = timers_take_due(&vm.devices.timers, now);

	for (unsigned i = 0; i < EXO_MMIO_SLOTS; i++) {
		if (due & 1u << i)
			devices_timer(&vm.devices, i);
	}
	if (due & 1u << TIMER_DOORBELLS)
		devices_promote(&vm.devices);
	if (due & 1u << TIMER_CHANNELS)
		channels_timer(&vm.channels);
	if (due & 1u << TIMER_LINK)
		link_timer(&vm);
	if (due & 1u << TIMER_WATCHDOG)
		timers_set(&vm.devices.timers, TIMER_WATCHDOG, watchdog_poll(&vm, now));
}

/* All that does not depend on the configuration. */
static void join_parts(void)
{
	static const struct ioapic_ops ioapic_ops = {.send = on_message, .route = on_route};
	static const struct platform_ops platform_ops = {.end = on_end, .access = on_access};

	must(loop_init(&vm.loop), "event loop");
	loop_on_timer(&vm.loop, on_timer, NULL);
	ioapic_init(&vm.ioapic, &ioapic_ops, NULL);
	vm.platform = (struct platform){&platform_ops, NULL, &vm.mem, -1};
	bus_add(&vm.bus, EXO_PLATFORM_GPA, EXO_MMIO_STRIDE, &platform_handler, &vm.platform);
	bus_add(&vm.bus, EXO_MMIO_BASE, EXO_MMIO_SLOTS * EXO_MMIO_STRIDE, &devices_handler,
		&vm.devices);
	bus_add(&vm.bus, EXO_IOAPIC_GPA, EXO_MMIO_STRIDE, &ioapic_handler, &vm.ioapic);
}

/* ---- the guest's life ---------------------------------------------------------- */

/*
 * The second thread. It has nothing to do before the guest runs but to seal itself,
 * so it starts early and is not waited for in vain.
 */
static void *event_loop(void *opaque)
{
	vm.loop_thread = pthread_self();
	must(sandbox_seal(SANDBOX_LOOP), "sandbox");
	gate_open(&vm.sealed, 1);
	gate_sleep(&vm.gate, VM_RUN);
	link_send_started(&vm);
	timers_set(&vm.devices.timers, TIMER_WATCHDOG, watchdog_poll(&vm, clock_now_ns()));
	for (;;) {
		must(loop_run_once(&vm.loop), "event loop");
		vm_end_poll(&vm);
	}
	return NULL;
}

int main(void)
{
	vm_stage(&vm, EXO_STAGE_MAIN);
	vm.pid = getpid();
	if (fcntl(EXO_VMM_SOCKET_FD, F_GETFD) < 0 || fcntl(EXO_VMM_KVM_FD, F_GETFD) < 0) {
		fputs("exo-vmm: only exo starts this program; try exo run PROGRAM\n", stderr);
		return 2;
	}
	ignore_signals();
	fill_streams();
	must(sandbox_begin(EXO_VMM_KVM_FD + 1), "sandbox");
	must(watchdog_init(), "signals");
	must(sandbox_confine(), "sandbox");
	must(thread_start(event_loop, NULL), "starting a thread");
	must(sandbox_drop(), "sandbox");
	vcpu_create_first(&vm);
	join_parts();
	get_config();
	for (unsigned i = 1; i < vm.cpus; i++)
		must(vcpu_start(&vm.vcpu[i], &vm, i), "starting a thread");
	make_memory();
	make_devices();
	load_program();
	must(sandbox_seal(SANDBOX_VCPU), "sandbox");
	gate_wait(&vm.sealed, 1);
	vm_stage(&vm, EXO_STAGE_SANDBOX);
	vm.started = true;
	gate_open(&vm.gate, VM_RUN);
	vcpu_run_first(&vm);
}
