/*
 * An in-memory virtio driver for tests; see drv.h.
 */
#include "drv.h"

#include "clock.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define NO_NEXT 0xffffu

/* ---- the device's host ------------------------------------------------------- */

static struct drv_watch *find_watch(struct drv *d, int fd)
{
	for (unsigned i = 0; i < DRV_WATCHES; i++) {
		if (d->watch[i].fd == fd)
			return &d->watch[i];
	}
	return NULL;
}

/* As epoll does: regular files and directories can't be watched. */
static int host_watch(void *opaque, struct vdev *dev, int fd, uint32_t events, uint64_t token)
{
	struct drv *d = opaque;
	struct drv_watch *w = find_watch(d, fd);
	struct stat st;

	assert(!d->dev || dev == d->dev);
	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return -EPERM;
	if (!w)
		w = find_watch(d, -1);
	if (!w)
		return -ENOSPC;
	*w = (struct drv_watch){.fd = fd, .events = events, .token = token};
	return 0;
}

static void host_unwatch(void *opaque, struct vdev *dev, int fd)
{
	struct drv_watch *w = fd < 0 ? NULL : find_watch(opaque, fd);

	if (w)
		w->fd = -1;
}

static void host_timer(void *opaque, struct vdev *dev, uint64_t deadline_ns)
{
	struct drv *d = opaque;

	d->timer_ns = deadline_ns;
}

static void host_event(void *opaque, struct vdev *dev, const void *msg, size_t len)
{
	struct drv *d = opaque;
	struct drv_event *e;

	assert(len <= sizeof(e->bytes));
	if (d->nevents == DRV_EVENTS) {
		memmove(&d->event[0], &d->event[1], sizeof(d->event[0]) * (DRV_EVENTS - 1));
		d->nevents--;
	}
	e = &d->event[d->nevents++];
	e->len = len;
	memcpy(e->bytes, msg, len);
}

/* ---- shared memory and doorbells ---------------------------------------------- */

static int host_map(void *opaque, struct vdev *dev, int fd, uint64_t bytes, unsigned flags,
		    void **host, uint64_t *offset)
{
	bool guest = flags & VDEV_MAP_GUEST;
	struct drv *d = opaque;
	struct drv_map *m = d->maps;
	struct stat st;

	if (fstat(fd, &st) || (uint64_t)st.st_size != bytes)
		return -EINVAL;
	while (m < d->maps + DRV_MAPS && m->host)
		m++;
	if (m == d->maps + DRV_MAPS ||
	    (guest && d->window_bytes && d->window_used + bytes > d->window_bytes))
		return -ENOSPC;
	m->host = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->host == MAP_FAILED) {
		m->host = NULL;
		return -errno;
	}
	m->bytes = bytes;
	m->offset = guest ? d->next_offset += 1 << 20 : 0;
	d->window_used += guest ? bytes : 0;
	d->nmaps++;
	*host = m->host;
	*offset = m->offset;
	return 0;
}

static void host_unmap(void *opaque, struct vdev *dev, void *host, uint64_t bytes)
{
	struct drv *d = opaque;
	struct drv_map *m = d->maps;

	while (m < d->maps + DRV_MAPS && m->host != host)
		m++;
	assert(m < d->maps + DRV_MAPS && m->bytes == bytes);
	munmap(host, bytes);
	d->window_used -= m->offset ? bytes : 0;
	m->host = NULL;
	d->nmaps--;
}

static int host_bell(void *opaque, struct vdev *dev, int fd, uint32_t key, uint32_t *value)
{
	struct drv *d = opaque;
	struct drv_bell *b = d->bell;

	while (b < d->bell + DRV_BELLS && (!b->count || b->key != key))
		b++;
	if (b < d->bell + DRV_BELLS) {
		close(fd);
	} else {
		for (b = d->bell; b < d->bell + DRV_BELLS && b->count; b++)
			;
		if (b == d->bell + DRV_BELLS) {
			close(fd);
			return -ENOSPC;
		}
		*b = (struct drv_bell){.fd = fd, .key = key};
	}
	b->count++;
	*value = (uint32_t)(b - d->bell) + 1;
	return 0;
}

static void host_unbell(void *opaque, struct vdev *dev, uint32_t value, bool now)
{
	struct drv *d = opaque;
	struct drv_bell *b = &d->bell[value - 1];

	assert(value && value <= DRV_BELLS && b->count);
	d->unbells_now += now;
	if (!--b->count)
		close(b->fd);
}

void *drv_shm(const struct drv *d, uint64_t offset)
{
	for (unsigned i = 0; i < DRV_MAPS; i++) {
		if (d->maps[i].host && offset && d->maps[i].offset == offset)
			return d->maps[i].host;
	}
	return NULL;
}

void drv_ring(struct drv *d, uint32_t value)
{
	uint64_t one = 1;

	if (value && value <= DRV_BELLS && d->bell[value - 1].count)
		assert(write(d->bell[value - 1].fd, &one, sizeof(one)) > 0);
}

unsigned drv_bells(const struct drv *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < DRV_BELLS; i++)
		n += d->bell[i].count != 0;
	return n;
}

static void transport_notify_queue(void *opaque, struct vdev *dev, unsigned q)
{
	struct drv *d = opaque;

	assert(q < dev->nqueues);
	d->notified[q]++;
}

static void transport_notify_config(void *opaque, struct vdev *dev)
{
	struct drv *d = opaque;

	d->config_notified++;
}

const struct drv_watch *drv_watch_of(const struct drv *d, int fd)
{
	for (unsigned i = 0; fd >= 0 && i < DRV_WATCHES; i++) {
		if (d->watch[i].fd == fd)
			return &d->watch[i];
	}
	return NULL;
}

static int wait_ms(const struct drv *d, int timeout_ms)
{
	uint64_t now = clock_now_ns();
	uint64_t left;

	if (!d->timer_ns)
		return timeout_ms;
	left = d->timer_ns > now ? (d->timer_ns - now + 999999) / 1000000 : 0;
	return left < (uint64_t)timeout_ms ? (int)left : timeout_ms;
}

unsigned drv_pump(struct drv *d, int timeout_ms)
{
	struct pollfd pfd[DRV_WATCHES];
	struct drv_watch was[DRV_WATCHES];
	unsigned n = 0, calls = 0;

	for (unsigned i = 0; i < DRV_WATCHES; i++) {
		if (d->watch[i].fd < 0 || !d->watch[i].events)
			continue;
		was[n] = d->watch[i];
		pfd[n++] =
			(struct pollfd){.fd = d->watch[i].fd, .events = (short)d->watch[i].events};
	}
	if (poll(pfd, n, wait_ms(d, timeout_ms)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			const struct drv_watch *w = drv_watch_of(d, was[i].fd);

			/* An earlier callback of this round may have ended the interest. */
			if (!pfd[i].revents || !w || !w->events)
				continue;
			vdev_poll(d->dev, w->fd, (uint32_t)pfd[i].revents, w->token);
			calls++;
		}
	}
	if (d->timer_ns && clock_now_ns() >= d->timer_ns) {
		drv_fire_timer(d);
		calls++;
	}
	return calls;
}

bool drv_fire_timer(struct drv *d)
{
	if (!d->timer_ns)
		return false;
	d->timer_ns = 0;
	vdev_timer(d->dev);
	return true;
}

bool drv_take_event(struct drv *d, struct drv_event *out)
{
	if (!d->nevents)
		return false;
	*out = d->event[0];
	memmove(&d->event[0], &d->event[1], sizeof(d->event[0]) * --d->nevents);
	return true;
}

/* ---- life ------------------------------------------------------------------------ */

static void *map_region(struct drv *d, gpa_t base, size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes + 2 * PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mprotect(p + PAGE, bytes, PROT_READ | PROT_WRITE) ||
	    gmem_add(&d->mem, base, p + PAGE, bytes))
		abort();
	return p;
}

static void forget(struct drv *d)
{
	d->dev = NULL;
	d->brk = PAGE;
	d->queue_size = 64;
	d->timer_ns = 0;
	d->config_notified = d->nevents = 0;
	memset(d->q, 0, sizeof(d->q));
	memset(d->notified, 0, sizeof(d->notified));
	for (unsigned i = 0; i < DRV_WATCHES; i++)
		d->watch[i].fd = -1;
	memset(d->maps, 0, sizeof(d->maps));
	memset(d->bell, 0, sizeof(d->bell));
	d->nmaps = d->unbells_now = 0;
	d->window_used = d->window_bytes = d->next_offset = 0;
}

void drv_init_sized(struct drv *d, size_t low_bytes, size_t high_bytes)
{
	d->mem = (struct gmem){0};
	d->low_bytes = low_bytes;
	d->high_bytes = high_bytes;
	d->map[0] = map_region(d, DRV_LOW_BASE, low_bytes);
	d->map[1] = map_region(d, DRV_HIGH_BASE, high_bytes);
	d->host = (struct vdev_host){.opaque = d,
				     .watch = host_watch,
				     .unwatch = host_unwatch,
				     .timer = host_timer,
				     .event = host_event,
				     .map = host_map,
				     .unmap = host_unmap,
				     .bell = host_bell,
				     .unbell = host_unbell};
	d->transport = (struct vdev_transport){.opaque = d,
					       .notify_queue = transport_notify_queue,
					       .notify_config = transport_notify_config};
	forget(d);
}

void drv_init(struct drv *d)
{
	drv_init_sized(d, DRV_LOW_BYTES, DRV_HIGH_BYTES);
}

void drv_detach(struct drv *d)
{
	vdev_destroy(d->dev);
	assert(!d->nmaps && !drv_bells(d)); /* a device leaves nothing */
	forget(d);
}

void drv_finish(struct drv *d)
{
	drv_detach(d);
	munmap(d->map[0], d->low_bytes + 2 * PAGE);
	munmap(d->map[1], d->high_bytes + 2 * PAGE);
}

void drv_attach(struct drv *d, struct vdev *dev)
{
	assert(dev && !d->dev);
	d->dev = dev;
	dev->transport = &d->transport;
}

void drv_handshake(struct drv *d, uint64_t features)
{
	uint64_t offer, want;

	vdev_set_status(d->dev, 0);
	vdev_set_status(d->dev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	vdev_set_status(d->dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	offer = vdev_features(d->dev, 0) | (uint64_t)vdev_features(d->dev, 1) << 32;
	want = offer & (features | 1ull << VIRTIO_F_VERSION_1);
	vdev_set_driver_features(d->dev, 0, (uint32_t)want);
	vdev_set_driver_features(d->dev, 1, (uint32_t)(want >> 32));
	vdev_set_status(d->dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
					VIRTIO_CONFIG_S_FEATURES_OK);
}

void drv_set_queue_addrs(struct drv *d, unsigned q, gpa_t desc, gpa_t avail, gpa_t used)
{
	const gpa_t gpa[] = {[VQ_DESC] = desc, [VQ_AVAIL] = avail, [VQ_USED] = used};

	for (unsigned part = VQ_DESC; part <= VQ_USED; part++) {
		vdev_queue_set_addr(d->dev, q, (enum vq_part)part, false, (uint32_t)gpa[part]);
		vdev_queue_set_addr(d->dev, q, (enum vq_part)part, true,
				    (uint32_t)(gpa[part] >> 32));
	}
}

void drv_setup_queue(struct drv *d, unsigned q, uint16_t size)
{
	struct drv_queue *dq = &d->q[q];

	*dq = (struct drv_queue){.size = size,
				 .desc = drv_alloc(d, 16ul * size, 16),
				 .avail = drv_alloc(d, 6 + 2ul * size, 2),
				 .used = drv_alloc(d, 6 + 8ul * size, 4)};
	vdev_queue_set_size(d->dev, q, size);
	drv_set_queue_addrs(d, q, dq->desc, dq->avail, dq->used);
	vdev_queue_set_ready(d->dev, q, true);
}

bool drv_start(struct drv *d, uint64_t features)
{
	uint8_t status;

	drv_handshake(d, features);
	for (unsigned q = 0; q < d->dev->nqueues; q++) {
		uint16_t max = vdev_queue_max(d->dev, q);

		drv_setup_queue(d, q, d->queue_size < max ? d->queue_size : max);
	}
	status = vdev_status(d->dev);
	vdev_set_status(d->dev, status | VIRTIO_CONFIG_S_DRIVER_OK);
	return vdev_status(d->dev) == (status | VIRTIO_CONFIG_S_DRIVER_OK);
}

bool drv_needs_reset(struct drv *d)
{
	return vdev_status(d->dev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* ---- memory ------------------------------------------------------------------------- */

gpa_t drv_alloc(struct drv *d, size_t len, size_t align)
{
	gpa_t gpa = (d->brk + align - 1) / align * align;

	assert(gpa + len <= DRV_LOW_BASE + d->low_bytes);
	d->brk = gpa + len;
	memset(drv_ptr(d, gpa, len), 0, len);
	return gpa;
}

void *drv_ptr(struct drv *d, gpa_t gpa, size_t len)
{
	void *p = gmem_ptr(&d->mem, gpa, len);

	assert(p);
	return p;
}

/* ---- rings --------------------------------------------------------------------------- */

struct vring_desc *drv_desc(struct drv *d, unsigned q, uint16_t i)
{
	return drv_ptr(d, d->q[q].desc + 16ull * i, 16);
}

uint16_t *drv_avail_flags(struct drv *d, unsigned q)
{
	return drv_ptr(d, d->q[q].avail, 2);
}

uint16_t *drv_avail_idx(struct drv *d, unsigned q)
{
	return drv_ptr(d, d->q[q].avail + 2, 2);
}

uint16_t *drv_avail_slot(struct drv *d, unsigned q, uint16_t i)
{
	return drv_ptr(d, d->q[q].avail + 4 + 2ull * (i % d->q[q].size), 2);
}

uint16_t *drv_used_event(struct drv *d, unsigned q)
{
	return drv_ptr(d, d->q[q].avail + 4 + 2ull * d->q[q].size, 2);
}

uint16_t *drv_used_flags(struct drv *d, unsigned q)
{
	return drv_ptr(d, d->q[q].used, 2);
}

uint16_t *drv_used_idx(struct drv *d, unsigned q)
{
	return drv_ptr(d, d->q[q].used + 2, 2);
}

uint16_t *drv_avail_event(struct drv *d, unsigned q)
{
	return drv_ptr(d, d->q[q].used + 4 + 8ull * d->q[q].size, 2);
}

static uint16_t take_desc(struct drv_queue *dq)
{
	for (uint16_t i = 0; i < dq->size; i++) {
		if (!dq->busy[i]) {
			dq->busy[i] = true;
			dq->next[i] = NO_NEXT;
			return i;
		}
	}
	assert(!"a free descriptor");
	return 0;
}

void drv_offer(struct drv *d, unsigned q, uint16_t head)
{
	struct drv_queue *dq = &d->q[q];

	*drv_avail_slot(d, q, dq->avail_idx) = head;
	__atomic_store_n(drv_avail_idx(d, q), ++dq->avail_idx, __ATOMIC_RELEASE);
}

uint16_t drv_add(struct drv *d, unsigned q, const struct drv_buf *buf, unsigned n)
{
	struct drv_queue *dq = &d->q[q];
	uint16_t head = NO_NEXT, last = NO_NEXT;

	assert(n);
	for (unsigned i = 0; i < n; i++) {
		uint16_t id = take_desc(dq);

		*drv_desc(d, q, id) =
			(struct vring_desc){.addr = buf[i].gpa,
					    .len = buf[i].len,
					    .flags = buf[i].write ? VRING_DESC_F_WRITE : 0};
		if (last == NO_NEXT) {
			head = id;
		} else {
			drv_desc(d, q, last)->flags |= VRING_DESC_F_NEXT;
			drv_desc(d, q, last)->next = id;
			dq->next[last] = id;
		}
		last = id;
	}
	drv_offer(d, q, head);
	return head;
}

uint16_t drv_add_indirect(struct drv *d, unsigned q, const struct drv_buf *buf, unsigned n)
{
	uint16_t head = take_desc(&d->q[q]);
	gpa_t gpa = drv_alloc(d, 16ul * n, 16);
	struct vring_desc *table = drv_ptr(d, gpa, 16ul * n);

	for (unsigned i = 0; i < n; i++) {
		table[i] = (struct vring_desc){
			.addr = buf[i].gpa,
			.len = buf[i].len,
			.flags = (buf[i].write ? VRING_DESC_F_WRITE : 0) |
				 (i + 1 < n ? VRING_DESC_F_NEXT : 0),
			.next = (uint16_t)(i + 1),
		};
	}
	*drv_desc(d, q, head) =
		(struct vring_desc){.addr = gpa, .len = 16 * n, .flags = VRING_DESC_F_INDIRECT};
	drv_offer(d, q, head);
	return head;
}

void drv_kick(struct drv *d, unsigned q)
{
	d->q[q].kicked = d->q[q].avail_idx;
	vdev_kick(d->dev, q);
}

/* The driver's half of 2.7.10 and 2.7.7. */
bool drv_kick_if_wanted(struct drv *d, unsigned q)
{
	uint16_t new = d->q[q].avail_idx, old = d->q[q].kicked;
	bool wanted;

	if (vdev_has_feature(d->dev, VIRTIO_RING_F_EVENT_IDX))
		wanted = vring_need_event(*drv_avail_event(d, q), new, old);
	else
		wanted = !(*drv_used_flags(d, q) & VRING_USED_F_NO_NOTIFY);
	d->q[q].kicked = new;
	if (wanted)
		vdev_kick(d->dev, q);
	return wanted;
}

bool drv_used(struct drv *d, unsigned q, uint32_t *id, uint32_t *len)
{
	struct drv_queue *dq = &d->q[q];
	const struct vring_used_elem *e;
	uint16_t i;

	if (dq->used_idx == __atomic_load_n(drv_used_idx(d, q), __ATOMIC_ACQUIRE))
		return false;
	e = drv_ptr(d, dq->used + 4 + 8ull * (dq->used_idx++ % dq->size), 8);
	*id = e->id;
	*len = e->len;
	*drv_used_event(d, q) = dq->used_idx; /* ring for the next one */
	assert(e->id < dq->size);
	for (i = (uint16_t)e->id; i != NO_NEXT && dq->busy[i]; i = dq->next[i])
		dq->busy[i] = false;
	return true;
}

bool drv_wait_used(struct drv *d, unsigned q, uint32_t *id, uint32_t *len)
{
	uint64_t end = clock_now_ns() + 2000000000ull;

	while (!drv_used(d, q, id, len)) {
		if (clock_now_ns() >= end)
			return false;
		drv_pump(d, 10);
	}
	return true;
}

uint16_t drv_send(struct drv *d, unsigned q, const void *data, uint32_t len)
{
	struct drv_buf buf = {.gpa = drv_alloc(d, len, 1), .len = len};
	uint16_t head;

	memcpy(drv_ptr(d, buf.gpa, len), data, len);
	head = drv_add(d, q, &buf, 1);
	drv_kick(d, q);
	return head;
}

uint16_t drv_post(struct drv *d, unsigned q, uint32_t len, gpa_t *gpa)
{
	struct drv_buf buf = {.gpa = drv_alloc(d, len, 1), .len = len, .write = true};
	uint16_t head = drv_add(d, q, &buf, 1);

	if (gpa)
		*gpa = buf.gpa;
	drv_kick(d, q);
	return head;
}
