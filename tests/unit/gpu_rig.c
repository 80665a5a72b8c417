/*
 * See gpu_rig.h.
 */
#include "gpu_rig.h"

#include "fdmsg.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRATCH 0x20000u /* half for a command, half for its answer */

void gpu_rig_init(struct gpu_rig *r, unsigned scanouts, uint64_t features)
{
	struct gpu_resources res = {
		.scanouts = scanouts, .width = 640, .height = 480, .scale = 120};
	struct desk_setup setup = {.picture_bytes = GPU_RIG_PICTURE, .scanouts = scanouts};
	struct vdev *dev;

	memset(r, 0, sizeof(*r));
	drv_init(&r->d);
	r->peer = -1;
	r->fd = memfd_create("picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(r->fd, GPU_RIG_PICTURE), 0);
	r->picture = mmap(NULL, GPU_RIG_PICTURE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	ck_assert(r->picture != MAP_FAILED);
	setup.picture_fd = dup(r->fd);
	res.desk = r->desk = desk_create(&setup);
	ck_assert_ptr_nonnull(r->desk);
	dev = gpu_create(&r->d.mem, &r->d.host, &res);
	ck_assert_ptr_nonnull(dev);
	dev->shm_base = 0x200000000ull;
	dev->shm_bytes = GPU_RIG_PICTURE;
	drv_attach(&r->d, dev);
	ck_assert(drv_start(&r->d, features));
	r->scratch = drv_alloc(&r->d, SCRATCH, 8);
}

void gpu_rig_finish(struct gpu_rig *r)
{
	drv_finish(&r->d);
	desk_destroy(r->desk);
	if (r->peer >= 0)
		close(r->peer);
	munmap(r->picture, GPU_RIG_PICTURE);
	close(r->fd);
}

/* ---- the desktop ------------------------------------------------------------- */

void gpu_rig_desktop(struct gpu_rig *r)
{
	union gpu_rig_message m;
	unsigned nfds;
	int pair[2], fd;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	if (r->peer >= 0)
		close(r->peer);
	r->peer = pair[1];
	desk_set_socket(r->desk, pair[0]);
	ck_assert_int_eq(fdmsg_recv(r->peer, &m, sizeof(m), &fd, 1, &nfds), sizeof(m.hello));
	ck_assert_uint_eq(m.h.type, EXO_DPY_HELLO);
	close(fd);
}

bool gpu_rig_hear(struct gpu_rig *r, union gpu_rig_message *m)
{
	unsigned nfds;
	ssize_t n = fdmsg_recv(r->peer, m, sizeof(*m), NULL, 0, &nfds);

	if (n <= 0)
		return false;
	ck_assert_uint_eq(m->h.magic, EXO_DPY_MAGIC);
	ck_assert_uint_eq(m->h.size, n);
	return true;
}

void gpu_rig_expect(struct gpu_rig *r, enum exo_dpy_type type, union gpu_rig_message *m)
{
	ck_assert(gpu_rig_hear(r, m));
	ck_assert_uint_eq(m->h.type, type);
}

bool gpu_rig_silent(struct gpu_rig *r)
{
	union gpu_rig_message m;

	return !gpu_rig_hear(r, &m);
}

static void tell(struct gpu_rig *r, enum exo_dpy_type type, void *msg, size_t len)
{
	*(struct exo_dpy_header *)msg =
		(struct exo_dpy_header){EXO_DPY_MAGIC, type, (uint32_t)len, 0};
	ck_assert_int_eq(fdmsg_send(r->peer, msg, len, NULL, 0), 0);
	ck_assert(desk_receive(r->desk));
}

void gpu_rig_mode(struct gpu_rig *r, uint32_t scanout, uint32_t width, uint32_t height,
		  uint32_t scale)
{
	struct exo_dpy_mode m = {
		.scanout = scanout, .width = width, .height = height, .scale = scale};

	tell(r, EXO_DPY_MODE, &m, sizeof(m));
}

void gpu_rig_presented(struct gpu_rig *r, uint32_t scanout, uint32_t sequence)
{
	struct exo_dpy_presented m = {.scanout = scanout, .sequence = sequence, .time_ns = 1};

	tell(r, EXO_DPY_PRESENTED, &m, sizeof(m));
}

/* ---- the driver ---------------------------------------------------------------- */

uint16_t gpu_rig_offer(struct gpu_rig *r, unsigned q, const void *cmd, uint32_t len, uint32_t room)
{
	gpa_t answer = r->scratch + SCRATCH / 2;
	struct drv_buf buf[2] = {{.gpa = r->scratch, .len = len},
				 {.gpa = answer, .len = room, .write = true}};
	uint16_t head;

	ck_assert_uint_le(len, SCRATCH / 2);
	memcpy(drv_ptr(&r->d, r->scratch, len), cmd, len);
	memset(drv_ptr(&r->d, answer, SCRATCH / 2), 0, SCRATCH / 2);
	head = drv_add(&r->d, q, buf, room ? 2 : 1);
	drv_kick(&r->d, q);
	return head;
}

uint32_t gpu_rig_say(struct gpu_rig *r, const void *cmd, uint32_t len, uint32_t room)
{
	uint16_t head = gpu_rig_offer(r, 0, cmd, len, room);
	uint32_t id;

	ck_assert(drv_used(&r->d, 0, &id, &r->len));
	ck_assert_uint_eq(id, head);
	ck_assert_uint_le(r->len, sizeof(r->resp));
	memset(&r->resp, 0, sizeof(r->resp));
	memcpy(&r->resp, drv_ptr(&r->d, r->scratch + SCRATCH / 2, r->len), r->len);
	return r->resp.hdr.type;
}

#define SAY(r, cmd) gpu_rig_say(r, &(cmd), sizeof(cmd), 4096)

uint32_t gpu_rig_cursor(struct gpu_rig *r, uint32_t type, uint32_t scanout, uint32_t id,
			uint32_t hot_x, uint32_t hot_y)
{
	struct virtio_gpu_update_cursor c = {.hdr.type = type,
					     .pos.scanout_id = scanout,
					     .resource_id = id,
					     .hot_x = hot_x,
					     .hot_y = hot_y};
	uint16_t head = gpu_rig_offer(r, 1, &c, sizeof(c), 24);
	uint32_t used;

	ck_assert(drv_used(&r->d, 1, &used, &r->len));
	ck_assert_uint_eq(used, head);
	memcpy(&r->resp, drv_ptr(&r->d, r->scratch + SCRATCH / 2, 24), 24);
	return r->resp.hdr.type;
}

uint32_t gpu_rig_create(struct gpu_rig *r, uint32_t id, uint32_t format, uint32_t width,
			uint32_t height)
{
	struct virtio_gpu_resource_create_2d c = {
		{.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D}, id, format, width, height};

	return SAY(r, c);
}

uint32_t gpu_rig_unref(struct gpu_rig *r, uint32_t id)
{
	struct virtio_gpu_resource_unref c = {{.type = VIRTIO_GPU_CMD_RESOURCE_UNREF}, id, 0};

	return SAY(r, c);
}

uint32_t gpu_rig_attach(struct gpu_rig *r, uint32_t id, const struct virtio_gpu_mem_entry *e,
			uint32_t n)
{
	struct {
		struct virtio_gpu_resource_attach_backing c;
		struct virtio_gpu_mem_entry e[2048];
	} m = {.c = {{.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING}, id, n}};

	ck_assert_uint_le(n, 2048);
	memcpy(m.e, e, n * sizeof(*e));
	return gpu_rig_say(r, &m, (uint32_t)(sizeof(m.c) + n * sizeof(*e)), 4096);
}

uint32_t gpu_rig_detach(struct gpu_rig *r, uint32_t id)
{
	struct virtio_gpu_resource_detach_backing c = {
		{.type = VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING}, id, 0};

	return SAY(r, c);
}

uint32_t gpu_rig_transfer(struct gpu_rig *r, uint32_t id, struct virtio_gpu_rect rect,
			  uint64_t offset)
{
	struct virtio_gpu_transfer_to_host_2d c = {
		{.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D}, rect, offset, id, 0};

	return SAY(r, c);
}

uint32_t gpu_rig_scanout(struct gpu_rig *r, uint32_t scanout, uint32_t id,
			 struct virtio_gpu_rect rect)
{
	struct virtio_gpu_set_scanout c = {{.type = VIRTIO_GPU_CMD_SET_SCANOUT}, rect, scanout, id};

	return SAY(r, c);
}

uint32_t gpu_rig_flush(struct gpu_rig *r, uint32_t id, struct virtio_gpu_rect rect)
{
	struct virtio_gpu_resource_flush c = {{.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH}, rect, id, 0};

	return SAY(r, c);
}

uint16_t gpu_rig_flush_late(struct gpu_rig *r, uint32_t id, struct virtio_gpu_rect rect)
{
	struct virtio_gpu_resource_flush c = {{.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH}, rect, id, 0};

	return gpu_rig_offer(r, 0, &c, sizeof(c), 24);
}

uint32_t gpu_rig_blob(struct gpu_rig *r, uint32_t id, uint32_t mem, uint32_t flags, uint64_t size,
		      const struct virtio_gpu_mem_entry *e, uint32_t n)
{
	struct {
		struct virtio_gpu_resource_create_blob c;
		struct virtio_gpu_mem_entry e[64];
	} m = {.c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
		     .resource_id = id,
		     .blob_mem = mem,
		     .blob_flags = flags,
		     .nr_entries = n,
		     .size = size}};

	ck_assert_uint_le(n, 64);
	if (n)
		memcpy(m.e, e, n * sizeof(*e));
	return gpu_rig_say(r, &m, (uint32_t)(sizeof(m.c) + n * sizeof(*e)), 4096);
}

uint32_t gpu_rig_scanout_blob(struct gpu_rig *r, uint32_t scanout, uint32_t id, uint32_t width,
			      uint32_t height, uint32_t stride, uint32_t offset)
{
	struct virtio_gpu_set_scanout_blob c = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		.r = {0, 0, width, height},
		.scanout_id = scanout,
		.resource_id = id,
		.width = width,
		.height = height,
		.format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
		.strides = {stride},
		.offsets = {offset},
	};

	return SAY(r, c);
}

uint32_t gpu_rig_map(struct gpu_rig *r, uint32_t id, uint64_t offset)
{
	struct virtio_gpu_resource_map_blob c = {
		{.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB}, id, 0, offset};

	return SAY(r, c);
}

uint32_t gpu_rig_unmap(struct gpu_rig *r, uint32_t id)
{
	struct virtio_gpu_resource_unmap_blob c = {
		{.type = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB}, id, 0};

	return SAY(r, c);
}

bool gpu_rig_answered(struct gpu_rig *r, uint16_t head)
{
	uint32_t id;

	if (!drv_used(&r->d, 0, &id, &r->len))
		return false;
	ck_assert_uint_eq(id, head);
	return true;
}
