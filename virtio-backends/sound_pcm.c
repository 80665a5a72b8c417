/* What both streams of virtio-sound do alike; see sound_impl.h. Under the device's lock. */
#include "sound_impl.h"

#include <errno.h>

static const uint32_t rate_hz[] = {
	[VIRTIO_SND_PCM_RATE_8000] = 8000,   [VIRTIO_SND_PCM_RATE_11025] = 11025,
	[VIRTIO_SND_PCM_RATE_16000] = 16000, [VIRTIO_SND_PCM_RATE_22050] = 22050,
	[VIRTIO_SND_PCM_RATE_32000] = 32000, [VIRTIO_SND_PCM_RATE_44100] = 44100,
	[VIRTIO_SND_PCM_RATE_48000] = 48000, [VIRTIO_SND_PCM_RATE_64000] = 64000,
	[VIRTIO_SND_PCM_RATE_88200] = 88200, [VIRTIO_SND_PCM_RATE_96000] = 96000,
};
#define RATES (sizeof(rate_hz) / sizeof(rate_hz[0]))

static const unsigned queue_of[DIRECTIONS] = {[PLAY] = TXQ, [RECORD] = RXQ};

uint64_t sound_ns(const struct sound_params *p, uint64_t bytes)
{
	return bytes * 1000000000u / (p->rate * p->frame_bytes);
}

void sound_say(struct sound *s, unsigned dir, bool running)
{
	struct exo_dpy_sound m = {
		.stream = dir,
		.running = running,
		.rate = s->stream[dir].p.rate,
		.channels = s->stream[dir].p.channels,
	};

	if (s->there)
		desk_send(s->desk, EXO_DPY_SOUND, &m, sizeof(m));
}

/* ---- chains (5.14.6.8) -------------------------------------------------------------- */

uint32_t sound_put_status(struct vq_chain *chain, uint32_t status)
{
	struct virtio_snd_pcm_status st = {.status = status};
	uint64_t left = vq_writable(chain), before = chain->write_bytes - left;

	if (left < sizeof(st)) /* H-05: nobody wants to know */
		return (uint32_t)before;
	vq_skip_write(chain, left - sizeof(st));
	vq_write(chain, &st, sizeof(st));
	return (uint32_t)(left > sizeof(st) ? before : chain->write_bytes);
}

static void complete(struct sound *s, unsigned dir, struct vq_chain *chain, uint32_t status)
{
	uint32_t written = sound_put_status(chain, status);

	vq_complete(&s->dev.vq[queue_of[dir]], chain->head, written);
}

/* Completes all that waits in the queue. 0, or -EBUSY, -EINVAL. */
static int drain(struct sound *s, unsigned dir, uint32_t status)
{
	unsigned chains = SOUND_QUEUE_SIZE;
	struct vq_chain chain;
	int r;

	while ((r = chains-- ? vq_next(&s->dev.vq[queue_of[dir]], &chain) : -EBUSY) > 0)
		complete(s, dir, &chain, status);
	return r;
}

size_t sound_bytes(const struct sound *s, unsigned dir, const struct vq_chain *chain)
{
	const struct sound_params *p = &s->stream[dir].p;
	uint64_t bytes = vq_readable(chain);

	if (dir == RECORD) {
		bytes = vq_writable(chain);
		bytes -= bytes < sizeof(struct virtio_snd_pcm_status)
				 ? bytes
				 : sizeof(struct virtio_snd_pcm_status);
	}
	return bytes > p->buffer_bytes ? 0 : bytes / p->frame_bytes * p->frame_bytes;
}

int sound_take_chain(struct sound *s, unsigned dir)
{
	struct sound_stream *st = &s->stream[dir];
	unsigned tries = SOUND_QUEUE_SIZE;
	struct virtio_snd_pcm_xfer xfer;
	int r;

	while (!st->busy) {
		r = tries-- ? vq_next(&s->dev.vq[queue_of[dir]], &st->chain) : -EBUSY;
		if (r <= 0)
			return r;
		if (vq_read(&st->chain, &xfer, sizeof(xfer)) == sizeof(xfer) &&
		    xfer.stream_id == (uint32_t)st->id && sound_bytes(s, dir, &st->chain))
			st->busy = true;
		else
			complete(s, dir, &st->chain, VIRTIO_SND_S_BAD_MSG);
	}
	return 1;
}

void sound_conclude(struct sound *s, unsigned q, int r)
{
	s->again |= r == -EBUSY;
	vdev_flush(&s->dev, q);
	if (r == -EINVAL)
		vdev_fail(&s->dev, "sound: malformed ring or chain");
}

void sound_run(struct sound *s, unsigned dir, uint64_t now_ns)
{
	struct sound_stream *st = &s->stream[dir];
	int r = 0;

	st->wake_ns = 0;
	if (!s->dev.running)
		return;
	if (st->state == SOUND_RUNNING)
		r = dir == PLAY ? sound_play_run(s, now_ns) : sound_record_run(s, now_ns);
	else if (st->state == SOUND_NONE || st->state == SOUND_SET)
		r = drain(s, dir, VIRTIO_SND_S_BAD_MSG);
	sound_conclude(s, queue_of[dir], r);
}

/* ---- requests (5.14.6.6) -------------------------------------------------------------- */

static uint32_t set_params(struct sound_stream *st, const struct virtio_snd_pcm_set_params *r)
{
	uint32_t frame = 2u * r->channels;

	if (r->features || r->format != VIRTIO_SND_PCM_FMT_S16 || r->rate >= RATES ||
	    !rate_hz[r->rate] || r->channels < 1 || r->channels > 2)
		return VIRTIO_SND_S_NOT_SUPP;
	if (!r->period_bytes || r->period_bytes > r->buffer_bytes ||
	    r->buffer_bytes > SOUND_BUFFER_MAX || r->period_bytes % frame ||
	    r->buffer_bytes % frame)
		return VIRTIO_SND_S_BAD_MSG;
	st->p = (struct sound_params){rate_hz[r->rate], r->channels, frame, r->buffer_bytes};
	st->state = SOUND_SET;
	return VIRTIO_SND_S_OK;
}

/* All that is pending is used, before the answer (5.14.6.6.5). */
static void release(struct sound *s, unsigned dir)
{
	struct sound_stream *st = &s->stream[dir];

	if (dir == PLAY)
		sound_play_flush(s);
	if (st->busy)
		complete(s, dir, &st->chain, VIRTIO_SND_S_OK);
	st->busy = false;
	st->state = SOUND_SET;
	sound_conclude(s, queue_of[dir], drain(s, dir, VIRTIO_SND_S_OK));
}

static void start(struct sound *s, unsigned dir)
{
	s->stream[dir].state = SOUND_RUNNING;
	if (dir == PLAY)
		sound_play_start(s);
	else
		sound_record_start(s);
	sound_say(s, dir, true);
}

/* 5.14.6.6.1: may the request come in this state? */
static bool may(enum sound_state state, uint32_t code)
{
	switch (code) {
	case VIRTIO_SND_R_PCM_SET_PARAMS:
		return state <= SOUND_PREPARED;
	case VIRTIO_SND_R_PCM_PREPARE:
		return state == SOUND_SET || state == SOUND_PREPARED;
	case VIRTIO_SND_R_PCM_START:
	case VIRTIO_SND_R_PCM_RELEASE:
		return state == SOUND_PREPARED || state == SOUND_STOPPED;
	}
	return state == SOUND_RUNNING; /* STOP */
}

uint32_t sound_pcm_request(struct sound *s, const struct virtio_snd_pcm_set_params *r, size_t len)
{
	uint32_t code = r->hdr.hdr.code;
	struct sound_stream *st;
	unsigned dir;

	if (len < sizeof(r->hdr) || r->hdr.stream_id >= s->config.streams)
		return VIRTIO_SND_S_BAD_MSG;
	dir = s->stream[RECORD].id == (int)r->hdr.stream_id ? RECORD : PLAY;
	st = &s->stream[dir];
	if (!may(st->state, code))
		return VIRTIO_SND_S_BAD_MSG;
	switch (code) {
	case VIRTIO_SND_R_PCM_SET_PARAMS:
		return len == sizeof(*r) ? set_params(st, r) : VIRTIO_SND_S_BAD_MSG;
	case VIRTIO_SND_R_PCM_PREPARE:
		st->state = SOUND_PREPARED;
		break;
	case VIRTIO_SND_R_PCM_START:
		start(s, dir);
		break;
	case VIRTIO_SND_R_PCM_STOP:
		st->state = SOUND_STOPPED;
		sound_say(s, dir, false);
		break;
	case VIRTIO_SND_R_PCM_RELEASE:
		release(s, dir);
		break;
	}
	return VIRTIO_SND_S_OK;
}
