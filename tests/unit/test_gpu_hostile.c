/*
 * virtio-gpu: what hostile guests do. Sizes that overflow and too much memory (H-22),
 * ids, scanouts and backing that are not there or not there any more (H-23), answers that
 * do not fit (H-05), and floods.
 */
#include "gpu_rig.h"
#include "unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define NO_MEMORY VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
#define NO_RESOURCE VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define NO_SCANOUT VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID
#define WRONG VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define UNKNOWN VIRTIO_GPU_RESP_ERR_UNSPEC
#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define RECT(...) ((struct virtio_gpu_rect){__VA_ARGS__})
#define GUEST VIRTIO_GPU_BLOB_MEM_GUEST
#define HOST VIRTIO_GPU_BLOB_MEM_HOST3D
#define MAPPABLE VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct gpu_rig r;
static union gpu_rig_message m;

static void setup(void)
{
	gpu_rig_init(&r, 2, DRV_ALL_FEATURES);
	gpu_rig_desktop(&r);
}

static void teardown(void)
{
	ck_assert(!drv_needs_reset(&r.d));
	gpu_rig_finish(&r);
}

static struct virtio_gpu_mem_entry whole(void)
{
	return (struct virtio_gpu_mem_entry){GPU_RIG_FB, GPU_RIG_FB_BYTES, 0};
}

static void attach(uint32_t id)
{
	struct virtio_gpu_mem_entry e = whole();

	ck_assert_uint_eq(gpu_rig_attach(&r, id, &e, 1), OK);
}

/* ---- H-22 ---------------------------------------------------------------------- */

START_TEST(h22_sizes)
{
	static const uint32_t wrong[][2] = {{0, 1},
					    {1, 0},
					    {16385, 1},
					    {1, 16385},
					    {0x10000, 0x10000},
					    {0x8000, 0x8000},
					    {0xffffffff, 1},
					    {1, 0xffffffff},
					    {0x40000001, 1},
					    {0x40000000, 16},
					    {0xffffffff, 0xffffffff}};

	for (unsigned i = 0; i < COUNT(wrong); i++)
		ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, wrong[i][0], wrong[i][1]), WRONG);
	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 16384, 16384), NO_MEMORY); /* 1 GiB */
	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 16384, 33), NO_MEMORY);
	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 16384, 32), OK); /* all there is */
	ck_assert_uint_eq(gpu_rig_create(&r, 2, XRGB, 1, 1), NO_MEMORY);
	ck_assert_uint_eq(gpu_rig_unref(&r, 1), OK);
	for (uint32_t format = 0; format < 200; format++) {
		bool known = format == 1 || format == 2 || format == 67 || format == 134;

		ck_assert_uint_eq(gpu_rig_create(&r, 1, format, 1, 1), known ? OK : WRONG);
		if (known)
			ck_assert_uint_eq(gpu_rig_unref(&r, 1), OK);
	}
}
END_TEST

START_TEST(h22_quota)
{
	uint32_t n = 0;

	/* As many as there are places for, and not one page more. */
	while (gpu_rig_create(&r, n + 1, XRGB, 64, 64) == OK)
		n++;
	ck_assert_uint_eq(n, GPU_RIG_PICTURE / 0x4000);
	ck_assert_uint_eq(r.resp.hdr.type, NO_MEMORY);
	for (uint32_t id = 1; id <= n; id += 2)
		ck_assert_uint_eq(gpu_rig_unref(&r, id), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 1000, XRGB, 64, 65), NO_MEMORY); /* in pieces */
	for (uint32_t id = 2; id <= n; id += 2)
		ck_assert_uint_eq(gpu_rig_unref(&r, id), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 1000, XRGB, 1024, 512), OK);
}
END_TEST

START_TEST(h22_resources)
{
	for (uint32_t id = 1; id <= 256; id++)
		ck_assert_uint_eq(gpu_rig_create(&r, id * 7, XRGB, 1, 1), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 1, 1), NO_MEMORY);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, HOST, MAPPABLE, 4, NULL, 0), NO_MEMORY);
	ck_assert_uint_eq(gpu_rig_unref(&r, 7), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 1, 1), OK);
}
END_TEST

/* Backing of one byte an entry: there are so many entries and no more; they come back. */
START_TEST(h22_entries)
{
	static struct virtio_gpu_mem_entry e[2048];
	uint32_t id = 0;

	for (unsigned i = 0; i < COUNT(e); i++)
		e[i] = (struct virtio_gpu_mem_entry){GPU_RIG_FB + i, 1, 0};
	for (unsigned round = 0; round < 3; round++) {
		for (id = 1; id <= 33; id++) {
			ck_assert_uint_eq(gpu_rig_create(&r, id, XRGB, 16, 32), OK);
			if (gpu_rig_attach(&r, id, e, 2048) != OK)
				break;
		}
		ck_assert_uint_eq(r.resp.hdr.type, NO_MEMORY);
		ck_assert_uint_eq(id, 33);
		/* The others' are where they were. */
		memset(drv_ptr(&r.d, GPU_RIG_FB, 2048), 0x5a, 2048);
		for (id = 1; id <= 33; id += 2)
			ck_assert_uint_eq(gpu_rig_unref(&r, id), OK);
		ck_assert_uint_eq(gpu_rig_transfer(&r, 32, RECT(0, 0, 16, 32), 0), OK);
		for (id = 2; id <= 33; id += 2)
			ck_assert_uint_eq(gpu_rig_unref(&r, id), OK);
	}
}
END_TEST

/* ---- H-23: ids -------------------------------------------------------------------- */

START_TEST(h23_ids)
{
	struct virtio_gpu_mem_entry e = whole();

	ck_assert_uint_eq(gpu_rig_create(&r, 0, XRGB, 8, 8), NO_RESOURCE);
	ck_assert_uint_eq(gpu_rig_blob(&r, 0, GUEST, 0, 4096, &e, 1), NO_RESOURCE);
	ck_assert_uint_eq(gpu_rig_create(&r, 5, XRGB, 8, 8), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 5, XRGB, 8, 8), NO_RESOURCE);
	ck_assert_uint_eq(gpu_rig_blob(&r, 5, GUEST, 0, 4096, &e, 1), NO_RESOURCE);
	for (uint32_t id = 0; id < 7; id += 6) {
		ck_assert_uint_eq(gpu_rig_unref(&r, id), NO_RESOURCE);
		ck_assert_uint_eq(gpu_rig_attach(&r, id, &e, 1), NO_RESOURCE);
		ck_assert_uint_eq(gpu_rig_detach(&r, id), NO_RESOURCE);
		ck_assert_uint_eq(gpu_rig_transfer(&r, id, RECT(0, 0, 1, 1), 0), NO_RESOURCE);
		ck_assert_uint_eq(gpu_rig_flush(&r, id, RECT(0, 0, 1, 1)), NO_RESOURCE);
		ck_assert_uint_eq(gpu_rig_map(&r, id, 0), NO_RESOURCE);
		ck_assert_uint_eq(gpu_rig_unmap(&r, id), NO_RESOURCE);
	}
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 6, RECT(0, 0, 1, 1)), NO_RESOURCE);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 6, 1, 1, 4, 0), NO_RESOURCE);
	ck_assert_uint_eq(gpu_rig_cursor(&r, VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 6, 0, 0),
			  NO_RESOURCE);
}
END_TEST

START_TEST(h23_scanouts)
{
	static const uint32_t wrong[] = {2, 15, 16, 17, 32, 0x80000000, 0xffffffff};

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	for (unsigned i = 0; i < COUNT(wrong); i++) {
		ck_assert_uint_eq(gpu_rig_scanout(&r, wrong[i], 1, RECT(0, 0, 1, 1)), NO_SCANOUT);
		ck_assert_uint_eq(gpu_rig_scanout(&r, wrong[i], 0, RECT(0, 0, 1, 1)), NO_SCANOUT);
		ck_assert_uint_eq(gpu_rig_scanout_blob(&r, wrong[i], 1, 1, 1, 4, 0), NO_SCANOUT);
		ck_assert_uint_eq(
			gpu_rig_cursor(&r, VIRTIO_GPU_CMD_UPDATE_CURSOR, wrong[i], 1, 0, 0),
			NO_SCANOUT);
		ck_assert_uint_eq(gpu_rig_cursor(&r, VIRTIO_GPU_CMD_MOVE_CURSOR, wrong[i], 1, 0, 0),
				  NO_SCANOUT);
	}
	ck_assert(gpu_rig_silent(&r));
}
END_TEST

START_TEST(h23_rectangles)
{
	static const struct virtio_gpu_rect wrong[] = {{0, 0, 65, 1},
						       {0, 0, 1, 65},
						       {64, 0, 1, 1},
						       {0, 64, 1, 1},
						       {1, 0, 64, 1},
						       {0, 1, 1, 64},
						       {0xffffffff, 0, 2, 1},
						       {0, 0xffffffff, 1, 2},
						       {0xffffffff, 0, 1, 1},
						       {1, 1, 0xffffffff, 1},
						       {1, 1, 1, 0xffffffff},
						       {0x80000000, 0, 0x80000000, 1},
						       {0x80000001, 0, 0x80000000, 1}};

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	attach(1);
	for (unsigned i = 0; i < COUNT(wrong); i++) {
		ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, wrong[i]), WRONG);
		ck_assert_uint_eq(gpu_rig_transfer(&r, 1, wrong[i], 0), WRONG);
		ck_assert_uint_eq(gpu_rig_flush(&r, 1, wrong[i]), WRONG);
	}
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(0, 0, 0, 1)), WRONG);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(0, 0, 1, 0)), WRONG);
	ck_assert(gpu_rig_silent(&r));
}
END_TEST

/* ---- H-23: backing ------------------------------------------------------------------- */

START_TEST(h23_backing_outside_ram)
{
	static const struct virtio_gpu_mem_entry wrong[] = {
		{DRV_LOW_BYTES, 1, 0},
		{DRV_LOW_BYTES - 1, 2, 0},
		{0, 0xffffffff, 0},
		{UINT64_MAX, 1, 0},
		{UINT64_MAX - 4095, 4096, 0},
		{DRV_HIGH_BASE - 1, 2, 0},
		{DRV_HIGH_BASE + DRV_HIGH_BYTES - 4, 5, 0},
		{0x200000000ull, 4096, 0}, /* the picture memory itself */
	};
	struct virtio_gpu_mem_entry two[2] = {{GPU_RIG_FB, 4096, 0}};

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	for (unsigned i = 0; i < COUNT(wrong); i++) {
		two[1] = wrong[i];
		ck_assert_uint_eq(gpu_rig_attach(&r, 1, two, 2), WRONG);
		ck_assert_uint_eq(gpu_rig_blob(&r, 2, GUEST, 0, 4096, two, 2), WRONG);
	}
	/* Nothing of it has remained. */
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 1, 1), 0), WRONG);
	attach(1);
	ck_assert_uint_eq(gpu_rig_attach(&r, 1, two, 1), WRONG); /* twice */
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 64, 64), 0), OK);
}
END_TEST

/* The entries are copied: what becomes of the command does not matter (H-11). */
static void poke_entries(void *opaque, gpa_t gpa, size_t len)
{
	struct virtio_gpu_mem_entry *e;

	if (len != sizeof(*e))
		return;
	e = drv_ptr(&r.d, gpa, len);
	*e = (struct virtio_gpu_mem_entry){UINT64_MAX - 1, 0xffffffff, 0};
}

START_TEST(h23_backing_changed_later)
{
	struct virtio_gpu_mem_entry e[2] = {{GPU_RIG_FB, 4096, 0}, {GPU_RIG_FB + 8192, 12288, 0}};

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	memset(drv_ptr(&r.d, GPU_RIG_FB, 32768), 0x11, 32768);
	r.d.mem.fetch_hook = poke_entries;
	ck_assert_uint_eq(gpu_rig_attach(&r, 1, e, 2), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 64, 64), 0), OK);
	r.d.mem.fetch_hook = NULL;
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(0, 0, 64, 64)), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(r.picture[m.scanout.offset + 16383], 0x11);
}
END_TEST

START_TEST(h23_backing_too_short)
{
	struct virtio_gpu_mem_entry e = {GPU_RIG_FB, 64 * 64 * 4 - 1, 0};

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 1, 1), 0), WRONG); /* none */
	ck_assert_uint_eq(gpu_rig_attach(&r, 1, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 64, 63), 0), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 64, 64), 0), WRONG);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 63, 63, 1), 63 * 256), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 64, 63), 256), WRONG);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 1, 1), 16380), WRONG);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 1, 1), UINT64_MAX), WRONG);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 64, 2), UINT64_MAX - 511), WRONG);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 1, 1), 1ull << 63), WRONG);
	ck_assert_uint_eq(gpu_rig_detach(&r, 1), OK);
	ck_assert_uint_eq(gpu_rig_detach(&r, 1), WRONG);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 1, 1), 0), WRONG);
	e.length = 0; /* an entry of nothing is none */
	ck_assert_uint_eq(gpu_rig_attach(&r, 1, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 1, 1), 0), WRONG);
	ck_assert_uint_eq(gpu_rig_attach(&r, 1, &e, 0), WRONG);
}
END_TEST

START_TEST(h23_scanout_of_a_freed_resource)
{
	struct virtio_gpu_mem_entry e = whole();

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	for (uint32_t s = 0; s < 2; s++) {
		ck_assert_uint_eq(gpu_rig_scanout(&r, s, 1, RECT(0, 0, 64, 64)), OK);
		gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	}
	ck_assert_uint_eq(gpu_rig_cursor(&r, VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 1, 0, 0), OK);
	gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
	ck_assert_uint_eq(gpu_rig_unref(&r, 1), OK);
	gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
	ck_assert_uint_eq(m.cursor.visible, 0);
	for (uint32_t s = 0; s < 2; s++) {
		gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
		ck_assert_uint_eq(m.scanout.scanout, s);
		ck_assert_uint_eq(m.scanout.width, 0);
	}
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(0, 0, 1, 1)), NO_RESOURCE);
	/* Another one in its slot and place is not shown by that. */
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 0, 0x4000, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(0, 0, 64, 64)), OK);
	gpu_rig_desktop(&r);
	ck_assert(gpu_rig_silent(&r));
}
END_TEST

START_TEST(h23_backing_gone_while_shown)
{
	struct virtio_gpu_mem_entry e = whole();

	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 0, 0x4000, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 1, 64, 64, 256, 0), OK);
	ck_assert_uint_eq(gpu_rig_detach(&r, 1), OK);
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(0, 0, 64, 64)), WRONG);
	ck_assert_uint_eq(gpu_rig_cursor(&r, VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 1, 0, 0), WRONG);
	ck_assert(gpu_rig_silent(&r));
	e.length = 0x3fff;
	ck_assert_uint_eq(gpu_rig_attach(&r, 1, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(0, 0, 64, 64)), WRONG);
	ck_assert(gpu_rig_silent(&r));
}
END_TEST

/* ---- blobs ---------------------------------------------------------------------------------- */

START_TEST(h23_blobs)
{
	struct virtio_gpu_mem_entry e[2] = {{GPU_RIG_FB, 4096, 0}, {GPU_RIG_FB, 4095, 0}};
	struct virtio_gpu_resource_create_blob ctx = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = 1},
		.resource_id = 1,
		.blob_mem = HOST,
		.blob_flags = MAPPABLE,
		.size = 4096};

	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 0, 8192, e, 2), WRONG); /* less than it says */
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 0, 8191, e, 2), WRONG);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 0, 0, e, 2), WRONG);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 0, UINT64_MAX, e, 2), WRONG);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 0, UINT64_MAX - 3, e, 2), NO_MEMORY);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 4, 4096, e, 1), WRONG);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, 0, 0, 4096, e, 1), WRONG);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, 3, MAPPABLE, 4096, e, 1), WRONG);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, HOST, MAPPABLE, 4096, e, 1), WRONG);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, HOST, 0, 4096, NULL, 0), WRONG);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, HOST, MAPPABLE, GPU_RIG_PICTURE + 4, NULL, 0),
			  NO_MEMORY);
	ck_assert_uint_eq(gpu_rig_say(&r, &ctx, sizeof(ctx), 24),
			  VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, HOST, MAPPABLE, GPU_RIG_PICTURE, NULL, 0), OK);
	ck_assert_uint_eq(gpu_rig_attach(&r, 1, e, 1), WRONG);
	ck_assert_uint_eq(gpu_rig_unmap(&r, 1), WRONG);
	ck_assert_uint_eq(gpu_rig_map(&r, 1, 4096), WRONG);
	ck_assert_uint_eq(gpu_rig_map(&r, 1, UINT64_MAX - 4095), WRONG);
	ck_assert_uint_eq(gpu_rig_map(&r, 1, 1), WRONG);
	ck_assert_uint_eq(gpu_rig_map(&r, 1, 0), VIRTIO_GPU_RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_rig_map(&r, 1, 0), WRONG); /* twice */
	ck_assert_uint_eq(gpu_rig_blob(&r, 2, GUEST, 0, 4096, e, 1), OK);
	ck_assert_uint_eq(gpu_rig_map(&r, 2, 0), WRONG); /* not of that kind */
	ck_assert_uint_eq(gpu_rig_unmap(&r, 2), WRONG);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 2, 32, 32, 128, 0), NO_MEMORY);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 1, 32, 32, 128, 0), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(gpu_rig_unmap(&r, 1), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.width, 0);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 1, 32, 32, 128, 0), WRONG);
}
END_TEST

START_TEST(h23_pictures_beyond_their_blob)
{
	static const struct {
		uint32_t width, height, stride, offset;
	} wrong[] = {{64, 64, 256, 4},
		     {64, 65, 256, 0},
		     {65, 64, 260, 0},
		     {64, 64, 252, 0},
		     {64, 64, 257, 0},
		     {64, 63, 256, 257},
		     {64, 63, 256, 2},
		     {0, 1, 256, 0},
		     {1, 0, 256, 0},
		     {1, 2, 0xfffffffc, 0},
		     {1, 1, 4, 0xfffffffc},
		     {16385, 1, 65540, 0},
		     {1, 16385, 4, 0},
		     {0x40000001, 1, 4, 0},
		     {0xffffffff, 0xffffffff, 4, 0},
		     {16384, 16384, 0xfffffffc, 0}};
	struct virtio_gpu_mem_entry e = whole();
	struct virtio_gpu_set_scanout_blob c = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		.r = {1, 0, 64, 64},
		.resource_id = 1,
		.width = 64,
		.height = 64,
		.format = XRGB,
		.strides = {256},
	};

	ck_assert_uint_eq(gpu_rig_blob(&r, 1, GUEST, 0, 64 * 64 * 4, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 2, XRGB, 64, 64), OK);
	for (unsigned i = 0; i < COUNT(wrong); i++)
		ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 1, wrong[i].width, wrong[i].height,
						       wrong[i].stride, wrong[i].offset),
				  WRONG);
	ck_assert_uint_eq(gpu_rig_say(&r, &c, sizeof(c), 24), WRONG);
	c.r.x = 0;
	c.format = 3;
	ck_assert_uint_eq(gpu_rig_say(&r, &c, sizeof(c), 24), WRONG);
	/* Each kind has its own command. */
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 2, 64, 64, 256, 0), WRONG);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(0, 0, 1, 1)), WRONG);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 1, 64, 64, 256, 0), OK);
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(64, 0, 0xffffffff, 64)), OK);
	ck_assert(gpu_rig_silent(&r));
	gpu_rig_flush_late(&r, 1, RECT(63, 63, 0xffffffff, 0xffffffff));
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	gpu_rig_flush_late(&r, 1, RECT(63, 63, 0xffffffff, 0xffffffff));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.width, 1);
	ck_assert_uint_eq(m.flush.height, 1);
}
END_TEST

START_TEST(h23_cursors)
{
	struct virtio_gpu_mem_entry e = whole();
	const uint32_t update = VIRTIO_GPU_CMD_UPDATE_CURSOR;

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 63), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 2, 67, 64, 64), OK);
	ck_assert_uint_eq(gpu_rig_blob(&r, 3, GUEST, 0, 64 * 64 * 4 - 4, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_blob(&r, 4, GUEST, 0, 64 * 64 * 4, NULL, 0), OK);
	ck_assert_uint_eq(gpu_rig_blob(&r, 5, HOST, MAPPABLE, 64 * 64 * 4, NULL, 0), OK);
	for (uint32_t id = 1; id <= 5; id++)
		ck_assert_uint_eq(gpu_rig_cursor(&r, update, 0, id, 0, 0), WRONG);
	ck_assert_uint_eq(gpu_rig_map(&r, 5, 0), VIRTIO_GPU_RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_rig_cursor(&r, update, 0, 5, 0xffffffff, 0xffffffff), OK);
	ck_assert(gpu_rig_silent(&r)); /* over nothing */
	/* Cursor commands on the control queue, control commands on the cursor's. */
	ck_assert_uint_eq(gpu_rig_cursor(&r, VIRTIO_GPU_CMD_RESOURCE_FLUSH, 0, 5, 0, 0), UNKNOWN);
	ck_assert_uint_eq(gpu_rig_say(&r, &(struct virtio_gpu_update_cursor){.hdr.type = update},
				      sizeof(struct virtio_gpu_update_cursor), 24),
			  UNKNOWN);
}
END_TEST

/* ---- requests and answers ------------------------------------------------------------------- */

START_TEST(truncated_requests)
{
	uint8_t cmd[256] = {0};
	struct virtio_gpu_ctrl_hdr *hdr = (void *)cmd;
	static const struct {
		uint32_t type, bytes;
	} all[] = {{VIRTIO_GPU_CMD_GET_EDID, 32},
		   {VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 40},
		   {VIRTIO_GPU_CMD_RESOURCE_UNREF, 32},
		   {VIRTIO_GPU_CMD_SET_SCANOUT, 48},
		   {VIRTIO_GPU_CMD_RESOURCE_FLUSH, 48},
		   {VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, 56},
		   {VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 32},
		   {VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 32},
		   {VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 56},
		   {VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, 96},
		   {VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, 40},
		   {VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 32}};

	for (unsigned i = 0; i < COUNT(all); i++) {
		hdr->type = all[i].type;
		hdr->flags = VIRTIO_GPU_FLAG_FENCE;
		hdr->fence_id = i + 1;
		for (uint32_t len = 1; len < 24; len++) {
			ck_assert_uint_eq(gpu_rig_say(&r, cmd, len, 4096), UNKNOWN);
		}
		for (uint32_t len = 24; len < all[i].bytes; len++) {
			ck_assert_uint_eq(gpu_rig_say(&r, cmd, len, 4096), WRONG);
			ck_assert_uint_eq(r.resp.hdr.fence_id, i + 1);
		}
		ck_assert_uint_ne(gpu_rig_say(&r, cmd, all[i].bytes, 4096), UNKNOWN);
	}
}
END_TEST

/* More entries said than there are. */
START_TEST(truncated_entries)
{
	struct {
		struct virtio_gpu_resource_attach_backing c;
		struct virtio_gpu_mem_entry e[4];
	} a = {{{.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING}, 1, 0},
	       {{GPU_RIG_FB, 4096, 0},
		{GPU_RIG_FB, 4096, 0},
		{GPU_RIG_FB, 4096, 0},
		{GPU_RIG_FB, 4096, 0}}};
	static const uint32_t wrong[] = {5, 6, 0x10000000, 0x10000001, 0x80000000, 0xffffffff};

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	for (unsigned i = 0; i < COUNT(wrong); i++) {
		a.c.nr_entries = wrong[i];
		ck_assert_uint_eq(gpu_rig_say(&r, &a, sizeof(a), 24), WRONG);
	}
	a.c.nr_entries = 4;
	ck_assert_uint_eq(gpu_rig_say(&r, &a, sizeof(a) - 1, 24), WRONG);
	ck_assert_uint_eq(gpu_rig_say(&r, &a, sizeof(a), 24), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 64, 64), 0), OK);
}
END_TEST

START_TEST(h05_answers_that_do_not_fit)
{
	struct virtio_gpu_ctrl_hdr info = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO};
	struct virtio_gpu_cmd_get_edid edid = {{.type = VIRTIO_GPU_CMD_GET_EDID}, 0, 0};
	struct virtio_gpu_resource_map_blob map = {
		{.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB}, 2, 0, 0};
	uint8_t *answer = drv_ptr(&r.d, r.scratch + 0x10000, 2048);

	for (uint32_t room = 0; room < 24; room++) {
		gpu_rig_say(&r, &info, sizeof(info), room);
		ck_assert_uint_eq(r.len, 0);
		ck_assert_uint_eq(answer[0], 0);
	}
	for (uint32_t room = 24; room < sizeof(r.resp.info); room += 16) {
		ck_assert_uint_eq(gpu_rig_say(&r, &info, sizeof(info), room), UNKNOWN);
		ck_assert_uint_eq(r.len, 24);
	}
	ck_assert_uint_eq(gpu_rig_say(&r, &edid, sizeof(edid), sizeof(r.resp.edid) - 1), UNKNOWN);
	ck_assert_uint_eq(gpu_rig_say(&r, &edid, sizeof(edid), sizeof(r.resp.edid)),
			  VIRTIO_GPU_RESP_OK_EDID);
	/* Nothing is done whose answer could not be said. */
	ck_assert_uint_eq(gpu_rig_blob(&r, 2, HOST, MAPPABLE, 4096, NULL, 0), OK);
	ck_assert_uint_eq(gpu_rig_say(&r, &map, sizeof(map), 31), UNKNOWN);
	ck_assert_uint_eq(gpu_rig_unmap(&r, 2), WRONG);
	ck_assert_uint_eq(gpu_rig_say(&r, &map, sizeof(map), 32), VIRTIO_GPU_RESP_OK_MAP_INFO);
	/* A flush whose answer has no room waits all the same. */
	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(0, 0, 64, 64)), OK);
	gpu_rig_offer(&r, 0,
		      &(struct virtio_gpu_resource_flush){
			      {.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH}, RECT(0, 0, 1, 1), 1, 0},
		      sizeof(struct virtio_gpu_resource_flush), 23);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert(!drv_used(&r.d, 0, &(uint32_t){0}, &r.len));
	gpu_rig_presented(&r, 0, m.flush.sequence);
	ck_assert(drv_used(&r.d, 0, &(uint32_t){0}, &r.len));
	ck_assert_uint_eq(r.len, 0);
}
END_TEST

START_TEST(unknown_commands)
{
	static const uint32_t known[] = {0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x106,
					 0x107, 0x10a, 0x10c, 0x10d, 0x208, 0x209};
	uint8_t cmd[128] = {0};
	uint32_t *type = (void *)cmd;

	for (*type = 0; *type < 0x400; ++*type) {
		bool is = false;

		for (unsigned i = 0; i < COUNT(known); i++)
			is |= *type == known[i];
		ck_assert_int_eq(gpu_rig_say(&r, cmd, sizeof(cmd), 2048) == UNKNOWN, !is);
	}
	/* Known, but not negotiated. */
	vdev_set_status(r.d.dev, 0);
	ck_assert(drv_start(&r.d, 0));
	*type = VIRTIO_GPU_CMD_GET_EDID;
	ck_assert_uint_eq(gpu_rig_say(&r, cmd, sizeof(cmd), 2048), UNKNOWN);
	ck_assert_uint_eq(gpu_rig_blob(&r, 1, HOST, MAPPABLE, 4096, NULL, 0), UNKNOWN);
	ck_assert_uint_eq(gpu_rig_map(&r, 1, 0), UNKNOWN);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 0, 1, 1, 4, 0), UNKNOWN);
	*type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO;
	ck_assert_uint_eq(gpu_rig_say(&r, cmd, sizeof(cmd), 2048), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
}
END_TEST

/* ---- floods -------------------------------------------------------------------------------------
 */

/* A desktop that does not read, a guest that never waits: what it hears is bounded. */
START_TEST(flood_of_flushes)
{
	uint32_t id, len, offered = 0, answered = 0, heard = 0, last = 0;

	r.d.queue_size = 256;
	vdev_set_status(r.d.dev, 0);
	ck_assert(drv_start(&r.d, DRV_ALL_FEATURES));
	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 512, 512), OK);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(0, 0, 512, 512)), OK);
	for (; offered < 20000; offered++) {
		gpu_rig_flush_late(&r, 1, RECT(offered % 512, offered % 499, 1, 1));
		while (drv_used(&r.d, 0, &id, &len))
			answered++;
		ck_assert_uint_le(offered - answered, 64);
	}
	for (; gpu_rig_hear(&r, &m); heard++)
		last = m.h.type == EXO_DPY_FLUSH ? m.flush.sequence : last;
	ck_assert_uint_eq(heard, 64);
	ck_assert(desk_there(r.desk));
	gpu_rig_presented(&r, 0, last);
	while (drv_used(&r.d, 0, &id, &len))
		answered++;
	ck_assert_uint_eq(answered, offered);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m); /* all that was left out */
	ck_assert_uint_eq(m.flush.width, 512);
	ck_assert_uint_eq(m.flush.height, 499);
}
END_TEST

/* Scanouts that go and come: at worst the desktop is lost, by our own hand. */
START_TEST(flood_of_scanouts)
{
	unsigned n = 0;

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 64, 64), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 2, XRGB, 64, 64), OK);
	for (unsigned i = 0; i < 5000; i++)
		ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1 + i % 2, RECT(0, 0, 64, 64)), OK);
	while (gpu_rig_hear(&r, &m))
		n++;
	ck_assert_uint_le(n, 64);
	ck_assert(desk_there(r.desk));
	for (unsigned i = 0; i < 5000; i++)
		ck_assert_uint_eq(gpu_rig_scanout(&r, 0, i % 2, RECT(0, 0, 64, 64)), OK);
	if (!desk_there(r.desk))
		ck_assert(!desk_receive(r.desk));
	gpu_rig_desktop(&r);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.width, 64);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gpu, hostile");
	TCase *tc = tcase_create("hostile");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, h22_sizes);
	tcase_add_test(tc, h22_quota);
	tcase_add_test(tc, h22_resources);
	tcase_add_test(tc, h22_entries);
	tcase_add_test(tc, h23_ids);
	tcase_add_test(tc, h23_scanouts);
	tcase_add_test(tc, h23_rectangles);
	tcase_add_test(tc, h23_backing_outside_ram);
	tcase_add_test(tc, h23_backing_changed_later);
	tcase_add_test(tc, h23_backing_too_short);
	tcase_add_test(tc, h23_scanout_of_a_freed_resource);
	tcase_add_test(tc, h23_backing_gone_while_shown);
	tcase_add_test(tc, h23_blobs);
	tcase_add_test(tc, h23_pictures_beyond_their_blob);
	tcase_add_test(tc, h23_cursors);
	tcase_add_test(tc, truncated_requests);
	tcase_add_test(tc, truncated_entries);
	tcase_add_test(tc, h05_answers_that_do_not_fit);
	tcase_add_test(tc, unknown_commands);
	tcase_add_test(tc, flood_of_flushes);
	tcase_add_test(tc, flood_of_scanouts);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
