/* Shared memory and doorbells of channels; see channels.h. */
#include "channels.h"

#include "clock.h"
#include "vm.h"

#include <errno.h>
#include <exo/channel.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <sys/mman.h>

static int set_doorbell(void *opaque, int fd, uint32_t value, bool on)
{
	struct channels *c = opaque;

	return kvm_set_doorbell(&c->vm->kvm, fd, c->doorbell_gpa, value, on);
}

int channels_init(struct channels *c, struct vm *vm, uint64_t window_bytes)
{
	static const struct bells_ops ops = {.set = set_doorbell};

	pthread_mutex_init(&c->lock, NULL);
	bells_init(&c->bells, &ops, c);
	c->vm = vm;
	return window_init(&c->window, window_bytes);
}

void channels_set_slot(struct channels *c, unsigned slot)
{
	c->doorbell_gpa = EXO_MMIO_BASE + slot * EXO_MMIO_STRIDE + VIRTIO_MMIO_CONFIG +
			  offsetof(struct exo_vsock_config, doorbell);
	c->gsi = EXO_GSI_BASE + slot;
}

static bool in_loop(const struct channels *c)
{
	return pthread_equal(pthread_self(), c->vm->loop_thread);
}

/* ---- memory ----------------------------------------------------------------------- */

static void unmap_now(struct channels *c, void *host, uint64_t bytes)
{
	int err = 0;

	if (window_has(&c->window, host))
		err = window_unmap(&c->window, (uint64_t)((uint8_t *)host - c->window.host));
	else if (munmap(host, bytes))
		err = -errno;
	else
		c->nprivate--;
	/* What was taken away from the guest it must not have. */
	if (err)
		vm_kill(c->vm, EXO_END_HOST, 0, "unmapping shared memory: %s", strerror(-err));
}

static void unmap_doomed(struct channels *c)
{
	while (c->ndoomed) {
		struct channels_doomed *d = &c->doomed[--c->ndoomed];

		unmap_now(c, d->host, d->bytes);
	}
}

static int map_private(struct channels *c, int fd, uint64_t bytes, int prot, void **host)
{
	int err = c->nprivate < CHANNELS_PRIVATE_MAX ? window_check_memfd(fd, bytes) : -ENOSPC;

	if (err)
		return err;
	*host = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	if (*host == MAP_FAILED)
		return -errno;
	c->nprivate++;
	return 0;
}

int channels_map(struct channels *c, int fd, uint64_t bytes, unsigned flags, void **host,
		 uint64_t *offset)
{
	bool read_only = flags & VDEV_MAP_READ_ONLY;
	int err;

	pthread_mutex_lock(&c->lock);
	unmap_doomed(c);
	if (flags & VDEV_MAP_GUEST) {
		err = window_map(&c->window, fd, bytes, read_only, offset);
		if (!err)
			*host = c->window.host + *offset;
	} else {
		err = map_private(c, fd, bytes, PROT_READ | (read_only ? 0 : PROT_WRITE), host);
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

void channels_unmap(struct channels *c, void *host, uint64_t bytes)
{
	pthread_mutex_lock(&c->lock);
	if (in_loop(c)) {
		unmap_now(c, host, bytes);
	} else { /* there is an entry for everything that can be mapped */
		c->doomed[c->ndoomed++] = (struct channels_doomed){host, bytes};
		timers_set(&c->vm->devices.timers, TIMER_CHANNELS, 1);
	}
	pthread_mutex_unlock(&c->lock);
}

/* ---- doorbells ---------------------------------------------------------------------- */

/*
 * The guest's own doorbell becomes an interrupt line, whose message is that of
 * the device's pin from then on.
 */
static int wire(struct channels *c)
{
	struct vm *vm = c->vm;
	int err;

	if (c->wired)
		return 0;
	err = ioapic_wire(&vm->ioapic, c->gsi);
	if (!err)
		err = kvm_add_irqfd(&vm->kvm, vm->config.guest_bell_fd, c->gsi);
	c->wired = !err;
	return err;
}

int channels_bell(struct channels *c, int fd, uint32_t key, uint32_t *value)
{
	int err;

	pthread_mutex_lock(&c->lock);
	err = wire(c);
	if (err)
		close(fd);
	else
		err = bells_get(&c->bells, fd, key, value);
	pthread_mutex_unlock(&c->lock);
	return err;
}

void channels_unbell(struct channels *c, uint32_t value, bool now)
{
	uint64_t now_ns = clock_now_ns(), at;

	pthread_mutex_lock(&c->lock);
	at = bells_put(&c->bells, value, now_ns, now);
	if (at && at <= now_ns && in_loop(c))
		at = bells_sweep(&c->bells, now_ns);
	if (at) /* not later than what is set already */
		timers_set(&c->vm->devices.timers, TIMER_CHANNELS, c->ndoomed ? 1 : at);
	pthread_mutex_unlock(&c->lock);
}

void channels_timer(struct channels *c)
{
	uint64_t at;

	pthread_mutex_lock(&c->lock);
	unmap_doomed(c);
	at = bells_sweep(&c->bells, clock_now_ns());
	if (at)
		timers_set(&c->vm->devices.timers, TIMER_CHANNELS, at);
	pthread_mutex_unlock(&c->lock);
}

/* ---- granted memory -------------------------------------------------------------------- */

static struct channels_mem *find_mem(struct channels *c, uint64_t mem)
{
	for (unsigned i = 0; i < c->nmems; i++) {
		if (c->mem[i].mem == mem)
			return &c->mem[i];
	}
	return NULL;
}

static int map_mem(struct channels *c, struct exo_vmm_mem *m, int fd)
{
	int err;

	if (find_mem(c, m->mem))
		return -EEXIST;
	if (c->nmems == CHANNELS_MEMS_MAX)
		return -ENOSPC;
	unmap_doomed(c);
	err = window_map(&c->window, fd, m->bytes, m->flags & EXO_MEM_READ_ONLY, &m->offset);
	if (!err)
		c->mem[c->nmems++] = (struct channels_mem){m->mem, m->offset};
	return err;
}

void channels_mem_map(struct channels *c, struct exo_vmm_mem *m, int fd)
{
	pthread_mutex_lock(&c->lock);
	m->status = map_mem(c, m, fd);
	if (m->status)
		m->offset = 0;
	pthread_mutex_unlock(&c->lock);
}

void channels_mem_unmap(struct channels *c, uint64_t mem)
{
	struct channels_mem *m;

	pthread_mutex_lock(&c->lock);
	m = find_mem(c, mem);
	if (m) {
		unmap_now(c, c->window.host + m->offset, 0);
		*m = c->mem[--c->nmems];
	}
	pthread_mutex_unlock(&c->lock);
}

bool channels_read_only(struct channels *c)
{
	bool any;

	if (!c->vm)
		return false;
	pthread_mutex_lock(&c->lock);
	any = c->window.read_only;
	pthread_mutex_unlock(&c->lock);
	return any;
}
