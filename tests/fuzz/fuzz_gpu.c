/*
 * Fuzzes the gpu with a desktop at the other end. Beyond the harness's oracles, the
 * desktop's own: what it hears are whole messages that it may believe (a picture inside its
 * memory, damage inside a picture, never more flushes than may be under way, in order), and
 * a command that waits is answered once the desktop has answered all.
 */
#include "desk.h"
#include "fdmsg.h"
#include "gpu.h"
#include "harness.h"

#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PICTURE (256u << 10)
#define SCANOUTS 2u

static struct desk *desk;
static int peer = -1;

/* What the desktop believes. */
static struct {
	bool shown, counting;
	uint32_t width, height, flushed, answered;
} seen[SCANOUTS];

union message {
	struct exo_dpy_header h;
	struct exo_dpy_hello hello;
	struct exo_dpy_scanout scanout;
	struct exo_dpy_flush flush;
	struct exo_dpy_cursor cursor;
	uint8_t bytes[EXO_DPY_MSG_MAX];
};

/* ---- the desktop --------------------------------------------------------------- */

static void hear_scanout(const struct exo_dpy_scanout *s)
{
	uint64_t end = (uint64_t)(s->height - 1) * s->stride + s->width * 4ull;

	fuzz_check(s->scanout < SCANOUTS, "desktop: a scanout that is none");
	if (s->width)
		fuzz_check(s->width <= EXO_DPY_SIZE_MAX && s->height &&
				   s->height <= EXO_DPY_SIZE_MAX && s->offset % 4 == 0 &&
				   s->stride % 4 == 0 && s->stride / 4 >= s->width &&
				   s->format >= EXO_DPY_FORMAT_XRGB &&
				   s->format <= EXO_DPY_FORMAT_XBGR && s->offset <= PICTURE &&
				   end <= PICTURE - s->offset,
			   "desktop: a picture outside its memory");
	seen[s->scanout].shown = s->width;
	seen[s->scanout].width = s->width;
	seen[s->scanout].height = s->height;
}

static void hear_flush(const struct exo_dpy_flush *f)
{
	fuzz_check(f->scanout < SCANOUTS && seen[f->scanout].shown, "desktop: damage of nothing");
	fuzz_check(f->width && f->height && f->x < seen[f->scanout].width &&
			   f->width <= seen[f->scanout].width - f->x &&
			   f->y < seen[f->scanout].height &&
			   f->height <= seen[f->scanout].height - f->y,
		   "desktop: damage outside the picture");
	if (!seen[f->scanout].counting)
		seen[f->scanout].answered = f->sequence - 1;
	else
		fuzz_check(f->sequence == seen[f->scanout].flushed + 1, "desktop: out of order");
	seen[f->scanout].counting = true;
	seen[f->scanout].flushed = f->sequence;
	fuzz_check(f->sequence - seen[f->scanout].answered <= EXO_DPY_FLUSHES_MAX,
		   "desktop: too much under way");
}

static void hear_cursor(const struct exo_dpy_cursor *c)
{
	fuzz_check(c->scanout < SCANOUTS && c->visible <= 1 && c->hot_x < EXO_DPY_CURSOR_SIZE &&
			   c->hot_y < EXO_DPY_CURSOR_SIZE && c->offset % 4 == 0 &&
			   c->offset <= PICTURE - 64 * 64 * 4,
		   "desktop: a cursor that is none");
}

static void hear(void)
{
	static union message m;
	unsigned nfds;
	ssize_t n;

	while (peer >= 0 && (n = fdmsg_recv(peer, &m, sizeof(m), NULL, 0, &nfds)) > 0) {
		fuzz_check((size_t)n >= sizeof(m.h) && m.h.magic == EXO_DPY_MAGIC &&
				   m.h.size == (size_t)n && !m.h.reserved,
			   "desktop: not a message");
		switch (m.h.type) {
		case EXO_DPY_SCANOUT:
			fuzz_check(n == sizeof(m.scanout), "desktop: size");
			hear_scanout(&m.scanout);
			break;
		case EXO_DPY_FLUSH:
			fuzz_check(n == sizeof(m.flush), "desktop: size");
			hear_flush(&m.flush);
			break;
		case EXO_DPY_CURSOR:
			fuzz_check(n == sizeof(m.cursor), "desktop: size");
			hear_cursor(&m.cursor);
			break;
		default:
			fuzz_check(false, "desktop: type");
		}
	}
}

static void tell(enum exo_dpy_type type, void *msg, size_t len)
{
	*(struct exo_dpy_header *)msg =
		(struct exo_dpy_header){EXO_DPY_MAGIC, type, (uint32_t)len, 0};
	if (peer >= 0 && !fdmsg_send(peer, msg, len, NULL, 0) && !desk_receive(desk))
		desk_set_socket(desk, -1);
}

static void come_and_go(bool come)
{
	static union message m;
	unsigned nfds;
	int pair[2], fd;

	hear();
	if (peer >= 0)
		close(peer);
	peer = -1;
	memset(seen, 0, sizeof(seen));
	if (!come) {
		desk_set_socket(desk, -1);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		abort();
	peer = pair[1];
	desk_set_socket(desk, pair[0]);
	if (fdmsg_recv(peer, &m, sizeof(m), &fd, 1, &nfds) != sizeof(m.hello))
		abort();
	close(fd);
}

static void present(uint32_t scanout, uint32_t sequence)
{
	struct exo_dpy_presented p = {.scanout = scanout, .sequence = sequence};

	if (sequence - seen[scanout].answered <= seen[scanout].flushed - seen[scanout].answered)
		seen[scanout].answered = sequence;
	tell(EXO_DPY_PRESENTED, &p, sizeof(p));
}

static void event(struct fuzz *f)
{
	uint8_t what = fuzz_u8(f);
	uint32_t i = what >> 7;
	struct exo_dpy_mode m = {.scanout = i, .scale = EXO_DPY_SCALE_MIN + (what & 31) * 20};

	hear();
	switch (what & 7) {
	case 0:
		come_and_go(what & 0x70);
		break;
	case 1:
		m.width = fuzz_u16(f) % (EXO_DPY_SIZE_MAX + 1);
		m.height = m.width ? 1 + fuzz_u16(f) % EXO_DPY_SIZE_MAX : 0;
		tell(EXO_DPY_MODE, &m, sizeof(m));
		break;
	case 2:
		present(i, fuzz_u32(f));
		break;
	default:
		if (seen[i].counting)
			present(i, seen[i].flushed - (what >> 3 & 3));
		break;
	}
}

/* ---- the driver ---------------------------------------------------------------------- */

static struct vdev *create(struct fuzz *f)
{
	struct desk_setup setup = {.picture_bytes = PICTURE, .scanouts = SCANOUTS};
	struct gpu_resources res = {
		.scanouts = SCANOUTS, .width = 64, .height = 48, .scale = EXO_DPY_SCALE_ONE};
	struct vdev *dev;

	setup.picture_fd = memfd_create("picture", MFD_CLOEXEC);
	if (setup.picture_fd < 0 || ftruncate(setup.picture_fd, PICTURE))
		abort();
	res.desk = desk = desk_create(&setup);
	if (!desk)
		abort();
	dev = gpu_create(&f->d.mem, &f->d.host, &res);
	if (!dev)
		abort();
	dev->shm_bytes = PICTURE;
	if (fuzz_u8(f) & 7)
		come_and_go(true);
	return dev;
}

/* An id that mostly exists, or mostly does not; a coordinate that is mostly small. */
static uint32_t id(struct fuzz *f)
{
	return fuzz_rare(f) ? fuzz_u32(f) : 1 + fuzz_u8(f) % 4;
}

static uint32_t small(struct fuzz *f, uint32_t below)
{
	return fuzz_rare(f) ? fuzz_u32(f) : fuzz_u8(f) % below;
}

static struct virtio_gpu_rect rect(struct fuzz *f)
{
	uint8_t how = fuzz_u8(f);

	if (how < 0xa0)
		return (struct virtio_gpu_rect){0, 0, how & 1 ? 16 : 64, how & 1 ? 16 : 64};
	return (struct virtio_gpu_rect){small(f, 64), small(f, 64), small(f, 66), small(f, 66)};
}

static uint32_t entries(struct fuzz *f, struct fuzz_chain *c)
{
	uint8_t how = fuzz_u8(f);
	uint32_t n = how & 0x80 ? 1 + how % 32 : 1;
	struct virtio_gpu_mem_entry e;

	for (uint32_t i = 0; i < n; i++) {
		e = (struct virtio_gpu_mem_entry){fuzz_u16(f) & 0x7fff, 0x8000 / n, 0};
		if (how & 0x40)
			e.length = 1 + fuzz_u16(f) % 0x8000;
		if (fuzz_rare(f))
			fuzz_bytes(f, &e, sizeof(e));
		memcpy(c->data + c->data_len, &e, sizeof(e));
		c->data_len += sizeof(e);
	}
	return fuzz_rare(f) ? fuzz_u32(f) : n;
}

static void put(struct fuzz_chain *c, const void *cmd, uint32_t len)
{
	memcpy(c->data, cmd, len);
	c->data_len = c->data_len > len ? c->data_len : len;
}

static void put_blob(struct fuzz *f, struct fuzz_chain *c, struct virtio_gpu_ctrl_hdr hdr)
{
	uint8_t how = fuzz_u8(f);
	struct virtio_gpu_resource_create_blob b = {.hdr = hdr,
						    .resource_id = id(f),
						    .blob_mem = how & 1 ? 2 : 1,
						    .blob_flags = how & 1};

	b.size = how & 2 ? 0x4000 : 0x1000u * (1 + how % 9);
	if (fuzz_rare(f))
		b.size = fuzz_u64(f);
	if (fuzz_rare(f))
		b.blob_mem = fuzz_u8(f);
	c->data_len = sizeof(b);
	if (!(how & 1))
		b.nr_entries = entries(f, c);
	put(c, &b, sizeof(b));
}

static void put_scanout_blob(struct fuzz *f, struct fuzz_chain *c, struct virtio_gpu_ctrl_hdr hdr)
{
	uint8_t how = fuzz_u8(f);
	struct virtio_gpu_set_scanout_blob b = {
		.hdr = hdr,
		.r = rect(f),
		.scanout_id = how & 1,
		.resource_id = how & 2 ? id(f) : id(f) * (how >> 7),
		.width = how & 4 ? 16 : 64,
		.height = how & 4 ? 16 : 64,
		.format = 1 + (how >> 3 & 1),
		.strides = {how & 16  ? 256
			    : how & 4 ? 64
				      : 260},
		.offsets = {how & 32 ? 4u * fuzz_u8(f) : 0},
	};

	if (fuzz_rare(f))
		fuzz_bytes(f, &b.scanout_id, 24);
	if (fuzz_rare(f))
		fuzz_bytes(f, b.strides, sizeof(b.strides) + sizeof(b.offsets));
	put(c, &b, sizeof(b));
}

/* Commands of one shape: a header, a rectangle or not, an id, and some more. */
static void put_other(struct fuzz *f, struct fuzz_chain *c, struct virtio_gpu_ctrl_hdr hdr)
{
	union {
		struct virtio_gpu_ctrl_hdr hdr;
		struct virtio_gpu_resource_create_2d create;
		struct virtio_gpu_resource_unref unref;
		struct virtio_gpu_set_scanout scanout;
		struct virtio_gpu_resource_flush flush;
		struct virtio_gpu_transfer_to_host_2d transfer;
		struct virtio_gpu_resource_attach_backing attach;
		struct virtio_gpu_cmd_get_edid edid;
		struct virtio_gpu_resource_map_blob map;
	} u = {.hdr = hdr};
	uint8_t how;

	switch (hdr.type) {
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_2D:
		how = fuzz_u8(f);
		u.create.resource_id = id(f);
		u.create.format = how & 0x40 ? small(f, 140) : 1 + (how & 1);
		u.create.width = how & 0x80 ? small(f, 255) : 64;
		u.create.height = how & 0x80 ? small(f, 255) : 64;
		break;
	case VIRTIO_GPU_CMD_SET_SCANOUT:
		how = fuzz_u8(f);
		u.scanout.r = rect(f);
		u.scanout.scanout_id = fuzz_rare(f) ? fuzz_u32(f) : how & 1;
		u.scanout.resource_id = how & 0x60 ? id(f) : 0;
		break;
	case VIRTIO_GPU_CMD_RESOURCE_FLUSH:
		u.flush.r = rect(f);
		u.flush.resource_id = id(f);
		break;
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D:
		u.transfer.r = rect(f);
		u.transfer.resource_id = id(f);
		u.transfer.offset = fuzz_rare(f) ? fuzz_u64(f) : 4u * fuzz_u8(f);
		break;
	case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
		u.map.resource_id = id(f);
		u.map.offset = fuzz_rare(f) ? fuzz_u64(f) : 4096u * (fuzz_u8(f) % 66);
		break;
	case VIRTIO_GPU_CMD_GET_EDID:
		u.edid.scanout = small(f, 3);
		break;
	default:
		u.unref.resource_id = id(f);
		break;
	}
	c->data_len = sizeof(u.attach);
	if (hdr.type == VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING)
		u.attach.nr_entries = entries(f, c);
	put(c, &u,
	    hdr.type == VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING ? sizeof(u.attach) : sizeof(u));
}

static void chain(struct fuzz *f, unsigned q, struct fuzz_chain *c)
{
	static const uint16_t types[] = {
		VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
		VIRTIO_GPU_CMD_GET_EDID,
		VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
		VIRTIO_GPU_CMD_RESOURCE_UNREF,
		VIRTIO_GPU_CMD_SET_SCANOUT,
		VIRTIO_GPU_CMD_RESOURCE_FLUSH,
		VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
		VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
		VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
		VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
		VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB,
		VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB,
		VIRTIO_GPU_CMD_RESOURCE_FLUSH,
		VIRTIO_GPU_CMD_RESOURCE_FLUSH,
		VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
	};
	uint8_t what = fuzz_u8(f);
	struct virtio_gpu_ctrl_hdr hdr = {
		.type = types[what & 15], .flags = what >> 4 & 1, .fence_id = what};

	c->write_len = what & 0x20 ? 24 : 1100;
	if (fuzz_rare(f))
		c->write_len = fuzz_u16(f) % FUZZ_DATA_MAX;
	if (fuzz_rare(f))
		hdr.type = fuzz_u32(f);
	if (q) {
		struct virtio_gpu_update_cursor u = {.hdr = hdr};

		u.hdr.type = what & 1 ? VIRTIO_GPU_CMD_UPDATE_CURSOR : VIRTIO_GPU_CMD_MOVE_CURSOR;
		u.pos.scanout_id = small(f, 3);
		u.resource_id = what & 2 ? id(f) : 0;
		u.hot_x = small(f, 66);
		c->write_len = what & 4 ? 24 : 0;
		put(c, &u, sizeof(u));
	} else if (hdr.type == VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB) {
		put_blob(f, c, hdr);
	} else if (hdr.type == VIRTIO_GPU_CMD_SET_SCANOUT_BLOB) {
		put_scanout_blob(f, c, hdr);
	} else {
		put_other(f, c, hdr);
	}
	if (fuzz_rare(f))
		c->data_len = fuzz_u16(f) % FUZZ_DATA_MAX;
}

/* The desktop answers all, and then nothing waits any more. */
static void settle(struct fuzz *f)
{
	if (!f->d.dev->running)
		return;
	hear();
	for (unsigned q = 0; q < 2; q++)
		drv_kick_if_wanted(&f->d, q);
	for (unsigned i = 0; i < 8; i++) {
		hear();
		drv_fire_timer(&f->d);
		for (uint32_t s = 0; s < SCANOUTS; s++) {
			if (seen[s].counting)
				present(s, seen[s].flushed);
		}
	}
	for (unsigned q = 0; q < 2; q++)
		fuzz_check(*drv_used_idx(&f->d, q) == f->d.q[q].avail_idx, "a command was lost");
}

static void cleanup(struct fuzz *f)
{
	hear();
	desk_destroy(desk);
	desk = NULL;
	if (peer >= 0)
		close(peer);
	peer = -1;
	memset(seen, 0, sizeof(seen));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_target target = {.create = create,
						  .chain = chain,
						  .event = event,
						  .settle = settle,
						  .cleanup = cleanup};

	return fuzz_run(&target, data, size);
}
