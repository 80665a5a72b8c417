/*
 * virtio-sound: what it says of itself, the states of a stream, playback by the
 * desktop's pace and by the clock, recording, and drivers that lie (H-05, H-26).
 */
#include "clock.h"
#include "desk_rig.h"
#include "drv.h"
#include "sound_impl.h"
#include "unit.h"

#include <check.h>
#include <linux/virtio_snd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define RATE 48000u
#define WINDOW (RATE / 8 * 4) /* 125 ms of 16 bits, stereo */

static struct drv d;
static struct desk_rig rig;

static void make(bool playback, bool capture)
{
	drv_attach(&d, sound_create(&d.mem, &d.host, rig.desk, playback, capture));
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
}

static void setup(void)
{
	drv_init(&d);
	desk_rig_init(&rig, 1, EXO_DPY_HAS_PLAYBACK | EXO_DPY_HAS_CAPTURE);
	make(true, true);
}

static void teardown(void)
{
	drv_finish(&d);
	desk_rig_finish(&rig);
}

/* ---- the control queue ---------------------------------------------------------------- */

static gpa_t scratch;

/* Sends a request with room for an answer: its length. The answer is at `scratch`. */
static uint32_t request(const void *req, uint32_t len, uint32_t room)
{
	uint32_t id, used;

	if (!scratch || !d.brk || scratch >= d.brk)
		scratch = drv_alloc(&d, 8192, 16);
	memset(drv_ptr(&d, scratch, 8192), 0xcc, 8192);

	const struct drv_buf buf[] = {{scratch + 4096, len, false}, {scratch, room, true}};

	memcpy(drv_ptr(&d, scratch + 4096, len), req, len);
	drv_add(&d, CONTROLQ, buf, room ? 2 : 1);
	drv_kick(&d, CONTROLQ);
	ck_assert(drv_used(&d, CONTROLQ, &id, &used));
	return used;
}

static uint32_t status(void)
{
	uint32_t code;

	memcpy(&code, drv_ptr(&d, scratch, 4), 4);
	return code;
}

static uint32_t order(uint32_t code, uint32_t id)
{
	struct virtio_snd_pcm_hdr r = {{code}, id};

	ck_assert_uint_eq(request(&r, sizeof(r), 4), 4);
	return status();
}

static struct virtio_snd_pcm_set_params good_params(uint32_t id)
{
	return (struct virtio_snd_pcm_set_params){
		.hdr = {{VIRTIO_SND_R_PCM_SET_PARAMS}, id},
		.buffer_bytes = 65536,
		.period_bytes = 4096,
		.channels = 2,
		.format = VIRTIO_SND_PCM_FMT_S16,
		.rate = VIRTIO_SND_PCM_RATE_48000,
	};
}

static uint32_t set_params(uint32_t id)
{
	struct virtio_snd_pcm_set_params r = good_params(id);

	ck_assert_uint_eq(request(&r, sizeof(r), 4), 4);
	return status();
}

static void prepare(uint32_t id)
{
	ck_assert_uint_eq(set_params(id), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_PREPARE, id), VIRTIO_SND_S_OK);
}

static void start(uint32_t id)
{
	prepare(id);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, id), VIRTIO_SND_S_OK);
}

START_TEST(information)
{
	struct virtio_snd_config c;
	struct virtio_snd_query_info q = {{VIRTIO_SND_R_PCM_INFO}, 0, 2, 0};
	struct virtio_snd_pcm_info pcm[2];
	struct virtio_snd_chmap_info map[4];
	struct virtio_snd_jack_info jack[2];

	vdev_config_read(d.dev, 0, &c, sizeof(c));
	ck_assert_uint_eq(c.streams, 2);
	ck_assert_uint_eq(c.jacks, 2);
	ck_assert_uint_eq(c.chmaps, 4);
	q.size = sizeof(pcm[0]);
	ck_assert_uint_eq(request(&q, sizeof(q), 4 + sizeof(pcm)), 4 + sizeof(pcm));
	ck_assert_uint_eq(status(), VIRTIO_SND_S_OK);
	memcpy(pcm, drv_ptr(&d, scratch + 4, sizeof(pcm)), sizeof(pcm));
	ck_assert_uint_eq(pcm[0].direction, VIRTIO_SND_D_OUTPUT);
	ck_assert_uint_eq(pcm[1].direction, VIRTIO_SND_D_INPUT);
	ck_assert_uint_eq(pcm[0].formats, 1u << VIRTIO_SND_PCM_FMT_S16);
	ck_assert(pcm[0].rates >> VIRTIO_SND_PCM_RATE_44100 & 1);
	ck_assert(!(pcm[0].rates >> VIRTIO_SND_PCM_RATE_5512 & 1));
	ck_assert(!(pcm[0].rates >> VIRTIO_SND_PCM_RATE_176400 & 1));
	q = (struct virtio_snd_query_info){{VIRTIO_SND_R_CHMAP_INFO}, 1, 3, sizeof(map[0])};
	ck_assert_uint_eq(request(&q, sizeof(q), 200), 4 + 3 * sizeof(map[0]));
	memcpy(map, drv_ptr(&d, scratch + 4, 3 * sizeof(map[0])), 3 * sizeof(map[0]));
	ck_assert_uint_eq(map[0].channels, 2);
	ck_assert_uint_eq(map[0].positions[1], VIRTIO_SND_CHMAP_FR);
	ck_assert_uint_eq(map[1].direction, VIRTIO_SND_D_INPUT);
	ck_assert_uint_eq(map[1].positions[0], VIRTIO_SND_CHMAP_MONO);
	q = (struct virtio_snd_query_info){{VIRTIO_SND_R_JACK_INFO}, 0, 2, sizeof(jack[0])};
	ck_assert_uint_eq(request(&q, sizeof(q), 200), 4 + sizeof(jack));
	memcpy(jack, drv_ptr(&d, scratch + 4, sizeof(jack)), sizeof(jack));
	ck_assert_uint_eq(jack[0].connected, 1);
}
END_TEST

/* H-05, and counts and sizes that lie. */
START_TEST(bad_queries)
{
	const uint32_t size = sizeof(struct virtio_snd_pcm_info);
	const struct {
		uint32_t start, count, size, room;
	} bad[] = {
		{0, 0, size, 400},          {0, 3, size, 400},   {1, 2, size, 400},
		{2, 1, size, 400},          {0, ~0u, size, 400}, {~0u, 1, size, 400},
		{~0u, ~0u, size, 400},      {1, ~0u, size, 400}, {0, 1, size - 1, 400},
		{0, 1, size + 8, 400},      {0, 2, 0, 400},      {0, 2, ~0u, 400},
		{0, 2, size, 2 * size + 3}, {0, 1, size, size},  {0, 1, size, 4},
		{0, 2, 0x80000010, 400},
	};
	uint32_t before[2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct virtio_snd_query_info q = {
			{VIRTIO_SND_R_PCM_INFO}, bad[i].start, bad[i].count, bad[i].size};

		ck_assert_uint_eq(request(&q, sizeof(q), bad[i].room), 4);
		ck_assert_uint_eq(status(), VIRTIO_SND_S_BAD_MSG);
		memcpy(before, drv_ptr(&d, scratch, 8), 8);
		ck_assert_uint_eq(before[1], 0xcccccccc);
	}
	for (uint32_t room = 0; room < 4; room++) {
		struct virtio_snd_query_info q = {{VIRTIO_SND_R_PCM_INFO}, 0, 1, size};

		ck_assert_uint_eq(request(&q, sizeof(q), room), 0);
		ck_assert_uint_eq(status(), 0xcccccccc);
	}
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

START_TEST(bad_requests)
{
	struct virtio_snd_pcm_set_params r = good_params(PLAY);
	uint32_t unknown[] = {0, 2, 0x1ff, 0x106, 0x201, 0x8000, ~0u};

	for (uint32_t len = 1; len < sizeof(r); len++) {
		ck_assert_uint_eq(request(&r, len, 4), 4);
		ck_assert_uint_eq(status(), VIRTIO_SND_S_BAD_MSG);
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		ck_assert_uint_eq(order(unknown[i], 0), VIRTIO_SND_S_NOT_SUPP);
	for (uint32_t code = VIRTIO_SND_R_PCM_SET_PARAMS; code <= VIRTIO_SND_R_PCM_STOP; code++) {
		ck_assert_uint_eq(order(code, 2), VIRTIO_SND_S_BAD_MSG);
		ck_assert_uint_eq(order(code, ~0u), VIRTIO_SND_S_BAD_MSG);
	}
}
END_TEST

START_TEST(bad_params)
{
	static const struct {
		size_t off;
		unsigned bytes;
		uint32_t value, want;
	} bad[] = {
#define F(field, value, want) \
	{offsetof(struct virtio_snd_pcm_set_params, field), \
	 sizeof(((struct virtio_snd_pcm_set_params *)0)->field), value, VIRTIO_SND_S_##want}
		F(features, 1, NOT_SUPP),
		F(channels, 0, NOT_SUPP),
		F(channels, 3, NOT_SUPP),
		F(channels, 255, NOT_SUPP),
		F(format, VIRTIO_SND_PCM_FMT_U8, NOT_SUPP),
		F(format, 255, NOT_SUPP),
		F(rate, VIRTIO_SND_PCM_RATE_5512, NOT_SUPP),
		F(rate, VIRTIO_SND_PCM_RATE_176400, NOT_SUPP),
		F(rate, 255, NOT_SUPP),
		F(buffer_bytes, 0, BAD_MSG),
		F(buffer_bytes, (1 << 20) + 4, BAD_MSG),
		F(buffer_bytes, ~0u, BAD_MSG),
		F(buffer_bytes, 65534, BAD_MSG),
		F(period_bytes, 0, BAD_MSG),
		F(period_bytes, 2, BAD_MSG),
		F(period_bytes, 65540, BAD_MSG),
		F(period_bytes, ~0u, BAD_MSG),
#undef F
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct virtio_snd_pcm_set_params r = good_params(PLAY);

		memcpy((char *)&r + bad[i].off, &bad[i].value, bad[i].bytes);
		ck_assert_uint_eq(request(&r, sizeof(r), 4), 4);
		ck_assert_msg(status() == bad[i].want, "%zu: %x", i, status());
	}
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_PREPARE, PLAY), VIRTIO_SND_S_BAD_MSG);
}
END_TEST

/* 5.14.6.6.1: every request in every state. */
START_TEST(states)
{
	enum { NONE, SET, PREPARED, RUNNING, STOPPED, STATES };
	static const uint32_t way[] = {VIRTIO_SND_R_PCM_SET_PARAMS, VIRTIO_SND_R_PCM_PREPARE,
				       VIRTIO_SND_R_PCM_START, VIRTIO_SND_R_PCM_STOP};
	/* SET_PARAMS, PREPARE, RELEASE, START, STOP */
	static const bool allowed[STATES][5] = {
		[NONE] = {1, 0, 0, 0, 0},     [SET] = {1, 1, 0, 0, 0},
		[PREPARED] = {1, 1, 1, 1, 0}, [RUNNING] = {0, 0, 0, 0, 1},
		[STOPPED] = {0, 0, 1, 1, 0},
	};

	for (unsigned state = 0; state < STATES; state++) {
		for (unsigned i = 0; i < 5; i++) {
			uint32_t code = VIRTIO_SND_R_PCM_SET_PARAMS + i, got;

			ck_assert(drv_start(&d, DRV_ALL_FEATURES));
			for (unsigned k = 0; k < state; k++)
				ck_assert_uint_eq(k ? order(way[k], (unsigned)_i)
						    : set_params((unsigned)_i),
						  VIRTIO_SND_S_OK);
			got = i ? order(code, (unsigned)_i) : set_params((unsigned)_i);
			ck_assert_msg((got == VIRTIO_SND_S_OK) == allowed[state][i],
				      "state %u, request %x: %x", state, code, got);
			d.brk = 4096; /* what was allocated is not needed again */
			scratch = 0;
		}
	}
}
END_TEST

/* ---- playback ----------------------------------------------------------------------------- */

/* Offers so many bytes, all of them `value`, to stream id. */
static uint16_t offer(uint32_t id, uint32_t bytes, uint8_t value)
{
	gpa_t gpa = drv_alloc(&d, 4 + bytes + 8, 4);
	const struct drv_buf buf[] = {
		{gpa, 4, false}, {gpa + 4, bytes, false}, {gpa + 4 + bytes, 8, true}};

	memcpy(drv_ptr(&d, gpa, 4), &id, 4);
	memset(drv_ptr(&d, gpa + 4, bytes), value, bytes);

	uint16_t head = drv_add(&d, TXQ, buf, 3);

	drv_kick(&d, TXQ);
	return head;
}

static unsigned count_used(unsigned q)
{
	uint32_t id, len;
	unsigned n = 0;

	while (drv_used(&d, q, &id, &len))
		n++;
	return n;
}

/* What has come of sound: bytes, all of them with values from `first` upwards. */
static unsigned heard(void)
{
	union desk_message m;
	unsigned bytes = 0;

	while (desk_rig_receive(&rig, &m)) {
		ck_assert_uint_eq(m.h.type, EXO_DPY_PCM);
		ck_assert_uint_eq(m.pcm.stream, 0);
		ck_assert_uint_eq(m.pcm.bytes % 4, 0);
		bytes += m.pcm.bytes;
	}
	return bytes;
}

static void expect_sound(unsigned stream, bool running)
{
	union desk_message m;

	ck_assert_uint_eq(desk_rig_receive(&rig, &m), sizeof(m.sound));
	ck_assert_uint_eq(m.h.type, EXO_DPY_SOUND);
	ck_assert_uint_eq(m.sound.stream, stream);
	ck_assert_uint_eq(m.sound.running, running);
	ck_assert_uint_eq(m.sound.rate, RATE);
	ck_assert_uint_eq(m.sound.channels, 2);
}

/* What the device does when it is that late. */
static void play_at(uint64_t now_ns)
{
	struct sound *s = (struct sound *)d.dev;

	sound_run(s, 0, now_ns);
	d.timer_ns = s->stream[0].wake_ns;
}

START_TEST(the_desktop_sets_the_pace)
{
	uint32_t id, len;
	uint16_t first;

	desk_rig_attach(&rig);
	prepare(PLAY);
	first = offer(PLAY, 4096, 1); /* before START: waits */
	ck_assert_uint_eq(heard(), 0);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, PLAY), VIRTIO_SND_S_OK);
	expect_sound(0, true);
	offer(PLAY, 4096, 2);
	ck_assert_uint_eq(heard(), 8192);
	ck_assert_uint_eq(count_used(TXQ), 0); /* none of it was played */
	ck_assert(desk_rig_played(&rig, 4000));
	ck_assert_uint_eq(count_used(TXQ), 0);
	ck_assert(desk_rig_played(&rig, 96));
	ck_assert(drv_used(&d, TXQ, &id, &len));
	ck_assert_uint_eq(id, first);
	ck_assert_uint_eq(len, 8);
	ck_assert(desk_rig_played(&rig, 96000)); /* more than there was */
	ck_assert_uint_eq(count_used(TXQ), 1);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, PLAY), VIRTIO_SND_S_OK);
	expect_sound(0, false);
	ck_assert_uint_eq(d.timer_ns, 0); /* nothing plays: nothing wakes anybody */
}
END_TEST

/* exo/display.h: at most 250 ms more than was PLAYED; also by one who counts anew at a start. */
START_TEST(the_window)
{
	unsigned sent, total = 0;

	desk_rig_attach(&rig);
	start(PLAY);
	expect_sound(0, true);
	for (unsigned i = 0; i < 20; i++)
		offer(PLAY, 6000, 1);
	ck_assert_uint_eq(heard(), WINDOW);
	for (total = WINDOW; total < 20 * 6000; total += sent) {
		ck_assert(desk_rig_played(&rig, 6002)); /* not whole frames */
		sent = heard();
		ck_assert_uint_gt(sent, 0);
		ck_assert_uint_le(sent, 6004);
	}
	ck_assert_uint_eq(total, 20 * 6000);
	for (unsigned i = 0; i < 20; i++)
		ck_assert(desk_rig_played(&rig, 6000));
	ck_assert_uint_eq(count_used(TXQ), 20);
}
END_TEST

/* PLAYED that is about the stream before the stop: the desktop never finds too much. */
START_TEST(played_crosses_a_stop)
{
	union desk_message m;
	unsigned bytes = 0;

	desk_rig_attach(&rig);
	start(PLAY);
	for (unsigned i = 0; i < 20; i++)
		offer(PLAY, 6000, 1);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, PLAY), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, PLAY), VIRTIO_SND_S_OK);
	ck_assert(desk_rig_played(&rig, WINDOW));
	while (desk_rig_receive(&rig, &m)) {
		if (m.h.type == EXO_DPY_PCM)
			bytes += m.pcm.bytes;
		else
			bytes = 0;
	}
	ck_assert_uint_eq(bytes, 2 * WINDOW);
}
END_TEST

/* Without a desktop buffers are used all the same, by and by. */
START_TEST(by_the_clock)
{
	uint32_t id, len;

	start(PLAY);
	for (unsigned i = 0; i < 4; i++)
		offer(PLAY, 1920, 1); /* 10 ms */
	for (unsigned i = 0; i < 4; i++) {
		ck_assert(drv_wait_used(&d, TXQ, &id, &len));
		ck_assert_uint_eq(len, 8);
	}
	ck_assert_uint_eq(d.timer_ns, 0);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, PLAY), VIRTIO_SND_S_OK);
	desk_rig_attach(&rig);
	ck_assert_uint_eq(heard(), 0);
}
END_TEST

/* For hours: the clock never stands still, and nobody is woken for nothing. */
START_TEST(by_the_clock_for_long)
{
	const uint32_t id = PLAY, bytes = 60000; /* 312.5 ms */
	const gpa_t gpa = drv_alloc(&d, 4 + bytes + 8, 4);
	const struct drv_buf buf[] = {
		{gpa, 4, false}, {gpa + 4, bytes, false}, {gpa + 4 + bytes, 8, true}};
	uint64_t now;
	unsigned used = 0, waiting = 0;

	memcpy(drv_ptr(&d, gpa, 4), &id, 4);
	start(PLAY);
	now = clock_now_ns();
	for (unsigned i = 0; i < 100000; i++) {
		for (; waiting < 3; waiting++)
			drv_add(&d, TXQ, buf, 3);
		play_at(now);
		waiting -= count_used(TXQ);
		used += 3 - waiting;
		ck_assert_uint_gt(d.timer_ns, now);
		now += 100000000;
	}
	ck_assert_uint_ge(used, 31990);
	ck_assert_uint_le(used, 32000);
}
END_TEST

/* One that comes while it plays hears the rest; one that goes is replaced by the clock. */
START_TEST(desktops_come_and_go)
{
	uint32_t id, len;

	start(PLAY);
	desk_rig_attach(&rig);
	expect_sound(0, true);
	offer(PLAY, 1920, 1);
	ck_assert_uint_eq(heard(), 1920);
	desk_rig_leave(&rig);
	ck_assert(drv_wait_used(&d, TXQ, &id, &len));
	offer(PLAY, 1920, 1);
	ck_assert(drv_wait_used(&d, TXQ, &id, &len));
	desk_rig_attach(&rig);
	expect_sound(0, true);
	vdev_set_status(d.dev, 0);
	expect_sound(0, false);
}
END_TEST

/* A desktop that plays nothing: the clock takes over until it does. */
START_TEST(deaf_desktops)
{
	uint32_t id, len;

	desk_rig_attach(&rig);
	start(PLAY);
	offer(PLAY, 1920, 1);
	ck_assert_uint_ne(d.timer_ns, 0);
	ck_assert(drv_wait_used(&d, TXQ, &id, &len));
	expect_sound(0, true);
	ck_assert_uint_eq(heard(), 1920);
	offer(PLAY, 1920, 1);
	ck_assert(drv_wait_used(&d, TXQ, &id, &len));
	ck_assert_uint_eq(heard(), 0);
	ck_assert(desk_rig_played(&rig, 1920));
	offer(PLAY, 1920, 1);
	ck_assert_uint_eq(heard(), 1920);
	ck_assert(desk_rig_played(&rig, 1920));
	ck_assert_uint_eq(count_used(TXQ), 1);
}
END_TEST

/* 5.14.6.6.5: RELEASE uses all that is pending, before its own answer. */
START_TEST(release_completes)
{
	desk_rig_attach(&rig);
	start(PLAY);
	for (unsigned i = 0; i < 20; i++)
		offer(PLAY, 6000, 1);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, PLAY), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(count_used(TXQ), 0);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_RELEASE, PLAY), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(count_used(TXQ), 20);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_PREPARE, PLAY), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, PLAY), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, PLAY), VIRTIO_SND_S_OK);
}
END_TEST

/* A stream that was stopped and goes on: what the desktop dropped counts as played. */
START_TEST(stop_and_go)
{
	desk_rig_attach(&rig);
	start(PLAY);
	offer(PLAY, 4096, 1);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, PLAY), VIRTIO_SND_S_OK);
	offer(PLAY, 4096, 1);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, PLAY), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(count_used(TXQ), 1);
	ck_assert(desk_rig_played(&rig, 4096));
	ck_assert_uint_eq(count_used(TXQ), 1);
}
END_TEST

/* Every chain completes, with a status where it fits (H-05). */
START_TEST(bad_buffers)
{
	gpa_t gpa = drv_alloc(&d, 65536 + 64, 16);
	const struct {
		uint32_t id, head, bytes, room, used;
	} bad[] = {
		{PLAY, 3, 0, 8, 8},    {PLAY, 4, 0, 8, 8},    {RECORD, 4, 64, 8, 8},
		{7, 4, 64, 8, 8},      {PLAY, 4, 3, 8, 8},    {PLAY, 4, 65540, 8, 8},
		{RECORD, 4, 64, 7, 0}, {RECORD, 4, 64, 0, 0}, {RECORD, 4, 64, 100, 0},
	};
	uint32_t id, len;

	start(PLAY);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct drv_buf buf[3] = {{gpa, bad[i].head, false}};
		unsigned n = 1;

		memcpy(drv_ptr(&d, gpa, 4), &bad[i].id, 4);
		if (bad[i].bytes)
			buf[n++] = (struct drv_buf){gpa + 16, bad[i].bytes, false};
		if (bad[i].room)
			buf[n++] = (struct drv_buf){gpa + 65536,
						    bad[i].room < 64 ? bad[i].room : 100, true};
		if (bad[i].room == 100)
			buf[n - 1].gpa = gpa;
		drv_add(&d, TXQ, buf, n);
		drv_kick(&d, TXQ);
		ck_assert_msg(drv_used(&d, TXQ, &id, &len), "%zu", i);
		ck_assert_msg(len == bad[i].used, "%zu: %u", i, len);
	}
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

/* Buffers of a stream that is not prepared. */
START_TEST(not_prepared)
{
	offer(PLAY, 64, 1);
	ck_assert_uint_eq(count_used(TXQ), 1);
	ck_assert_uint_eq(set_params(PLAY), VIRTIO_SND_S_OK);
	offer(PLAY, 64, 1);
	ck_assert_uint_eq(count_used(TXQ), 1);
}
END_TEST

/* Whole frames only: what is left over of a buffer is dropped. */
START_TEST(half_frames)
{
	desk_rig_attach(&rig);
	start(PLAY);
	expect_sound(0, true);
	offer(PLAY, 4097, 1);
	offer(PLAY, 4098, 1);
	ck_assert_uint_eq(heard(), 8192);
	ck_assert(desk_rig_played(&rig, 8192));
	ck_assert_uint_eq(count_used(TXQ), 2);
}
END_TEST

/* ---- capture ----------------------------------------------------------------------------------
 */

static gpa_t room_for(uint32_t id, uint32_t bytes)
{
	gpa_t gpa = drv_alloc(&d, 4 + bytes + 8, 4);
	const struct drv_buf buf[] = {
		{gpa, 4, false}, {gpa + 4, bytes, true}, {gpa + 4 + bytes, 8, true}};

	memcpy(drv_ptr(&d, gpa, 4), &id, 4);
	memset(drv_ptr(&d, gpa + 4, bytes + 8), 0xcc, bytes + 8);
	drv_add(&d, RXQ, buf, 3);
	drv_kick(&d, RXQ);
	return gpa + 4;
}

static bool all(gpa_t gpa, uint32_t bytes, uint8_t value)
{
	const uint8_t *p = drv_ptr(&d, gpa, bytes);

	for (uint32_t i = 0; i < bytes; i++) {
		if (p[i] != value)
			return false;
	}
	return true;
}

static void say_captured(uint32_t bytes, uint8_t value)
{
	struct {
		struct exo_dpy_pcm m;
		uint8_t data[EXO_DPY_PCM_MAX];
	} m = {.m = {.stream = 1, .bytes = bytes}};

	memset(m.data, value, bytes);
	ck_assert(desk_rig_say(&rig, EXO_DPY_CAPTURED, &m, sizeof(m.m) + bytes));
}

START_TEST(silence)
{
	uint32_t id, len, st[2];
	gpa_t gpa;

	start(RECORD);
	gpa = room_for(RECORD, 1920);
	ck_assert(drv_wait_used(&d, RXQ, &id, &len));
	ck_assert_uint_eq(len, 1928);
	ck_assert(all(gpa, 1920, 0));
	memcpy(st, drv_ptr(&d, gpa + 1920, 8), 8);
	ck_assert_uint_eq(st[0], VIRTIO_SND_S_OK);
	ck_assert_uint_eq(d.timer_ns, 0);
}
END_TEST

START_TEST(what_the_desktop_hears)
{
	uint32_t id, len;
	gpa_t one, two;

	desk_rig_attach(&rig);
	start(RECORD);
	expect_sound(1, true);
	say_captured(1000, 1);
	say_captured(3000, 2);
	say_captured(1001 * 2, 9); /* half a frame: dropped */
	one = room_for(RECORD, 1000);
	two = room_for(RECORD, 3000);
	ck_assert(drv_used(&d, RXQ, &id, &len));
	ck_assert_uint_eq(len, 1008);
	ck_assert(drv_used(&d, RXQ, &id, &len));
	ck_assert(all(one, 1000, 1) && all(two, 3000, 2));
	one = room_for(RECORD, 1000);
	say_captured(400, 3);
	ck_assert(drv_wait_used(&d, RXQ, &id, &len)); /* nothing more comes */
	ck_assert(all(one, 400, 3) && all(one + 400, 600, 0));
}
END_TEST

/* A guest that does not record: what is too much is dropped, what was first is kept. */
START_TEST(too_much_captured)
{
	uint32_t id, len;
	gpa_t gpa;

	desk_rig_attach(&rig);
	start(RECORD);
	for (unsigned i = 0; i < 100; i++)
		say_captured(7680, (uint8_t)i);
	for (unsigned i = 0; i < 17; i++) {
		gpa = room_for(RECORD, 7680);
		ck_assert(drv_used(&d, RXQ, &id, &len));
		ck_assert(all(gpa, 7680, (uint8_t)i));
	}
	room_for(RECORD, 7680);
	ck_assert(!drv_used(&d, RXQ, &id, &len));
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, RECORD), VIRTIO_SND_S_OK);
	say_captured(7680, 1);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_RELEASE, RECORD), VIRTIO_SND_S_OK);
	ck_assert(drv_used(&d, RXQ, &id, &len));
}
END_TEST

/* A buffer that is longer than what the device keeps is filled as sound comes. */
START_TEST(long_buffers)
{
	struct virtio_snd_pcm_set_params r = good_params(RECORD);
	uint32_t id, len, bytes = 100 * 7680;
	gpa_t gpa;

	desk_rig_attach(&rig);
	r.buffer_bytes = r.period_bytes = bytes;
	ck_assert_uint_eq(request(&r, sizeof(r), 4), 4);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_PREPARE, RECORD), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, RECORD), VIRTIO_SND_S_OK);
	gpa = room_for(RECORD, bytes);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert(!drv_used(&d, RXQ, &id, &len));
		say_captured(7680, (uint8_t)(i + 1));
	}
	ck_assert(drv_used(&d, RXQ, &id, &len));
	ck_assert_uint_eq(len, bytes + 8);
	for (unsigned i = 0; i < 100; i++)
		ck_assert(all(gpa + i * 7680, 7680, (uint8_t)(i + 1)));
}
END_TEST

/* 2.7.8.2: what was not recorded does not count as written. */
START_TEST(released_room)
{
	uint32_t id, len, st;
	gpa_t one, two;

	desk_rig_attach(&rig);
	start(RECORD);
	one = room_for(RECORD, 4096);
	two = room_for(RECORD, 4096);
	say_captured(400, 1);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, RECORD), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_RELEASE, RECORD), VIRTIO_SND_S_OK);
	ck_assert(drv_used(&d, RXQ, &id, &len));
	ck_assert_uint_eq(len, 400);
	ck_assert(all(one, 400, 1) && all(one + 400, 4096 - 400, 0xcc));
	memcpy(&st, drv_ptr(&d, one + 4096, 4), 4);
	ck_assert_uint_eq(st, VIRTIO_SND_S_OK);
	ck_assert(drv_used(&d, RXQ, &id, &len));
	ck_assert_uint_eq(len, 0);
	memcpy(&st, drv_ptr(&d, two + 4096, 4), 4);
	ck_assert_uint_eq(st, VIRTIO_SND_S_OK);
}
END_TEST

START_TEST(bad_room)
{
	uint32_t id, len;
	const struct drv_buf only = {0x1000, 8, true};

	room_for(RECORD, 64); /* not prepared */
	ck_assert_uint_eq(count_used(RXQ), 1);
	start(RECORD);
	room_for(PLAY, 64);
	room_for(RECORD, 3);
	room_for(RECORD, 65536 + 4);
	ck_assert_uint_eq(count_used(RXQ), 3);
	drv_send(&d, RXQ, "\1\0\0\0", 4); /* nothing to write to */
	ck_assert(drv_used(&d, RXQ, &id, &len));
	ck_assert_uint_eq(len, 0);
	drv_add(&d, RXQ, &only, 1);
	drv_kick(&d, RXQ);
	ck_assert_uint_eq(count_used(RXQ), 1);
}
END_TEST

/* ---- life
 * ---------------------------------------------------------------------------------------- */

START_TEST(one_direction_only)
{
	struct virtio_snd_config c;

	drv_detach(&d);
	desk_rig_finish(&rig);
	desk_rig_init(&rig, 1, EXO_DPY_HAS_CAPTURE);
	make(false, true);
	vdev_config_read(d.dev, 0, &c, sizeof(c));
	ck_assert_uint_eq(c.streams, 1);
	start(0);
	room_for(0, 1920);
	ck_assert(drv_wait_used(&d, RXQ, &(uint32_t){0}, &(uint32_t){0}));
	offer(0, 64, 1); /* there is no playback */
	ck_assert_uint_eq(count_used(TXQ), 1);
}
END_TEST

START_TEST(h16_reset)
{
	desk_rig_attach(&rig);
	start(PLAY);
	start(RECORD);
	for (unsigned i = 0; i < 20; i++)
		offer(PLAY, 6000, 1);
	room_for(RECORD, 6000);
	vdev_set_status(d.dev, 0);
	ck_assert_uint_eq(d.timer_ns, 0);
	vdev_timer(d.dev);
	ck_assert(desk_rig_played(&rig, 4000));
	say_captured(400, 1);
	d.brk = 4096;
	scratch = 0;
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	ck_assert_uint_eq(count_used(TXQ), 0);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, PLAY), VIRTIO_SND_S_BAD_MSG);
}
END_TEST

/* H-26: a driver that starts and stops without end, and one that offers without end. */
START_TEST(floods)
{
	union desk_message m;

	desk_rig_attach(&rig);
	prepare(PLAY);
	for (unsigned i = 0; i < 200; i++) {
		(void)order(VIRTIO_SND_R_PCM_START, PLAY);
		(void)order(VIRTIO_SND_R_PCM_STOP, PLAY);
		while (desk_rig_receive(&rig, &m))
			;
	}
	for (unsigned i = 0; i < 64; i++)
		drv_add(&d, TXQ, &(struct drv_buf){0x1000, 1, false}, 1);
	drv_kick(&d, TXQ);
	ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, PLAY), VIRTIO_SND_S_OK);
	ck_assert_uint_eq(count_used(TXQ), 64);
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

/* A desktop that does not read is lost by the messages that must not be; the clock goes on. */
START_TEST(a_desktop_that_does_not_read)
{
	desk_rig_attach(&rig);
	prepare(PLAY);
	for (unsigned i = 0; i < 3000 && desk_there(rig.desk); i++) {
		ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_START, PLAY), VIRTIO_SND_S_OK);
		ck_assert_uint_eq(order(VIRTIO_SND_R_PCM_STOP, PLAY), VIRTIO_SND_S_OK);
	}
	ck_assert(!desk_there(rig.desk));
	ck_assert(!desk_receive(rig.desk));
	(void)order(VIRTIO_SND_R_PCM_START, PLAY);
	offer(PLAY, 1920, 1);
	ck_assert(drv_wait_used(&d, TXQ, &(uint32_t){0}, &(uint32_t){0}));
}
END_TEST

START_TEST(malformed_rings_stop_it)
{
	if (_i != CONTROLQ)
		start(_i == RXQ ? RECORD : PLAY);
	drv_offer(&d, (unsigned)_i, 64);
	drv_kick(&d, (unsigned)_i);
	ck_assert(drv_needs_reset(&d) == (_i != EVENTQ)); /* nothing is taken from that */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sound");
	TCase *tc = tcase_create("sound");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, information);
	tcase_add_test(tc, bad_queries);
	tcase_add_test(tc, bad_requests);
	tcase_add_test(tc, bad_params);
	tcase_add_loop_test(tc, states, 0, 2);
	tcase_add_test(tc, the_desktop_sets_the_pace);
	tcase_add_test(tc, the_window);
	tcase_add_test(tc, played_crosses_a_stop);
	tcase_add_test(tc, by_the_clock);
	tcase_add_test(tc, by_the_clock_for_long);
	tcase_add_test(tc, desktops_come_and_go);
	tcase_add_test(tc, deaf_desktops);
	tcase_add_test(tc, release_completes);
	tcase_add_test(tc, stop_and_go);
	tcase_add_test(tc, bad_buffers);
	tcase_add_test(tc, not_prepared);
	tcase_add_test(tc, half_frames);
	tcase_add_test(tc, silence);
	tcase_add_test(tc, what_the_desktop_hears);
	tcase_add_test(tc, too_much_captured);
	tcase_add_test(tc, long_buffers);
	tcase_add_test(tc, released_room);
	tcase_add_test(tc, bad_room);
	tcase_add_test(tc, one_direction_only);
	tcase_add_test(tc, h16_reset);
	tcase_add_test(tc, floods);
	tcase_add_test(tc, a_desktop_that_does_not_read);
	tcase_add_loop_test(tc, malformed_rings_stop_it, 0, 4);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
