/*
 * Playback; see sound_impl.h. Two clocks can say what has been played: the desktop
 * (PLAYED), or CLOCK_MONOTONIC where there is no desktop or one that is deaf. Under
 * the device's lock.
 */
#include "sound_impl.h"

#define DEAF_NS 1000000000u /* a desktop that plays nothing for so long */
#define SECOND_NS 1000000000u

/* Half of the 250 ms that exo/display.h allows: PLAYED may be of what was sent before a stop. */
static uint64_t window_bytes(const struct sound_params *p)
{
	return (uint64_t)p->rate / 8 * p->frame_bytes;
}

static bool by_desktop(const struct sound *s)
{
	return s->there && !s->play.deaf;
}

static void set_clock(struct sound_play *pl, uint64_t now_ns)
{
	pl->base = pl->played;
	pl->base_ns = now_ns;
}

/* What has been played by the clock. Whole seconds go into the base: the rest stays small. */
static uint64_t clock_position(struct sound_play *pl, const struct sound_params *p, uint64_t now_ns)
{
	const uint64_t bytes = (uint64_t)p->rate * p->frame_bytes; /* a second */
	uint64_t seconds = (now_ns - pl->base_ns) / SECOND_NS;

	pl->base += seconds * bytes;
	pl->base_ns += seconds * SECOND_NS;
	return pl->base + (now_ns - pl->base_ns) * bytes / SECOND_NS;
}

static void go_deaf(struct sound *s, uint64_t now_ns)
{
	s->play.deaf = true;
	set_clock(&s->play, now_ns);
}

/* ---- from the guest ----------------------------------------------------------------- */

/* Reads whole frames, at most max bytes, and sends them; how many bytes. */
static size_t send_some(struct sound *s, uint64_t max, uint64_t now_ns)
{
	struct {
		struct exo_dpy_pcm h;
		uint8_t data[EXO_DPY_PCM_MAX];
	} m = {.h.stream = PLAY};
	const uint32_t frame = s->stream[PLAY].p.frame_bytes;
	size_t bytes = max < sizeof(m.data) ? max / frame * frame : sizeof(m.data) / frame * frame;

	bytes = vq_read(&s->stream[PLAY].chain, m.data, bytes);
	m.h.bytes = (uint32_t)bytes;
	if (desk_send(s->desk, EXO_DPY_PCM, &m, sizeof(m.h) + bytes)) {
		if (!s->play.sent)
			s->play.heard_ns = now_ns; /* it had nothing to play */
		s->play.sent += bytes;
	} else {
		go_deaf(s, now_ns); /* these are lost */
	}
	return bytes;
}

/* All of the chain is taken. Its status is written now, it is used when it was played. */
static void keep_chain(struct sound *s)
{
	struct sound_play *pl = &s->play;
	struct sound_stream *st = &s->stream[PLAY];
	unsigned at = (pl->first + pl->n++) % SOUND_QUEUE_SIZE;

	pl->fifo[at].head = st->chain.head;
	pl->fifo[at].written = sound_put_status(&st->chain, VIRTIO_SND_S_OK);
	pl->fifo[at].end = pl->taken;
	st->busy = false;
}

/* Takes what the way to the loudspeaker has room for. 0, or as sound_take_chain. */
static int take(struct sound *s, uint64_t now_ns)
{
	struct sound_stream *st = &s->stream[PLAY];
	struct sound_play *pl = &s->play;
	uint64_t waiting, room;
	size_t bytes;
	int r;

	while (pl->n < SOUND_QUEUE_SIZE) {
		waiting = by_desktop(s) ? pl->sent : pl->taken - pl->played;
		if (waiting + st->p.frame_bytes > window_bytes(&st->p))
			break;
		r = sound_take_chain(s, PLAY);
		if (r <= 0)
			return r;
		if (pl->taken == pl->played)
			set_clock(pl, now_ns);
		bytes = sound_bytes(s, PLAY, &st->chain);
		room = window_bytes(&st->p) - waiting;
		if (bytes > room)
			bytes = room / st->p.frame_bytes * st->p.frame_bytes;
		pl->taken += by_desktop(s) ? send_some(s, bytes, now_ns)
					   : vq_skip_read(&st->chain, bytes);
		if (!sound_bytes(s, PLAY, &st->chain))
			keep_chain(s); /* half a frame is none */
	}
	return 0;
}

/* ---- time ------------------------------------------------------------------------------ */

static void use_first(struct sound *s)
{
	struct sound_play *pl = &s->play;

	vq_complete(&s->dev.vq[TXQ], pl->fifo[pl->first].head, pl->fifo[pl->first].written);
	pl->first = (pl->first + 1) % SOUND_QUEUE_SIZE;
	pl->n--;
}

static void advance(struct sound *s, uint64_t now_ns)
{
	struct sound_play *pl = &s->play;
	uint64_t position;

	if (by_desktop(s) && pl->sent && now_ns - pl->heard_ns >= DEAF_NS)
		go_deaf(s, now_ns);
	if (by_desktop(s))
		position = pl->sent < pl->taken ? pl->taken - pl->sent : 0;
	else
		position = clock_position(pl, &s->stream[PLAY].p, now_ns);
	if (position > pl->taken)
		position = pl->taken;
	if (position > pl->played)
		pl->played = position;
	while (pl->n && pl->fifo[pl->first].end <= pl->played)
		use_first(s);
}

/* When something will be different without anybody saying so. */
static uint64_t next_wake(const struct sound *s)
{
	const struct sound_play *pl = &s->play;
	uint64_t end = pl->n ? pl->fifo[pl->first].end : pl->taken;

	if (by_desktop(s))
		return pl->sent ? pl->heard_ns + DEAF_NS : 0;
	if (pl->taken == pl->played)
		return 0;
	return pl->base_ns + sound_ns(&s->stream[PLAY].p, end - pl->base) + 1;
}

int sound_play_run(struct sound *s, uint64_t now_ns)
{
	int r;

	advance(s, now_ns);
	r = take(s, now_ns);
	advance(s, now_ns);
	s->stream[PLAY].wake_ns = next_wake(s);
	return r;
}

/* ---- what happens to it -------------------------------------------------------------------- */

void sound_play_start(struct sound *s)
{
	s->play.sent = 0;
	s->play.deaf = false;
	s->play.played = s->play.taken; /* the desktop dropped the rest when it was stopped */
}

void sound_play_flush(struct sound *s)
{
	while (s->play.n)
		use_first(s);
	s->play.taken = s->play.played = s->play.sent = 0;
}

void sound_play_attached(struct sound *s, uint64_t now_ns)
{
	s->play.sent = 0;
	s->play.deaf = false;
	set_clock(&s->play, now_ns);
}

void sound_play_heard(struct sound *s, uint32_t bytes, uint64_t now_ns)
{
	struct sound_play *pl = &s->play;

	pl->sent -= bytes < pl->sent ? bytes : pl->sent;
	pl->heard_ns = now_ns;
	pl->deaf = false;
}
