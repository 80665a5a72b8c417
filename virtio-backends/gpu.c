/*
 * virtio-gpu, see gpu.h (VIRTIO 1.2, 5.7): the device, its two queues and what a
 * desktop says. Runs in whichever thread rings the doorbell and in the event loop.
 *
 * A command is copied out of the ring once, as long as its type is, and answered
 * in order; a RESOURCE_FLUSH is answered when it was presented, see gpu_scanout.c.
 * A turn copies about WORK_MAX bytes; the timer brings us back for the rest.
 */
#include "gpu_impl.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/mman.h>

#define WORK_MAX (64u << 20)
#define COMMAND_WORK 4096 /* what a command costs, however little it copies */

enum { CONTROL, CURSOR, QUEUES };

static struct gpu *gpu_of(struct vdev *dev)
{
	return (struct gpu *)dev; /* dev is its first member */
}

/* ---- what displays there are ------------------------------------------------------ */

/*
 * VIRTIO_GPU_EVENT_DISPLAY, without losing one: Linux's driver asks first and clears the event
 * afterwards, whatever has happened in between. If what was answered is not true any more when
 * the event is cleared, it is raised again.
 */
static void raise_display(struct gpu *g, unsigned scanout)
{
	if (!(g->config.events_read & VIRTIO_GPU_EVENT_DISPLAY))
		g->answered = g->stale = 0;
	g->stale |= g->answered & (GPU_EDID_OF(scanout) | GPU_INFO);
	g->config.events_read |= VIRTIO_GPU_EVENT_DISPLAY;
	vdev_config_changed(&g->dev);
}

static void clear_display(struct gpu *g)
{
	bool again = g->stale;

	g->config.events_read &= ~(uint32_t)VIRTIO_GPU_EVENT_DISPLAY;
	g->answered = g->stale = 0;
	if (!again)
		return;
	g->config.events_read |= VIRTIO_GPU_EVENT_DISPLAY;
	vdev_config_changed(&g->dev);
}

static void answered(struct gpu *g, uint32_t what)
{
	g->answered |= what;
	g->stale &= ~what;
}

/* 5.7.6.8: they stand side by side from the left. */
static uint32_t get_display_info(struct gpu *g)
{
	uint32_t x = 0;

	for (unsigned i = 0; i < g->nscanouts; i++) {
		const struct gpu_mode *m = &g->scanout[i].mode;
		struct virtio_gpu_display_one *one = &g->resp.display_info.pmodes[i];

		one->r = (struct virtio_gpu_rect){x, 0, m->width, m->height};
		one->enabled = m->width != 0;
		x += m->width;
	}
	answered(g, GPU_INFO);
	return VIRTIO_GPU_RESP_OK_DISPLAY_INFO;
}

static uint32_t get_edid(struct gpu *g)
{
	uint32_t i = g->cmd.get_edid.scanout;

	if (i >= g->nscanouts)
		return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
	g->resp.edid.size = GPU_EDID_BYTES;
	gpu_edid(g->resp.edid.edid, &g->scanout[i].mode, i);
	answered(g, GPU_EDID_OF(i));
	return VIRTIO_GPU_RESP_OK_EDID;
}

/* ---- commands ------------------------------------------------------------------------ */

static const struct command {
	uint32_t type;
	uint16_t bytes;
	uint16_t room; /* that its answer needs, if it is more than a header */
	uint8_t queue;
	uint8_t feature; /* a bit that must have been negotiated; 0: none */
	uint32_t (*run)(struct gpu *g);
} commands[] = {
#define C(t, what) .type = VIRTIO_GPU_CMD_##t, .bytes = sizeof(((union gpu_command *)0)->what)
#define BLOB .feature = VIRTIO_GPU_F_RESOURCE_BLOB
#define ROOM(what) .room = sizeof(((union gpu_response *)0)->what)
	{C(GET_DISPLAY_INFO, hdr), ROOM(display_info), .run = get_display_info},
	{C(GET_EDID, get_edid), ROOM(edid), .feature = VIRTIO_GPU_F_EDID, .run = get_edid},
	{C(RESOURCE_CREATE_2D, create_2d), .run = gpu_create_2d},
	{C(RESOURCE_UNREF, unref), .run = gpu_unref},
	{C(RESOURCE_ATTACH_BACKING, attach), .run = gpu_attach_backing},
	{C(RESOURCE_DETACH_BACKING, detach), .run = gpu_detach_backing},
	{C(TRANSFER_TO_HOST_2D, transfer), .run = gpu_transfer},
	{C(SET_SCANOUT, set_scanout), .run = gpu_set_scanout},
	{C(RESOURCE_FLUSH, flush), .run = gpu_flush},
	{C(RESOURCE_CREATE_BLOB, create_blob), BLOB, .run = gpu_create_blob},
	{C(SET_SCANOUT_BLOB, set_scanout_blob), BLOB, .run = gpu_set_scanout_blob},
	{C(RESOURCE_MAP_BLOB, map), BLOB, ROOM(map_info), .run = gpu_map_blob},
	{C(RESOURCE_UNMAP_BLOB, unmap), BLOB, .run = gpu_unmap_blob},
	{C(UPDATE_CURSOR, cursor), .queue = CURSOR, .run = gpu_cursor},
	{C(MOVE_CURSOR, cursor), .queue = CURSOR, .run = gpu_cursor},
#undef C
#undef BLOB
#undef ROOM
};

static const struct command *command_of(const struct gpu *g, unsigned q, uint32_t type)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = &commands[i];

		if (c->type == type && c->queue == q &&
		    (!c->feature || vdev_has_feature(&g->dev, c->feature)))
			return c;
	}
	return NULL;
}

static uint32_t response_bytes(uint32_t type)
{
	switch (type) {
	case VIRTIO_GPU_RESP_OK_DISPLAY_INFO:
		return sizeof(struct virtio_gpu_resp_display_info);
	case VIRTIO_GPU_RESP_OK_EDID:
		return sizeof(struct virtio_gpu_resp_edid);
	case VIRTIO_GPU_RESP_OK_MAP_INFO:
		return sizeof(struct virtio_gpu_resp_map_info);
	default:
		return sizeof(struct virtio_gpu_ctrl_hdr);
	}
}

/* Reads g->chain's command and does it: VIRTIO_GPU_RESP_*. */
static uint32_t run(struct gpu *g, unsigned q)
{
	struct virtio_gpu_ctrl_hdr *hdr = &g->cmd.hdr;
	const struct command *c;
	size_t rest;

	memset(hdr, 0, sizeof(*hdr));
	if (vq_read(&g->chain, hdr, sizeof(*hdr)) != sizeof(*hdr))
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	c = command_of(g, q, hdr->type);
	if (!c || vq_writable(&g->chain) < c->room)
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	rest = c->bytes - sizeof(*hdr);
	if (vq_read(&g->chain, hdr + 1, rest) != rest)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	return c->run(g);
}

/*
 * Writes the answer; the bytes written. One for which there is no room (Linux's cursor
 * commands) stays unsaid.
 */
static uint32_t answer(struct gpu *g, uint32_t type)
{
	struct virtio_gpu_ctrl_hdr *hdr = &g->resp.hdr;
	uint32_t bytes = response_bytes(type);

	if (vq_writable(&g->chain) < bytes)
		return 0;
	hdr->type = type;
	if (g->cmd.hdr.flags & VIRTIO_GPU_FLAG_FENCE) {
		hdr->flags = VIRTIO_GPU_FLAG_FENCE;
		hdr->fence_id = g->cmd.hdr.fence_id;
		hdr->ctx_id = g->cmd.hdr.ctx_id;
	}
	return (uint32_t)vq_write(&g->chain, &g->resp, bytes);
}

static void one(struct gpu *g, unsigned q)
{
	uint32_t type, len;

	memset(&g->resp, 0, sizeof(g->resp));
	g->waiting = NULL;
	g->work += COMMAND_WORK;
	type = run(g, q);
	len = answer(g, type);
	if (g->waiting) {
		g->waiting->head = g->chain.head;
		g->waiting->len = len;
	} else {
		vq_complete(&g->dev.vq[q], g->chain.head, len);
	}
}

/* ---- the device -------------------------------------------------------------------------- */

static void gpu_kick(struct vdev *dev, unsigned q)
{
	struct gpu *g = gpu_of(dev);
	int r = 0;

	g->work = 0;
	while (g->work < WORK_MAX && (r = vq_next(&dev->vq[q], &g->chain)) > 0)
		one(g, q);
	if (r < 0)
		vdev_fail(dev, "gpu: malformed ring or chain");
	else if (r)
		dev->host->timer(dev->host->opaque, dev, 1);
	vdev_flush(dev, q);
}

static void gpu_timer(struct vdev *dev)
{
	for (unsigned q = 0; q < QUEUES; q++) {
		if (dev->running)
			gpu_kick(dev, q);
	}
}

/* events_clear: write to clear (5.7.4). */
static void gpu_config_write(struct vdev *dev, size_t off, const void *src, size_t len)
{
	struct gpu *g = gpu_of(dev);
	uint32_t bits;

	if (off != offsetof(struct virtio_gpu_config, events_clear) || len != sizeof(bits))
		return;
	memcpy(&bits, src, sizeof(bits));
	if (bits & VIRTIO_GPU_EVENT_DISPLAY)
		clear_display(g);
}

/* Flushes that wait are never answered; the desktop hears that nothing is shown. */
static void gpu_reset(struct vdev *dev)
{
	struct gpu *g = gpu_of(dev);

	memset(g->pending, 0, sizeof(g->pending));
	gpu_forget_resources(g);
	dev->host->timer(dev->host->opaque, dev, 0);
}

static void gpu_destroy(struct vdev *dev)
{
	munmap(gpu_of(dev), sizeof(struct gpu));
}

static const struct vdev_class gpu_class = {
	.name = "virtio-gpu",
	.device_id = VIRTIO_ID_GPU,
	.features = 1ull << VIRTIO_GPU_F_EDID | 1ull << VIRTIO_GPU_F_RESOURCE_BLOB,
	.nqueues = QUEUES,
	.queue_size_max = GPU_QUEUE_SIZE,
	.config_bytes = sizeof(struct virtio_gpu_config),
	.kick = gpu_kick,
	.timer = gpu_timer,
	.config_write = gpu_config_write,
	.reset = gpu_reset,
	.destroy = gpu_destroy,
};

/* ---- the desktop ----------------------------------------------------------------------------- */

static void on_mode(struct vdev *dev, const struct exo_dpy_mode *m)
{
	struct gpu *g = gpu_of(dev);
	struct gpu_mode mode = {m->width, m->height, m->scale, m->refresh_mhz};

	if (m->scanout >= g->nscanouts || m->width > EXO_DPY_SIZE_MAX ||
	    m->height > EXO_DPY_SIZE_MAX || !m->width != !m->height || (m->width && !m->scale))
		return;
	if (!mode.scale)
		mode.scale = EXO_DPY_SCALE_ONE;
	pthread_mutex_lock(&dev->lock);
	if (memcmp(&mode, &g->scanout[m->scanout].mode, sizeof(mode)) != 0) {
		g->scanout[m->scanout].mode = mode;
		raise_display(g, m->scanout);
	}
	pthread_mutex_unlock(&dev->lock);
}

static void on_presented(struct vdev *dev, const struct exo_dpy_presented *p)
{
	struct gpu *g = gpu_of(dev);

	if (p->scanout >= g->nscanouts)
		return;
	pthread_mutex_lock(&dev->lock);
	gpu_presented(g, p);
	vdev_flush(dev, CONTROL);
	pthread_mutex_unlock(&dev->lock);
}

static void on_attached(struct vdev *dev, bool there)
{
	pthread_mutex_lock(&dev->lock);
	gpu_attached(gpu_of(dev), there);
	vdev_flush(dev, CONTROL);
	pthread_mutex_unlock(&dev->lock);
}

static const struct desk_listener listener = {
	.attached = on_attached,
	.mode = on_mode,
	.presented = on_presented,
};

struct vdev *gpu_create(const struct gmem *mem, const struct vdev_host *host,
			const struct gpu_resources *res)
{
	struct gpu *g;
	int err;

	assert(res->scanouts >= 1 && res->scanouts <= EXO_DPY_SCANOUTS_MAX);
	/* All the memory it will ever use, reserved. */
	g = mmap(NULL, sizeof(*g), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (g == MAP_FAILED)
		return NULL;
	madvise(g, sizeof(*g), MADV_NOHUGEPAGE);
	vdev_init(&g->dev, &gpu_class, mem, host);
	memcpy(g->dev.name, "gpu", sizeof("gpu"));
	g->dev.config = &g->config;
	g->dev.shm_id = VIRTIO_GPU_SHM_ID_HOST_VISIBLE;
	g->config.num_scanouts = g->nscanouts = res->scanouts;
	for (unsigned i = 0; i < g->nscanouts; i++)
		g->scanout[i].mode.scale = EXO_DPY_SCALE_ONE;
	g->scanout[0].mode = (struct gpu_mode){res->width, res->height,
					       res->scale ? res->scale : EXO_DPY_SCALE_ONE, 0};
	g->desk = res->desk;
	g->picture = desk_picture(res->desk, &g->picture_bytes);
	g->there = desk_there(res->desk);
	err = desk_listen(res->desk, &g->dev, &listener, 0);
	if (err)
		goto fail;
	return &g->dev;
fail:
	gpu_destroy(&g->dev);
	errno = -err;
	return NULL;
}
