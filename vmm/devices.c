/* The guest's devices; see devices.h. */
#include "devices.h"

#include "block.h"
#include "console.h"
#include "control.h"
#include "gpu.h"
#include "input.h"
#include "rng.h"
#include "sound.h"
#include "vm.h"
#include "vsock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- what devices may ask of us (their lock is held) --------------------------- */

static void on_fd(void *opaque, int fd, uint32_t events)
{
	struct devices *d = opaque;

	vdev_poll(d->watch[fd].dev, fd, events, d->watch[fd].token);
}

static int host_watch(void *opaque, struct vdev *dev, int fd, uint32_t events, uint64_t token)
{
	struct devices *d = opaque;

	if (fd < 0 || fd >= LOOP_CHUNK)
		return -EMFILE;
	d->watch[fd].token = token;
	if (loop_has(&d->vm->loop, fd))
		return loop_mod(&d->vm->loop, fd, events);
	d->watch[fd].dev = dev;
	return loop_add(&d->vm->loop, fd, events, on_fd, d);
}

static void host_unwatch(void *opaque, struct vdev *dev, int fd)
{
	struct devices *d = opaque;

	loop_del(&d->vm->loop, fd);
}

static struct mmio *slot_of(struct devices *d, const struct vdev *dev)
{
	for (unsigned i = 0; i < d->n; i++) {
		if (d->slot[i].dev == dev)
			return &d->slot[i];
	}
	return NULL;
}

static void host_timer(void *opaque, struct vdev *dev, uint64_t deadline_ns)
{
	struct devices *d = opaque;
	const struct mmio *m = slot_of(d, dev);

	assert(m); /* devices set timers when they run, not in create */
	timers_set(&d->timers, m->slot, deadline_ns);
}

static void host_event(void *opaque, struct vdev *dev, const void *msg, size_t len)
{
	struct devices *d = opaque;

	control_forward(d->vm, dev == d->console, msg, len);
}

/* ---- with channels ------------------------------------------------------------------ */

static int host_map(void *opaque, struct vdev *dev, int fd, uint64_t bytes, unsigned flags,
		    void **host, uint64_t *offset)
{
	struct devices *d = opaque;

	return channels_map(&d->vm->channels, fd, bytes, flags, host, offset);
}

static void host_unmap(void *opaque, struct vdev *dev, void *host, uint64_t bytes)
{
	struct devices *d = opaque;

	channels_unmap(&d->vm->channels, host, bytes);
}

static int host_bell(void *opaque, struct vdev *dev, int fd, uint32_t key, uint32_t *value)
{
	struct devices *d = opaque;

	return channels_bell(&d->vm->channels, fd, key, value);
}

static void host_unbell(void *opaque, struct vdev *dev, uint32_t value, bool now)
{
	struct devices *d = opaque;

	channels_unbell(&d->vm->channels, value, now);
}

/* ---- interrupts and doorbells ---------------------------------------------------- */

static void on_interrupt(void *opaque, struct mmio *m)
{
	struct devices *d = opaque;

	ioapic_raise(&d->vm->ioapic, EXO_GSI_BASE + m->slot);
}

/* The event loop does it: vCPU threads may not make fds. */
static void on_busy(void *opaque, struct mmio *m, unsigned q)
{
	struct devices *d = opaque;

	atomic_fetch_or(&d->busy[m->slot], 1u << q);
	timers_set(&d->timers, TIMER_DOORBELLS, 1);
}

static const struct mmio_ops mmio_ops = {.interrupt = on_interrupt, .busy = on_busy};

static void on_bell(void *opaque, int fd, uint32_t events)
{
	struct bell *bell = opaque;
	uint64_t rings;

	if (read(fd, &rings, sizeof(rings)) == (ssize_t)sizeof(rings))
		vdev_kick(bell->mmio->dev, bell->q);
}

/* Failing is no harm: the doorbell goes on being an exit. */
static void promote(struct devices *d, struct mmio *m, unsigned q)
{
	struct bell *bell = &d->bell[d->nbells];
	int fd;

	if (d->nbells == sizeof(d->bell) / sizeof(d->bell[0]))
		return;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return;
	*bell = (struct bell){m, q};
	if (loop_add(&d->vm->loop, fd, EPOLLIN, on_bell, bell) == 0) {
		if (kvm_set_doorbell(&d->vm->kvm, fd, d->boot[m->slot].gpa + 0x50, q, true) == 0) {
			d->nbells++;
			return;
		}
		loop_del(&d->vm->loop, fd);
	}
	close(fd);
}

void devices_promote(struct devices *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		uint32_t queues = atomic_exchange(&d->busy[i], 0);

		for (unsigned q = 0; q < VDEV_QUEUES_MAX; q++) {
			if (queues & 1u << q)
				promote(d, &d->slot[i], q);
		}
	}
}

void devices_timer(struct devices *d, unsigned slot)
{
	vdev_timer(d->slot[slot].dev);
}

/* ---- accesses ------------------------------------------------------------------------ */

static void handle_read(void *opaque, uint64_t off, void *data, size_t len)
{
	struct devices *d = opaque;
	uint64_t slot = off / EXO_MMIO_STRIDE;

	memset(data, 0, len);
	if (slot < d->n)
		mmio_read(&d->slot[slot], off % EXO_MMIO_STRIDE, data, len);
}

static void handle_write(void *opaque, uint64_t off, const void *data, size_t len)
{
	struct devices *d = opaque;
	uint64_t slot = off / EXO_MMIO_STRIDE;

	if (slot < d->n)
		mmio_write(&d->slot[slot], off % EXO_MMIO_STRIDE, data, len);
}

const struct bus_handler devices_handler = {.read = handle_read, .write = handle_write};

void devices_access(struct devices *d, gpa_t gpa, bool write, uint32_t *value)
{
	uint64_t off = gpa - EXO_MMIO_BASE;

	if (gpa < EXO_MMIO_BASE || off >= EXO_MMIO_SLOTS * EXO_MMIO_STRIDE)
		return;
	if (write)
		handle_write(d, off, value, sizeof(*value));
	else
		handle_read(d, off, value, sizeof(*value));
}

/* ---- the table ------------------------------------------------------------------------ */

static void put(struct devices *d, struct vdev *dev)
{
	struct exo_boot_device *b = &d->boot[d->n];

	assert(d->n < EXO_MMIO_SLOTS);
	mmio_init(&d->slot[d->n], dev, d->n, &mmio_ops, d);
	b->gpa = EXO_MMIO_BASE + d->n * EXO_MMIO_STRIDE;
	b->gsi = EXO_GSI_BASE + d->n;
	b->device_id = dev->cls->device_id;
	memcpy(b->name, dev->name, sizeof(b->name));
	b->name[sizeof(b->name) - 1] = 0;
	d->n++;
}

static int add_console(struct devices *d, struct config *c)
{
	struct console_resources res = {
		.stdin_fd = c->stdin_fd,
		.stdout_fd = c->stdout_fd,
		.stderr_fd = c->stderr_fd,
		.rows = (uint16_t)c->wire.tty_rows,
		.cols = (uint16_t)c->wire.tty_cols,
	};

	d->console = console_create(&d->vm->mem, &d->host, &res);
	if (!d->console)
		return -errno;
	put(d, d->console);
	return 0;
}

static int add_rng(struct devices *d)
{
	struct vdev *dev = rng_create(&d->vm->mem, &d->host);

	if (!dev)
		return -errno;
	put(d, dev);
	return 0;
}

static int add_disk(struct devices *d, struct config *c, unsigned i)
{
	const struct exo_vmm_disk *w = &c->wire.disk[i];
	struct block_resources res = {
		.fd = c->disk_fd[i],
		.flags = w->flags & EXO_VMM_DISK_RO ? BLOCK_READ_ONLY : 0,
		.bytes = w->bytes,
		.name = w->name,
	};
	struct vdev *dev = block_create(&d->vm->mem, &d->host, &res);

	if (!dev)
		return -errno;
	put(d, dev);
	return 0;
}

static int add_vsock(struct devices *d, struct config *c)
{
	struct vsock_resources res = {
		.guest_cid = VSOCK_GUEST_CID,
		.vmm_bell_fd = c->vmm_bell_fd,
		.direct = c->wire.flags & EXO_VMM_CHANNELS_OK,
	};

	if (res.direct) {
		d->host.map = host_map;
		d->host.unmap = host_unmap;
		d->host.bell = host_bell;
		d->host.unbell = host_unbell;
	}
	d->vsock = vsock_create(&d->vm->mem, &d->host, &res);
	if (!d->vsock)
		return -errno;
	if (res.direct) {
		d->vsock->shm_base = EXO_WINDOW_GPA;
		d->vsock->shm_bytes = c->wire.window_bytes;
		channels_set_slot(&d->vm->channels, d->n);
	}
	put(d, d->vsock);
	d->slot[d->n - 1].patient = res.direct;
	return 0;
}

static int add_gpu(struct devices *d, struct config *c)
{
	struct gpu_resources res = {
		.desk = d->vm->display.desk,
		.scanouts = c->wire.scanouts,
		.width = c->wire.width,
		.height = c->wire.height,
		.scale = c->wire.scale,
	};
	struct vdev *dev = gpu_create(&d->vm->mem, &d->host, &res);

	if (!dev)
		return -errno;
	dev->shm_base = EXO_PICTURE_GPA;
	dev->shm_bytes = c->wire.picture_bytes;
	put(d, dev);
	return 0;
}

/* The gpu, then the inputs in the order of enum exo_dpy_device, then sound. */
static int add_screen(struct devices *d, struct config *c, const char **what)
{
	uint32_t inputs = c->wire.inputs;
	bool playback = inputs & EXO_DPY_HAS_PLAYBACK, capture = inputs & EXO_DPY_HAS_CAPTURE;
	struct desk *desk = d->vm->display.desk;
	struct vdev *dev;
	int err;

	*what = "gpu";
	err = add_gpu(d, c);
	*what = "input";
	for (unsigned kind = 0; !err && kind < EXO_DPY_DEVICES; kind++) {
		if (!(inputs & EXO_DPY_HAS_KEYBOARD << kind))
			continue;
		dev = input_create(&d->vm->mem, &d->host, desk, kind, c->wire.scanouts);
		if (!dev)
			return -errno;
		put(d, dev);
	}
	if (err || !(playback || capture))
		return err;
	*what = "sound";
	dev = sound_create(&d->vm->mem, &d->host, desk, playback, capture);
	if (!dev)
		return -errno;
	put(d, dev);
	return 0;
}

int devices_init(struct devices *d, struct vm *vm, const char **what)
{
	struct config *c = &vm->config;
	int err;

	d->vm = vm;
	d->host = (struct vdev_host){
		.opaque = d,
		.watch = host_watch,
		.unwatch = host_unwatch,
		.timer = host_timer,
		.event = host_event,
	};
	timers_init(&d->timers, &vm->loop);
	*what = "console";
	err = add_console(d, c);
	if (!err && c->wire.flags & EXO_VMM_RNG) {
		*what = "rng";
		err = add_rng(d);
	}
	for (unsigned i = 0; !err && i < c->wire.ndisks; i++) {
		*what = c->wire.disk[i].name;
		err = add_disk(d, c, i);
	}
	if (!err && c->wire.flags & EXO_VMM_VSOCK) {
		*what = "vsock";
		err = add_vsock(d, c);
	}
	if (!err && vm->display.desk)
		err = add_screen(d, c, what);
	if (!err && c->display_fd >= 0)
		display_set_socket(&vm->display, &vm->loop, c->display_fd);
	return err;
}

/* ---- the end, and statistics ------------------------------------------------------------ */

void devices_hurry(struct devices *d)
{
	if (!d->vsock)
		return;
	for (unsigned q = 0; q < d->vsock->nqueues; q++)
		vdev_kick(d->vsock, q);
}

bool devices_pending(struct devices *d, bool patient)
{
	bool output = d->console && !console_drain(d->console);

	return output || (patient && d->vsock && vsock_pending(d->vsock));
}

void devices_stages(struct devices *d, _Atomic uint64_t *stage_ns)
{
	uint64_t first = 0;

	for (unsigned i = 0; i < d->n; i++) {
		uint64_t ns = d->slot[i].driver_ok_ns;

		if (ns && (!first || ns < first))
			first = ns;
	}
	stage_ns[EXO_STAGE_DRIVER] = first;
	if (d->console)
		stage_ns[EXO_STAGE_OUTPUT] = console_first_output_ns(d->console);
}

void devices_count(struct devices *d, struct exo_vmm_stats *stats)
{
	for (unsigned i = 0; i < d->n; i++) {
		struct vdev *dev = d->slot[i].dev;

		pthread_mutex_lock(&dev->lock);
		stats->kicks += dev->kicks;
		pthread_mutex_unlock(&dev->lock);
		stats->interrupts += d->slot[i].interrupts;
	}
}
