/*
 * virtio-gpu: pictures, what scanouts show, the pointer (gpu.h). A picture is
 * a blob in the shared memory region, or guest memory with a 2D resource. Ring 3.
 */
#include "gpu_impl.h"

#define PICTURES_MAX 64
#define PAGE 4096ull
#define CURSOR_SIDE 64u
#define CURSOR_BYTES (CURSOR_SIDE * CURSOR_SIDE * 4)
#define COMMANDS_OF_PRESENT 3

static const uint32_t format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM;

struct picture {
	uint32_t id; /* 0: free */
	uint32_t width, height, stride;
	bool shared;
	uint64_t bytes;
	uint8_t *pixels;
};

APART static struct picture pictures[PICTURES_MAX];
static uint32_t last_id;

static struct picture *find(uint32_t id)
{
	for (unsigned i = 0; id && i < PICTURES_MAX; i++)
		if (pictures[i].id == id)
			return &pictures[i];
	return NULL;
}

static struct picture *find_free(void)
{
	for (unsigned i = 0; i < PICTURES_MAX; i++)
		if (!pictures[i].id)
			return &pictures[i];
	return NULL;
}

/* ---- the shared memory region --------------------------------------------------------- */

static const struct picture *in_the_way(uint64_t at, uint64_t bytes)
{
	for (unsigned i = 0; i < PICTURES_MAX; i++) {
		const struct picture *p = &pictures[i];
		uint64_t from = (uintptr_t)p->pixels - gpu_region;

		if (p->id && p->shared && at < from + p->bytes && from < at + bytes)
			return p;
	}
	return NULL;
}

/* The lowest place with room; UINT64_MAX: there is none. */
static uint64_t place(uint64_t bytes)
{
	const struct picture *p;
	uint64_t at = 0;

	while (bytes <= gpu_region_bytes && at <= gpu_region_bytes - bytes) {
		p = in_the_way(at, bytes);
		if (!p)
			return at;
		at = (uintptr_t)p->pixels - gpu_region + p->bytes;
	}
	return UINT64_MAX;
}

static int run_on(uint32_t type, uint32_t id)
{
	/* UNREF, DETACH_BACKING and UNMAP_BLOB have the same form. */
	struct virtio_gpu_resource_detach_backing r = {.hdr.type = type, .resource_id = id};

	return gpu_run(&r, sizeof(r));
}

static int create_shared(struct picture *p)
{
	struct virtio_gpu_resource_create_blob create = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
		.resource_id = p->id,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
		.size = p->bytes,
	};
	struct virtio_gpu_resource_map_blob map = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB,
		.resource_id = p->id,
		.offset = place(p->bytes),
	};
	int err;

	if (map.offset == UINT64_MAX)
		return -ENOMEM;
	p->pixels = (uint8_t *)(uintptr_t)(gpu_region + map.offset);
	p->shared = true; /* the place is taken from here on: others may run while we wait */
	err = gpu_run(&create, sizeof(create));
	if (err < 0)
		return err;
	err = gpu_run(&map, sizeof(map));
	if (err < 0)
		run_on(VIRTIO_GPU_CMD_RESOURCE_UNREF, p->id);
	else
		memset(p->pixels, 0, p->bytes);
	return err;
}

/* ---- guest memory ----------------------------------------------------------------------- */

static int attach(uint32_t id, const void *memory, uint32_t bytes)
{
	struct {
		struct virtio_gpu_resource_attach_backing h;
		struct virtio_gpu_mem_entry entry;
	} r = {
		.h = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
		      .resource_id = id,
		      .nr_entries = 1},
		.entry = {.addr = (uintptr_t)memory, .length = bytes},
	};

	return gpu_run(&r, sizeof(r));
}

/* A 2D resource with this memory behind it. */
static int create_2d(uint32_t id, uint32_t fmt, uint32_t width, uint32_t height, const void *memory)
{
	struct virtio_gpu_resource_create_2d r = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
		.resource_id = id,
		.format = fmt,
		.width = width,
		.height = height,
	};
	int err = gpu_run(&r, sizeof(r));

	if (err < 0)
		return err;
	err = attach(id, memory, width * height * 4);
	if (err < 0)
		run_on(VIRTIO_GPU_CMD_RESOURCE_UNREF, id);
	return err;
}

static int create_copied(struct picture *p)
{
	int err;

	p->pixels = mem_pages(p->bytes);
	if (!p->pixels)
		return -ENOMEM;
	err = create_2d(p->id, format, p->width, p->height, p->pixels);
	if (err < 0)
		mem_pages_free(p->pixels, p->bytes);
	return err;
}

int gpu_create(struct exo_display_picture *out)
{
	struct picture *p = find_free();
	int err;

	if (!out->width || !out->height || out->width > GPU_SIZE_MAX || out->height > GPU_SIZE_MAX)
		return -EINVAL;
	if (!p)
		return -ENOMEM;
	if (!gpu_region_bytes)
		out->flags |= EXO_DISPLAY_COPY;
	*p = (struct picture){.id = ++last_id,
			      .width = out->width,
			      .height = out->height,
			      .stride = out->width * 4};
	p->bytes = ((uint64_t)p->stride * p->height + PAGE - 1) & ~(PAGE - 1);
	err = out->flags & EXO_DISPLAY_COPY ? create_copied(p) : create_shared(p);
	if (err < 0) {
		p->id = 0;
		return err;
	}
	out->id = p->id;
	out->stride = p->stride;
	out->pixels = (uint32_t *)(void *)p->pixels;
	return 0;
}

/* ---- showing ------------------------------------------------------------------------------ */

static void queue_scanout(uint32_t scanout, const struct picture *p)
{
	struct gpu_command c = {.kind = GPU_QUIET, .scanout = scanout};
	struct virtio_gpu_set_scanout r = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT,
		.scanout_id = scanout,
		.r = {.width = p ? p->width : 0, .height = p ? p->height : 0},
		.resource_id = p ? p->id : 0,
	};
	struct virtio_gpu_set_scanout_blob b = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		.scanout_id = scanout,
		.r = r.r,
		.resource_id = r.resource_id,
		.width = r.r.width,
		.height = r.r.height,
		.format = format,
		.strides = {p ? p->stride : 0},
	};

	gpu_scanout[scanout].shown = r.resource_id;
	if (p && p->shared)
		gpu_queue(c, &b, sizeof(b));
	else
		gpu_queue(c, &r, sizeof(r));
}

static void queue_transfer(const struct exo_display_present *a, const struct picture *p)
{
	struct virtio_gpu_transfer_to_host_2d r = {
		.hdr.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
		.r = {a->x, a->y, a->width, a->height},
		.offset = (uint64_t)a->y * p->stride + (uint64_t)a->x * 4,
		.resource_id = p->id,
	};

	gpu_queue((struct gpu_command){.kind = GPU_QUIET, .scanout = a->scanout}, &r, sizeof(r));
}

int gpu_present(const struct exo_display_present *a)
{
	const struct picture *p = find(a->id);
	struct virtio_gpu_resource_flush r = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH,
		.r = {a->x, a->y, a->width, a->height},
		.resource_id = a->id,
	};
	struct gpu_command c = {.kind = GPU_FLUSH, .scanout = a->scanout, .sequence = a->sequence};

	if (!p || a->scanout >= gpu_scanouts || !a->width || !a->height || a->x >= p->width ||
	    a->y >= p->height || a->width > p->width - a->x || a->height > p->height - a->y)
		return -EINVAL;
	if (gpu_broken())
		return -EIO;
	if (gpu_room() < COMMANDS_OF_PRESENT)
		return -EAGAIN;
	if (!p->shared)
		queue_transfer(a, p);
	if (gpu_scanout[a->scanout].shown != p->id)
		queue_scanout(a->scanout, p);
	gpu_queue(c, &r, sizeof(r));
	gpu_kick();
	if (gpu_scanout[a->scanout].flying++ == 0)
		gpu_scanout[a->scanout].seen = a->sequence - 1;
	return 0;
}

int gpu_hide(uint32_t scanout)
{
	struct virtio_gpu_set_scanout r = {.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT,
					   .scanout_id = scanout};

	if (scanout >= gpu_scanouts)
		return -EINVAL;
	if (!gpu_scanout[scanout].shown)
		return 0;
	gpu_scanout[scanout].shown = 0;
	return gpu_run(&r, sizeof(r));
}

int gpu_destroy(uint32_t id)
{
	struct picture *p = find(id);
	bool shared;

	if (!p)
		return -EINVAL;
	shared = p->shared;
	for (unsigned i = 0; i < gpu_scanouts; i++)
		if (gpu_scanout[i].shown == id)
			gpu_hide(i);
	if (shared)
		run_on(VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, id);
	else
		run_on(VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, id);
	run_on(VIRTIO_GPU_CMD_RESOURCE_UNREF, id);
	if (!shared && !gpu_broken()) /* a broken device may write there for ever */
		mem_pages_free(p->pixels, p->bytes);
	p->id = 0;
	return 0;
}

void gpu_release(void)
{
	struct exo_display_event e;

	for (unsigned i = 0; i < PICTURES_MAX; i++)
		if (pictures[i].id)
			gpu_destroy(pictures[i].id);
	while (gpu_event(&e))
		;
}

/* ---- pointer -------------------------------------------------------------------------------- */

static int cursor_make(struct gpu_scanout *o)
{
	uint32_t id = ++last_id;
	int err;

	if (o->cursor)
		return 0;
	if (!o->cursor_pixels)
		o->cursor_pixels = mem_pages(CURSOR_BYTES);
	if (!o->cursor_pixels)
		return -ENOMEM;
	err = create_2d(id, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, CURSOR_SIDE, CURSOR_SIDE,
			o->cursor_pixels);
	if (err == 0)
		o->cursor = id;
	return err;
}

int gpu_cursor(const struct exo_display_cursor *c)
{
	struct virtio_gpu_transfer_to_host_2d transfer = {
		.hdr.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
		.r = {0, 0, CURSOR_SIDE, CURSOR_SIDE},
	};
	struct virtio_gpu_update_cursor r = {
		.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR,
		.pos.scanout_id = c->scanout,
		.hot_x = c->hot_x,
		.hot_y = c->hot_y,
	};
	struct gpu_scanout *o;
	int err;

	if (c->scanout >= gpu_scanouts || c->hot_x >= CURSOR_SIDE || c->hot_y >= CURSOR_SIDE)
		return -EINVAL;
	o = &gpu_scanout[c->scanout];
	if (c->visible) {
		err = cursor_make(o);
		if (err < 0)
			return err;
		memcpy(o->cursor_pixels, c->pixels, CURSOR_BYTES);
		transfer.resource_id = o->cursor;
		err = gpu_run(&transfer, sizeof(transfer));
		if (err < 0)
			return err;
		r.resource_id = o->cursor;
	}
	return gpu_send_cursor(&r) ? 0 : -EAGAIN;
}
