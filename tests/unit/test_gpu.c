/*
 * virtio-gpu: displays and their EDID, resources and what is copied of them, what the
 * desktop hears of scanouts, flushes and cursors, and when flushes are answered.
 */
#include "gpu_rig.h"
#include "unit.h"

#include <check.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define ARGB VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM
#define RECT(...) ((struct virtio_gpu_rect){__VA_ARGS__})

static struct gpu_rig r;
static union gpu_rig_message m;

static void setup(void)
{
	gpu_rig_init(&r, 1, DRV_ALL_FEATURES);
}

static void setup_three(void)
{
	gpu_rig_init(&r, 3, DRV_ALL_FEATURES);
}

static void teardown(void)
{
	gpu_rig_finish(&r);
}

static uint32_t *fb(void)
{
	return drv_ptr(&r.d, GPU_RIG_FB, GPU_RIG_FB_BYTES);
}

/* A picture of its own in guest memory: pixel i is i + seed. */
static void fill(uint32_t seed)
{
	for (uint32_t i = 0; i < GPU_RIG_FB_BYTES / 4; i++)
		fb()[i] = i + seed;
}

static struct virtio_gpu_mem_entry whole(void)
{
	return (struct virtio_gpu_mem_entry){GPU_RIG_FB, GPU_RIG_FB_BYTES, 0};
}

/* Resource 1, w x h, backed by all of the guest's picture, on scanout 0. */
static void show(uint32_t w, uint32_t h)
{
	struct virtio_gpu_mem_entry e = whole();

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, w, h), OK);
	ck_assert_uint_eq(gpu_rig_attach(&r, 1, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(0, 0, w, h)), OK);
}

/* The pixel of the picture that the desktop was told of last, in m.scanout. */
static uint32_t seen(const struct exo_dpy_scanout *s, uint32_t x, uint32_t y)
{
	uint32_t pixel;

	memcpy(&pixel, r.picture + s->offset + (uint64_t)y * s->stride + 4 * x, 4);
	return pixel;
}

/* ---- displays ------------------------------------------------------------------ */

static uint32_t display_info(void)
{
	struct virtio_gpu_ctrl_hdr c = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO};

	return gpu_rig_say(&r, &c, sizeof(c), 4096);
}

START_TEST(displays_stand_side_by_side)
{
	struct virtio_gpu_config config;

	vdev_config_read(r.d.dev, 0, &config, sizeof(config));
	ck_assert_uint_eq(config.num_scanouts, 3);
	ck_assert_uint_eq(config.num_capsets, 0);
	gpu_rig_desktop(&r);
	gpu_rig_mode(&r, 1, 800, 600, 120);
	gpu_rig_mode(&r, 2, 1024, 768, 240);
	ck_assert_uint_eq(display_info(), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	ck_assert_uint_eq(r.len, sizeof(r.resp.info));
	for (unsigned i = 0; i < 16; i++)
		ck_assert_uint_eq(r.resp.info.pmodes[i].enabled, i < 3);
	ck_assert_uint_eq(r.resp.info.pmodes[0].r.width, 640);
	ck_assert_uint_eq(r.resp.info.pmodes[0].r.height, 480);
	ck_assert_uint_eq(r.resp.info.pmodes[1].r.x, 640);
	ck_assert_uint_eq(r.resp.info.pmodes[2].r.x, 1440);
	ck_assert_uint_eq(r.resp.info.pmodes[2].r.height, 768);
	gpu_rig_mode(&r, 1, 0, 0, 0);
	ck_assert_uint_eq(display_info(), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	ck_assert_uint_eq(r.resp.info.pmodes[1].enabled, 0);
	ck_assert_uint_eq(r.resp.info.pmodes[2].r.x, 640);
}
END_TEST

START_TEST(a_mode_is_an_event)
{
	uint32_t bits, before = vdev_config_generation(r.d.dev);

	gpu_rig_desktop(&r);
	gpu_rig_mode(&r, 0, 640, 480, 120); /* what it is already */
	ck_assert_uint_eq(r.d.config_notified, 0);
	gpu_rig_mode(&r, 0, 641, 480, 120);
	ck_assert_uint_eq(r.d.config_notified, 1);
	ck_assert_uint_ne(vdev_config_generation(r.d.dev), before);
	vdev_config_read(r.d.dev, 0, &bits, 4);
	ck_assert_uint_eq(bits, VIRTIO_GPU_EVENT_DISPLAY);
	vdev_config_write(r.d.dev, 0, &bits, 4); /* read only */
	vdev_config_read(r.d.dev, 0, &bits, 4);
	ck_assert_uint_eq(bits, VIRTIO_GPU_EVENT_DISPLAY);
	vdev_config_write(r.d.dev, 4, &bits, 4); /* events_clear */
	vdev_config_read(r.d.dev, 0, &bits, 4);
	ck_assert_uint_eq(bits, 0);
	vdev_config_read(r.d.dev, 4, &bits, 4);
	ck_assert_uint_eq(bits, 0);
}
END_TEST

static uint32_t get_edid(uint32_t scanout)
{
	struct virtio_gpu_cmd_get_edid c = {{.type = VIRTIO_GPU_CMD_GET_EDID}, scanout, 0};

	return gpu_rig_say(&r, &c, sizeof(c), 4096);
}

static uint32_t clear_events(void)
{
	uint32_t bits = VIRTIO_GPU_EVENT_DISPLAY;

	vdev_config_write(r.d.dev, 4, &bits, 4);
	vdev_config_read(r.d.dev, 0, &bits, 4);
	return bits;
}

/* Linux clears an event after it has asked, and with it one that came in between. */
START_TEST(an_event_is_not_lost)
{
	unsigned n;

	gpu_rig_desktop(&r);
	ck_assert_uint_eq(display_info(), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	gpu_rig_mode(&r, 0, 800, 600, 120);
	ck_assert_uint_eq(get_edid(0), VIRTIO_GPU_RESP_OK_EDID);
	ck_assert_uint_eq(display_info(), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	gpu_rig_mode(&r, 1, 100, 100, 120); /* after it has been asked */
	n = r.d.config_notified;
	ck_assert_uint_eq(clear_events(), VIRTIO_GPU_EVENT_DISPLAY);
	ck_assert_uint_eq(r.d.config_notified, n + 1);
	ck_assert_uint_eq(get_edid(0), VIRTIO_GPU_RESP_OK_EDID);
	gpu_rig_mode(&r, 0, 900, 600, 120); /* between the two */
	ck_assert_uint_eq(display_info(), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	ck_assert_uint_eq(clear_events(), VIRTIO_GPU_EVENT_DISPLAY);
	ck_assert_uint_eq(get_edid(0), VIRTIO_GPU_RESP_OK_EDID);
	ck_assert_uint_eq(display_info(), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	ck_assert_uint_eq(clear_events(), 0);
	/* Who clears first has nothing to fear, and nothing said twice. */
	n = r.d.config_notified;
	gpu_rig_mode(&r, 0, 1000, 600, 120);
	ck_assert_uint_eq(clear_events(), 0);
	ck_assert_uint_eq(display_info(), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	gpu_rig_mode(&r, 0, 1001, 600, 120);
	gpu_rig_mode(&r, 0, 1002, 600, 120);
	ck_assert_uint_eq(clear_events(), 0);
	ck_assert_uint_eq(r.d.config_notified, n + 3);
}
END_TEST

static void check_edid(uint32_t width, uint32_t height, uint32_t mm, uint32_t refresh)
{
	const uint8_t *e = r.resp.edid.edid, *t = e + 54;
	uint32_t total, lines, clock;
	uint8_t sum = 0;

	ck_assert_uint_eq(r.resp.edid.size, 128);
	ck_assert_mem_eq(e, "\0\xff\xff\xff\xff\xff\xff\0", 8);
	for (unsigned i = 0; i < 128; i++)
		sum += e[i];
	ck_assert_uint_eq(sum, 0);
	ck_assert_uint_eq(t[2] | t[4] >> 4 << 8, width);
	ck_assert_uint_eq(t[5] | t[7] >> 4 << 8, height);
	ck_assert_uint_eq(t[12] | t[14] >> 4 << 8, mm);
	total = width + (t[3] | (t[4] & 15) << 8);
	lines = height + (t[6] | (t[7] & 15) << 8);
	clock = (t[0] | t[1] << 8) * 10000u;
	ck_assert_uint_ge(clock / total / lines + 1, refresh);
	ck_assert_uint_le(clock / total / lines, refresh);
}

START_TEST(edid)
{
	ck_assert_uint_eq(get_edid(0), VIRTIO_GPU_RESP_OK_EDID);
	check_edid(640, 480, 169, 60);
	gpu_rig_desktop(&r);
	gpu_rig_mode(&r, 0, 2560, 1440, 240); /* twice as fine: as large as half the pixels */
	ck_assert_uint_eq(get_edid(0), VIRTIO_GPU_RESP_OK_EDID);
	check_edid(2560, 1440, 338, 60);
	ck_assert_uint_eq(r.resp.edid.edid[21], 34);
	gpu_rig_mode(&r, 0, 1, 1, 960);
	ck_assert_uint_eq(get_edid(0), VIRTIO_GPU_RESP_OK_EDID);
	/* More than a timing can say: none, and the display's information is all there is. */
	gpu_rig_mode(&r, 0, 4096, 4096, 60);
	ck_assert_uint_eq(get_edid(0), VIRTIO_GPU_RESP_OK_EDID);
	ck_assert_mem_eq(r.resp.edid.edid + 54, "\0\0\0\xfc", 4);
	gpu_rig_mode(&r, 0, 0, 0, 0);
	ck_assert_uint_eq(get_edid(0), VIRTIO_GPU_RESP_OK_EDID);
	ck_assert_uint_eq(get_edid(1), VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID);
}
END_TEST

/* ---- 2D resources -------------------------------------------------------------------- */

/* Backing in pieces that end within pixels. */
START_TEST(transfer_gathers)
{
	struct virtio_gpu_mem_entry e[64];
	uint8_t *from = (uint8_t *)fb();
	uint32_t off = 0, want = 37 * 11 * 4;
	uint8_t flat[37 * 11 * 4];
	unsigned n = 0;

	fill(7);
	for (uint32_t done = 0; done < want; n++) {
		uint32_t len = 1 + n * 13 % 97;

		len = len < want - done ? len : want - done;
		e[n] = (struct virtio_gpu_mem_entry){GPU_RIG_FB + off, len, 0};
		memcpy(flat + done, from + off, len);
		done += len;
		off += len + 5;
	}
	ck_assert_uint_eq(gpu_rig_create(&r, 9, XRGB, 37, 11), OK);
	ck_assert_uint_eq(gpu_rig_attach(&r, 9, e, n), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 9, RECT(0, 0, 37, 11), 0), OK);
	gpu_rig_desktop(&r);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 9, RECT(0, 0, 37, 11)), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.stride, 37 * 4);
	ck_assert_uint_eq(m.scanout.format, EXO_DPY_FORMAT_XRGB);
	ck_assert_mem_eq(r.picture + m.scanout.offset, flat, sizeof(flat));
}
END_TEST

START_TEST(transfer_of_a_part)
{
	fill(1000);
	gpu_rig_desktop(&r);
	show(100, 50);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	/* Where it begins in the backing is said by the offset. */
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(10, 20, 30, 5), (20 * 100 + 10) * 4), OK);
	for (uint32_t y = 0; y < 50; y++) {
		for (uint32_t x = 0; x < 100; x++) {
			bool in = x >= 10 && x < 40 && y >= 20 && y < 25;

			ck_assert_uint_eq(seen(&m.scanout, x, y), in ? 1000 + y * 100 + x : 0);
		}
	}
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 1, 2), 4), OK);
	ck_assert_uint_eq(seen(&m.scanout, 0, 0), 1001);
	ck_assert_uint_eq(seen(&m.scanout, 0, 1), 1101);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 0, 0), 0), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(100, 50, 0, 0), 0), OK);
}
END_TEST

START_TEST(a_part_of_a_picture_is_shown)
{
	fill(0);
	gpu_rig_desktop(&r);
	show(100, 50);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 100, 50), 0), OK);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(60, 10, 40, 40)), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.width, 40);
	ck_assert_uint_eq(seen(&m.scanout, 0, 0), 1060);
	ck_assert_uint_eq(seen(&m.scanout, 39, 39), 49 * 100 + 99);
	/* Beside it: not seen, and no reason to wait. */
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(0, 0, 60, 50)), OK);
	ck_assert(gpu_rig_silent(&r));
	gpu_rig_flush_late(&r, 1, RECT(50, 0, 20, 50));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.x, 0);
	ck_assert_uint_eq(m.flush.y, 0);
	ck_assert_uint_eq(m.flush.width, 10);
	ck_assert_uint_eq(m.flush.height, 40);
}
END_TEST

START_TEST(memory_is_given_back_and_zero)
{
	struct virtio_gpu_mem_entry e = whole();

	gpu_rig_desktop(&r);
	fill(0x01010101);
	for (uint32_t id = 1; id <= 50; id++) { /* a quarter of the memory each */
		ck_assert_uint_eq(gpu_rig_create(&r, id, XRGB, 512, 256), OK);
		ck_assert_uint_eq(gpu_rig_attach(&r, id, &e, 1), OK);
		ck_assert_uint_eq(gpu_rig_scanout(&r, 0, id, RECT(0, 0, 512, 256)), OK);
		gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
		ck_assert_uint_eq(seen(&m.scanout, 0, 0), 0);
		ck_assert_uint_eq(seen(&m.scanout, 511, 255), 0);
		ck_assert_uint_eq(gpu_rig_transfer(&r, id, RECT(0, 0, 512, 256), 0), OK);
		ck_assert_uint_eq(seen(&m.scanout, 511, 255), 0x01010101 + 512 * 256 - 1);
		ck_assert_uint_eq(gpu_rig_unref(&r, id), OK);
		gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
		ck_assert_uint_eq(m.scanout.width, 0);
	}
}
END_TEST

/* ---- flushes --------------------------------------------------------------------------- */

START_TEST(flush_waits_for_the_desktop)
{
	struct virtio_gpu_resource_flush c = {{.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH,
					       .flags = VIRTIO_GPU_FLAG_FENCE,
					       .fence_id = 0x123456789abcdef0,
					       .ctx_id = 77},
					      RECT(1, 2, 3, 4),
					      1,
					      0};
	struct virtio_gpu_ctrl_hdr *hdr;
	uint16_t one, two;

	show(100, 50);
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(0, 0, 100, 50)), OK); /* nobody is there */
	gpu_rig_desktop(&r);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	one = gpu_rig_offer(&r, 0, &c, sizeof(c), 24);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.x, 1);
	ck_assert_uint_eq(m.flush.y, 2);
	ck_assert_uint_eq(m.flush.width, 3);
	ck_assert_uint_eq(m.flush.height, 4);
	ck_assert(!gpu_rig_answered(&r, one));
	gpu_rig_presented(&r, 0, m.flush.sequence + 1); /* nothing that was said */
	gpu_rig_presented(&r, 0, m.flush.sequence - 1);
	ck_assert(!gpu_rig_answered(&r, one));
	gpu_rig_presented(&r, 0, m.flush.sequence);
	ck_assert(gpu_rig_answered(&r, one));
	ck_assert_uint_eq(r.len, 24);
	hdr = drv_ptr(&r.d, r.scratch + 0x10000, 24);
	ck_assert_uint_eq(hdr->type, OK);
	ck_assert_uint_eq(hdr->flags, VIRTIO_GPU_FLAG_FENCE);
	ck_assert_uint_eq(hdr->fence_id, 0x123456789abcdef0);
	ck_assert_uint_eq(hdr->ctx_id, 77);
	/* One answer for several. */
	one = gpu_rig_flush_late(&r, 1, RECT(0, 0, 1, 1));
	two = gpu_rig_flush_late(&r, 1, RECT(0, 0, 1, 1));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert(!gpu_rig_answered(&r, one));
	gpu_rig_presented(&r, 0, m.flush.sequence);
	ck_assert(gpu_rig_answered(&r, one));
	ck_assert(gpu_rig_answered(&r, two));
}
END_TEST

/* The desktop may still be reading the picture of before. */
START_TEST(flush_waits_though_another_picture_is_shown)
{
	uint16_t one, two;

	gpu_rig_desktop(&r);
	show(100, 50);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(gpu_rig_create(&r, 2, XRGB, 100, 50), OK);
	one = gpu_rig_flush_late(&r, 1, RECT(0, 0, 100, 50));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 2, RECT(0, 0, 100, 50)), OK);
	ck_assert_uint_eq(gpu_rig_unref(&r, 1), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert(!gpu_rig_answered(&r, one));
	two = gpu_rig_flush_late(&r, 2, RECT(0, 0, 100, 50));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	gpu_rig_presented(&r, 0, m.flush.sequence - 1);
	ck_assert(gpu_rig_answered(&r, one));
	ck_assert(!gpu_rig_answered(&r, two));
	gpu_rig_presented(&r, 0, m.flush.sequence);
	ck_assert(gpu_rig_answered(&r, two));
}
END_TEST

START_TEST(flush_waits_no_more)
{
	uint16_t head;

	gpu_rig_desktop(&r);
	show(100, 50);
	head = gpu_rig_flush_late(&r, 1, RECT(0, 0, 1, 1));
	ck_assert(!gpu_rig_answered(&r, head));
	desk_set_socket(r.desk, -1); /* the desktop goes */
	ck_assert(gpu_rig_answered(&r, head));
	gpu_rig_desktop(&r);
	head = gpu_rig_flush_late(&r, 1, RECT(0, 0, 1, 1));
	ck_assert(!gpu_rig_answered(&r, head));
	gpu_rig_desktop(&r); /* another comes */
	ck_assert(gpu_rig_answered(&r, head));
	head = gpu_rig_flush_late(&r, 1, RECT(0, 0, 1, 1));
	ck_assert(!gpu_rig_answered(&r, head));
	close(r.peer); /* the desktop crashes */
	r.peer = -1;
	ck_assert(!desk_receive(r.desk));
	ck_assert(gpu_rig_answered(&r, head));
	gpu_rig_desktop(&r);
	head = gpu_rig_flush_late(&r, 1, RECT(0, 0, 1, 1));
	ck_assert(!gpu_rig_answered(&r, head));
	gpu_rig_offer(&r, 0,
		      &(struct virtio_gpu_set_scanout){
			      {.type = VIRTIO_GPU_CMD_SET_SCANOUT}, RECT(0, 0, 0, 0), 0, 0},
		      sizeof(struct virtio_gpu_set_scanout), 24);
	ck_assert(gpu_rig_answered(&r, head)); /* first, as the scanout shows nothing now */
}
END_TEST

/* More than the desktop may be told of: answered at once, and seen later. */
START_TEST(damage_that_found_no_room_is_said_later)
{
	uint16_t head[64];
	uint32_t first = 0, last = 0, n = 0, id, len;

	r.d.queue_size = 256;
	vdev_set_status(r.d.dev, 0);
	ck_assert(drv_start(&r.d, DRV_ALL_FEATURES));
	gpu_rig_desktop(&r);
	show(100, 50);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	for (unsigned i = 0; i < 63; i++)
		head[i] = gpu_rig_flush_late(&r, 1, RECT(99, 49, 1, 1));
	for (; gpu_rig_hear(&r, &m); n++) {
		first = n ? first : m.flush.sequence;
		last = m.flush.sequence;
	}
	ck_assert_uint_eq(n, 63); /* and the picture itself */
	ck_assert(!gpu_rig_answered(&r, head[0]));
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(10, 10, 2, 2)), OK);
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(20, 30, 5, 5)), OK);
	ck_assert(gpu_rig_silent(&r));
	gpu_rig_presented(&r, 0, first);
	ck_assert(gpu_rig_answered(&r, head[0]));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.sequence, last + 1);
	ck_assert_uint_eq(m.flush.x, 10);
	ck_assert_uint_eq(m.flush.y, 10);
	ck_assert_uint_eq(m.flush.width, 15);
	ck_assert_uint_eq(m.flush.height, 25);
	ck_assert(gpu_rig_silent(&r));
	gpu_rig_presented(&r, 0, last + 1);
	for (n = 0; drv_used(&r.d, 0, &id, &len); n++)
		;
	ck_assert_uint_eq(n, 62);
}
END_TEST

/* Uses all the room there is; the last sequence. */
static uint32_t fill_the_room(uint32_t id)
{
	uint32_t last = 0, used, len;
	uint16_t head;

	do {
		head = gpu_rig_flush_late(&r, id, RECT(0, 0, 1, 1));
		while (gpu_rig_hear(&r, &m))
			last = m.flush.sequence;
	} while (!drv_used(&r.d, 0, &used, &len));
	ck_assert_uint_eq(used, head);
	return last;
}

/* The desktop takes a picture of the same size for new only where it is told so. */
START_TEST(damage_outlives_its_picture)
{
	uint32_t last, id, len;

	r.d.queue_size = 256;
	vdev_set_status(r.d.dev, 0);
	ck_assert(drv_start(&r.d, DRV_ALL_FEATURES));
	gpu_rig_desktop(&r);
	show(100, 50);
	ck_assert_uint_eq(gpu_rig_create(&r, 2, XRGB, 100, 50), OK);
	ck_assert_uint_eq(gpu_rig_create(&r, 3, XRGB, 50, 50), OK);
	last = fill_the_room(1);
	ck_assert_uint_eq(gpu_rig_flush(&r, 1, RECT(90, 40, 3, 3)), OK);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 2, RECT(0, 0, 100, 50)), OK);
	ck_assert_uint_eq(gpu_rig_flush(&r, 2, RECT(80, 10, 2, 2)), OK);
	ck_assert(gpu_rig_silent(&r));
	gpu_rig_presented(&r, 0, last);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.x, 0); /* that of fill_the_room, too */
	ck_assert_uint_eq(m.flush.y, 0);
	ck_assert_uint_eq(m.flush.width, 93);
	ck_assert_uint_eq(m.flush.height, 43);
	while (drv_used(&r.d, 0, &id, &len))
		;
	/* One of another size in between, of which it never hears: all is new. */
	last = fill_the_room(2);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 3, RECT(0, 0, 50, 50)), OK);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 0, 1, RECT(0, 0, 100, 50)), OK);
	ck_assert(gpu_rig_silent(&r));
	gpu_rig_presented(&r, 0, last);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.width, 100);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.width, 100);
	ck_assert_uint_eq(m.flush.height, 50);
}
END_TEST

/* One resource on two scanouts: the answer comes when both have been presented. */
START_TEST(flush_of_two_scanouts)
{
	uint32_t sequence[3] = {0};
	uint16_t head;

	gpu_rig_desktop(&r);
	show(100, 50);
	ck_assert_uint_eq(gpu_rig_scanout(&r, 2, 1, RECT(50, 0, 50, 50)), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.scanout, 2);
	head = gpu_rig_flush_late(&r, 1, RECT(40, 0, 20, 20));
	for (unsigned i = 0; i < 2; i++) {
		gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
		sequence[m.flush.scanout] = m.flush.sequence;
		ck_assert_uint_eq(m.flush.width, m.flush.scanout ? 10 : 20);
	}
	gpu_rig_presented(&r, 2, sequence[2]);
	ck_assert(!gpu_rig_answered(&r, head));
	gpu_rig_presented(&r, 0, sequence[0]);
	ck_assert(gpu_rig_answered(&r, head));
	/* One of them goes: what is left to wait for is the other. */
	head = gpu_rig_flush_late(&r, 1, RECT(40, 0, 20, 20));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	sequence[0] = m.flush.sequence;
	ck_assert_uint_eq(gpu_rig_scanout(&r, 2, 0, RECT(0, 0, 0, 0)), OK);
	ck_assert(!gpu_rig_answered(&r, head));
	gpu_rig_presented(&r, 0, sequence[0]);
	ck_assert(gpu_rig_answered(&r, head));
}
END_TEST

START_TEST(work_is_done_in_turns)
{
	struct virtio_gpu_transfer_to_host_2d c = {
		{.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D}, RECT(0, 0, 512, 512), 0, 1, 0};
	struct drv_buf buf = {.gpa = r.scratch, .len = sizeof(c)};
	uint32_t id, len;
	unsigned n = 0;

	r.d.queue_size = 256;
	vdev_set_status(r.d.dev, 0);
	ck_assert(drv_start(&r.d, DRV_ALL_FEATURES));
	show(512, 512);
	memcpy(drv_ptr(&r.d, r.scratch, sizeof(c)), &c, sizeof(c));
	for (unsigned i = 0; i < 200; i++)
		drv_add(&r.d, 0, &buf, 1);
	drv_kick(&r.d, 0);
	while (drv_used(&r.d, 0, &id, &len))
		n++;
	ck_assert_uint_gt(n, 10);
	ck_assert_uint_lt(n, 100);
	for (unsigned turns = 0; turns < 10 && drv_fire_timer(&r.d); turns++)
		;
	while (drv_used(&r.d, 0, &id, &len))
		n++;
	ck_assert_uint_eq(n, 200);
}
END_TEST

/* ---- blobs ----------------------------------------------------------------------------------- */

START_TEST(blob_of_guest_memory)
{
	struct virtio_gpu_mem_entry e[2] = {{GPU_RIG_FB + 0x10000, 0x8000, 0},
					    {GPU_RIG_FB, 0x8000, 0}};
	struct exo_dpy_scanout s;

	fill(0);
	gpu_rig_desktop(&r);
	ck_assert_uint_eq(gpu_rig_blob(&r, 5, VIRTIO_GPU_BLOB_MEM_GUEST,
				       VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE, 0x10000, e, 2),
			  OK);
	/* A stride of its own, and not at the beginning. */
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 5, 100, 50, 512, 256), OK);
	ck_assert(gpu_rig_silent(&r)); /* it is seen from its first flush on, and then whole */
	gpu_rig_flush_late(&r, 5, RECT(3, 3, 1, 1));
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	s = m.scanout;
	ck_assert_uint_eq(s.stride, 512);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.width, 100);
	ck_assert_uint_eq(m.flush.height, 50);
	ck_assert_uint_eq(seen(&s, 0, 0), 0x4000 + 64);
	ck_assert_uint_eq(seen(&s, 99, 49), 0x4000 + 64 + 49 * 128 + 99);
	/* Then what is damaged only. */
	fill(0x10000000);
	gpu_rig_flush_late(&r, 5, RECT(10, 10, 2, 1));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.x, 10);
	ck_assert_uint_eq(m.flush.width, 2);
	for (uint32_t y = 0; y < 50; y++) {
		for (uint32_t x = 0; x < 100; x++) {
			bool in = y == 10 && (x == 10 || x == 11);

			ck_assert_uint_eq(seen(&s, x, y),
					  0x4000 + 64 + y * 128 + x + (in ? 0x10000000 : 0));
		}
	}
	/* Said again it is the same picture. */
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 5, 100, 50, 512, 256), OK);
	gpu_rig_flush_late(&r, 5, RECT(0, 0, 1, 1));
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	ck_assert_uint_eq(m.flush.width, 1);
	/* Its transfers mean nothing, and are no error. */
	ck_assert_uint_eq(gpu_rig_transfer(&r, 5, RECT(0, 0, 64, 64), 0), OK);
}
END_TEST

START_TEST(two_blobs_in_turns)
{
	struct virtio_gpu_mem_entry e[2] = {{GPU_RIG_FB, 0x8000, 0},
					    {GPU_RIG_FB + 0x8000, 0x8000, 0}};
	uint64_t place[2];
	uint16_t head;

	gpu_rig_desktop(&r);
	for (uint32_t i = 0; i < 2; i++)
		ck_assert_uint_eq(
			gpu_rig_blob(&r, 1 + i, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 0x8000, &e[i], 1),
			OK);
	for (uint32_t i = 0; i < 6; i++) {
		fill(i);
		ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 1 + i % 2, 64, 64, 256, 0), OK);
		head = gpu_rig_flush_late(&r, 1 + i % 2, RECT(0, 0, 64, 64));
		gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
		if (i < 2)
			place[i] = m.scanout.offset;
		ck_assert_uint_eq(m.scanout.offset, place[i % 2]);
		ck_assert_uint_eq(seen(&m.scanout, 5, 0), 5 + i + i % 2 * 0x2000);
		gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
		ck_assert(!gpu_rig_answered(&r, head));
		gpu_rig_presented(&r, 0, m.flush.sequence);
		ck_assert(gpu_rig_answered(&r, head));
	}
	ck_assert_uint_ne(place[0], place[1]);
	/* The one that is seen goes while the other is not seen yet. */
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 1, 64, 64, 256, 0), OK);
	ck_assert(gpu_rig_silent(&r));
	ck_assert_uint_eq(gpu_rig_unref(&r, 2), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.width, 0);
	gpu_rig_flush_late(&r, 1, RECT(0, 0, 64, 64));
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.width, 64);
}
END_TEST

/* Drawing in the region is drawing in the picture. */
START_TEST(blob_in_the_picture_memory)
{
	uint32_t pixel = 0x00c0ffee;
	uint16_t head;

	gpu_rig_desktop(&r);
	ck_assert_uint_eq(gpu_rig_blob(&r, 3, VIRTIO_GPU_BLOB_MEM_HOST3D,
				       VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE, 100 * 50 * 4, NULL, 0),
			  OK);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 3, 100, 50, 400, 0),
			  VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER); /* it is nowhere yet */
	ck_assert_uint_eq(gpu_rig_map(&r, 3, 0x5000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	ck_assert_uint_eq(r.len, sizeof(r.resp.map));
	ck_assert_uint_eq(r.resp.map.map_info, VIRTIO_GPU_MAP_CACHE_CACHED);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 0, 3, 100, 50, 400, 0), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.offset, 0x5000);
	memcpy(r.picture + 0x5000 + 4, &pixel, 4); /* as the guest would */
	head = gpu_rig_flush_late(&r, 3, RECT(0, 0, 100, 50));
	ck_assert_uint_eq(seen(&m.scanout, 1, 0), pixel);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	gpu_rig_presented(&r, 0, m.flush.sequence);
	ck_assert(gpu_rig_answered(&r, head));
	ck_assert_uint_eq(gpu_rig_unref(&r, 3), OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.width, 0);
	memcpy(&pixel, r.picture + 0x5000 + 4, 4);
	ck_assert_uint_eq(pixel, 0);
}
END_TEST

START_TEST(blobs_share_the_memory_with_others)
{
	const uint32_t host = VIRTIO_GPU_BLOB_MEM_HOST3D, map = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE;

	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 1024, 256), OK); /* the upper half */
	for (uint32_t id = 2; id < 8; id++)
		ck_assert_uint_eq(gpu_rig_blob(&r, id, host, map, 0x1800, NULL, 0), OK);
	ck_assert_uint_eq(gpu_rig_map(&r, 2, 0x2000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_rig_map(&r, 3, 0x3000), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	ck_assert_uint_eq(gpu_rig_map(&r, 3, 0x1000), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	ck_assert_uint_eq(gpu_rig_map(&r, 3, 0x4000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_rig_map(&r, 4, 0), VIRTIO_GPU_RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_rig_map(&r, 5, GPU_RIG_PICTURE / 2 - 0x1000),
			  VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	ck_assert_uint_eq(gpu_rig_map(&r, 5, GPU_RIG_PICTURE / 2 - 0x2000),
			  VIRTIO_GPU_RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_rig_map(&r, 6, GPU_RIG_PICTURE - 0x1000),
			  VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_rig_unref(&r, 1), OK);
	ck_assert_uint_eq(gpu_rig_map(&r, 6, GPU_RIG_PICTURE - 0x2000),
			  VIRTIO_GPU_RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_rig_unmap(&r, 2), OK);
	ck_assert_uint_eq(gpu_rig_map(&r, 7, 0x2000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	/* 1 MiB less a page between two of them. */
	ck_assert_uint_eq(gpu_rig_create(&r, 1, XRGB, 1024, 254), OK);
}
END_TEST

/* ---- cursors --------------------------------------------------------------------------------- */

START_TEST(cursor)
{
	struct virtio_gpu_mem_entry e = whole();
	const uint32_t update = VIRTIO_GPU_CMD_UPDATE_CURSOR, move = VIRTIO_GPU_CMD_MOVE_CURSOR;
	struct virtio_gpu_update_cursor c = {.hdr.type = update};
	uint32_t id;

	fill(0x80000000);
	gpu_rig_desktop(&r);
	show(100, 50);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(gpu_rig_create(&r, 2, ARGB, 64, 64), OK);
	ck_assert_uint_eq(gpu_rig_attach(&r, 2, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 2, RECT(0, 0, 64, 64), 0), OK);
	ck_assert_uint_eq(gpu_rig_cursor(&r, update, 0, 2, 3, 4), OK);
	gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
	ck_assert_uint_eq(m.cursor.visible, 1);
	ck_assert_uint_eq(m.cursor.hot_x, 3);
	ck_assert_uint_eq(m.cursor.hot_y, 4);
	ck_assert_mem_eq(r.picture + m.cursor.offset, fb(), 64 * 64 * 4);
	ck_assert_uint_eq(gpu_rig_cursor(&r, move, 0, 2, 0, 0), OK);
	ck_assert(gpu_rig_silent(&r));
	/* Linux: a blob of guest memory, and no room for an answer. */
	ck_assert_uint_eq(gpu_rig_blob(&r, 3, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 0x4000, &e, 1), OK);
	fill(0x40000000);
	c.resource_id = 3;
	c.hot_x = 64;
	gpu_rig_offer(&r, 1, &c, sizeof(c), 0);
	ck_assert(drv_used(&r.d, 1, &id, &r.len));
	ck_assert_uint_eq(r.len, 0);
	gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
	ck_assert_uint_eq(m.cursor.hot_x, 63);
	ck_assert_mem_eq(r.picture + m.cursor.offset, fb(), 64 * 64 * 4);
	ck_assert_uint_eq(gpu_rig_cursor(&r, update, 0, 0, 0, 0), OK);
	gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
	ck_assert_uint_eq(m.cursor.visible, 0);
	ck_assert_uint_eq(gpu_rig_cursor(&r, update, 0, 2, 0, 0), OK);
	gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
	ck_assert_uint_eq(gpu_rig_unref(&r, 2), OK);
	gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
	ck_assert_uint_eq(m.cursor.visible, 0);
}
END_TEST

/* A guest changes it as often as it likes: the desktop hears of as much as it answers. */
START_TEST(cursors_do_not_fill_the_socket)
{
	struct virtio_gpu_mem_entry e = whole();
	unsigned cursors = 0, flushes = 0;
	uint32_t last = 0, hot = 0;

	gpu_rig_desktop(&r);
	show(100, 50);
	ck_assert_uint_eq(gpu_rig_blob(&r, 3, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 0x4000, &e, 1), OK);
	for (unsigned i = 0; i < 5000; i++)
		ck_assert_uint_eq(gpu_rig_cursor(&r, VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 3, i % 64, 0),
				  OK);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	while (gpu_rig_hear(&r, &m)) {
		cursors += m.h.type == EXO_DPY_CURSOR;
		flushes += m.h.type == EXO_DPY_FLUSH;
		last = m.h.type == EXO_DPY_FLUSH ? m.flush.sequence : last;
		hot = m.h.type == EXO_DPY_CURSOR ? m.cursor.hot_x : hot;
	}
	ck_assert_uint_ge(cursors, 8);
	ck_assert_uint_le(cursors, 64);
	ck_assert_uint_eq(flushes, 1);
	ck_assert_uint_ne(hot, 4999 % 64);
	gpu_rig_presented(&r, 0, last);
	gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
	ck_assert_uint_eq(m.cursor.hot_x, 4999 % 64);
	ck_assert(gpu_rig_silent(&r));
}
END_TEST

/* ---- a desktop that comes later, and reset ----------------------------------------------------
 */

START_TEST(all_is_said_again)
{
	struct virtio_gpu_mem_entry e = whole();

	fill(99);
	show(100, 50);
	ck_assert_uint_eq(gpu_rig_blob(&r, 3, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 0x4000, &e, 1), OK);
	ck_assert_uint_eq(gpu_rig_cursor(&r, VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 3, 1, 2), OK);
	ck_assert_uint_eq(gpu_rig_scanout_blob(&r, 1, 3, 64, 64, 256, 0), OK);
	ck_assert_uint_eq(gpu_rig_flush(&r, 3, RECT(0, 0, 1, 1)), OK);
	for (unsigned i = 0; i < 3; i++) {
		gpu_rig_desktop(&r);
		gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
		ck_assert_uint_eq(m.scanout.width, 100);
		gpu_rig_expect(&r, EXO_DPY_CURSOR, &m);
		ck_assert_uint_eq(m.cursor.hot_y, 2);
		gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
		ck_assert_uint_eq(m.scanout.scanout, 1);
		ck_assert_uint_eq(seen(&m.scanout, 63, 63), 99 + 4095);
		ck_assert(gpu_rig_silent(&r));
	}
}
END_TEST

START_TEST(reset_forgets)
{
	uint32_t id, len;

	fill(1);
	gpu_rig_desktop(&r);
	gpu_rig_mode(&r, 0, 1000, 500, 120);
	show(100, 50);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(gpu_rig_transfer(&r, 1, RECT(0, 0, 100, 50), 0), OK);
	gpu_rig_flush_late(&r, 1, RECT(0, 0, 1, 1));
	vdev_set_status(r.d.dev, 0);
	ck_assert_uint_eq(seen(&m.scanout, 0, 0), 0);
	gpu_rig_expect(&r, EXO_DPY_FLUSH, &m);
	gpu_rig_expect(&r, EXO_DPY_SCANOUT, &m);
	ck_assert_uint_eq(m.scanout.width, 0);
	ck_assert(drv_start(&r.d, DRV_ALL_FEATURES));
	gpu_rig_presented(&r, 0, 1);
	ck_assert(!drv_used(&r.d, 0, &id, &len));
	ck_assert_uint_eq(gpu_rig_unref(&r, 1), VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(display_info(), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	ck_assert_uint_eq(r.resp.info.pmodes[0].r.width, 1000); /* the window is what it was */
	show(100, 50);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gpu");
	TCase *one = tcase_create("one scanout"), *three = tcase_create("three scanouts");

	tcase_add_checked_fixture(one, setup, teardown);
	tcase_add_test(one, a_mode_is_an_event);
	tcase_add_test(one, edid);
	tcase_add_test(one, transfer_gathers);
	tcase_add_test(one, transfer_of_a_part);
	tcase_add_test(one, a_part_of_a_picture_is_shown);
	tcase_add_test(one, memory_is_given_back_and_zero);
	tcase_add_test(one, flush_waits_for_the_desktop);
	tcase_add_test(one, flush_waits_though_another_picture_is_shown);
	tcase_add_test(one, flush_waits_no_more);
	tcase_add_test(one, damage_that_found_no_room_is_said_later);
	tcase_add_test(one, damage_outlives_its_picture);
	tcase_add_test(one, work_is_done_in_turns);
	tcase_add_test(one, blob_of_guest_memory);
	tcase_add_test(one, two_blobs_in_turns);
	tcase_add_test(one, blob_in_the_picture_memory);
	tcase_add_test(one, blobs_share_the_memory_with_others);
	tcase_add_test(one, cursor);
	tcase_add_test(one, cursors_do_not_fill_the_socket);
	tcase_add_test(one, reset_forgets);
	suite_add_tcase(s, one);
	tcase_add_checked_fixture(three, setup_three, teardown);
	tcase_add_test(three, displays_stand_side_by_side);
	tcase_add_test(three, an_event_is_not_lost);
	tcase_add_test(three, flush_of_two_scanouts);
	tcase_add_test(three, all_is_said_again);
	suite_add_tcase(s, three);
	return unit_run(s);
}
