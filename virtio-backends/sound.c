/*
 * virtio-sound (VIRTIO 1.2, 5.14): the control queue and the device. Runs under the
 * device's lock in vCPU threads (doorbells) and in the event loop (timer, desktop).
 *
 * One call handles at most a queue's length of chains and leaves the rest to the
 * timer (H-26). No event is ever sent: the guest learns from its buffers.
 */
#include "sound.h"

#include "clock.h"
#include "sound_impl.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#define HDA_LINE_OUT 0x0u /* 7.3.3.31 of the HDA specification, default device */
#define HDA_MIC_IN 0xau
#define HDA_DEVICE_SHIFT 20

static struct sound *sound_of(struct vdev *dev)
{
	return (struct sound *)dev;
}

static void set_timer(struct sound *s)
{
	uint64_t at = s->stream[PLAY].wake_ns, record = s->stream[RECORD].wake_ns;

	if (!at || (record && record < at))
		at = record;
	s->dev.host->timer(s->dev.host->opaque, &s->dev, s->again ? 1 : at);
}

/* ---- information (5.14.6.2, .4.1, .6.2, .7) -------------------------------------------- */

static bool is_record(const struct sound *s, uint32_t id)
{
	return (int)id == s->stream[RECORD].id;
}

static size_t fill_jack(const struct sound *s, uint32_t id, struct virtio_snd_jack_info *info)
{
	uint32_t device = is_record(s, id) ? HDA_MIC_IN : HDA_LINE_OUT;

	*info = (struct virtio_snd_jack_info){
		.hda_reg_defconf = device << HDA_DEVICE_SHIFT,
		.connected = 1,
	};
	return sizeof(*info);
}

static size_t fill_pcm(const struct sound *s, uint32_t id, struct virtio_snd_pcm_info *info)
{
	*info = (struct virtio_snd_pcm_info){
		.formats = 1ull << VIRTIO_SND_PCM_FMT_S16,
		.rates = SOUND_RATES,
		.direction = is_record(s, id) ? VIRTIO_SND_D_INPUT : VIRTIO_SND_D_OUTPUT,
		.channels_min = 1,
		.channels_max = 2,
	};
	return sizeof(*info);
}

/* Two a stream: mono, stereo. */
static size_t fill_chmap(const struct sound *s, uint32_t id, struct virtio_snd_chmap_info *info)
{
	*info = (struct virtio_snd_chmap_info){
		.direction = is_record(s, id / 2) ? VIRTIO_SND_D_INPUT : VIRTIO_SND_D_OUTPUT,
		.channels = (uint8_t)(id % 2 + 1),
		.positions = {VIRTIO_SND_CHMAP_MONO},
	};
	if (id % 2) {
		info->positions[0] = VIRTIO_SND_CHMAP_FL;
		info->positions[1] = VIRTIO_SND_CHMAP_FR;
	}
	return sizeof(*info);
}

union info {
	struct virtio_snd_jack_info jack;
	struct virtio_snd_pcm_info pcm;
	struct virtio_snd_chmap_info chmap;
};

static size_t fill_info(const struct sound *s, uint32_t code, uint32_t id, union info *info)
{
	if (code == VIRTIO_SND_R_JACK_INFO)
		return fill_jack(s, id, &info->jack);
	if (code == VIRTIO_SND_R_PCM_INFO)
		return fill_pcm(s, id, &info->pcm);
	return fill_chmap(s, id, &info->chmap);
}

/* Writes the items behind the place of the status. False: the request is bad. */
static bool put_info(struct sound *s, const struct virtio_snd_query_info *q, struct vq_chain *chain)
{
	uint32_t have =
		q->hdr.code == VIRTIO_SND_R_CHMAP_INFO ? s->config.chmaps : s->config.streams;
	union info info;

	if (!q->count || q->start_id >= have || q->count > have - q->start_id)
		return false;
	if (q->size != fill_info(s, q->hdr.code, q->start_id, &info) ||
	    vq_writable(chain) < sizeof(struct virtio_snd_hdr) + (uint64_t)q->count * q->size)
		return false;
	/* The status comes first, and is sure by now. */
	vq_write(chain, &(struct virtio_snd_hdr){VIRTIO_SND_S_OK}, sizeof(struct virtio_snd_hdr));
	for (uint32_t i = 0; i < q->count; i++) {
		(void)fill_info(s, q->hdr.code, q->start_id + i, &info);
		vq_write(chain, &info, q->size);
	}
	return true;
}

/* ---- the control queue ------------------------------------------------------------------- */

static void handle_request(struct sound *s, struct vq_chain *chain)
{
	union {
		struct virtio_snd_hdr hdr;
		struct virtio_snd_query_info query;
		struct virtio_snd_pcm_set_params params;
	} m = {0};
	struct virtio_snd_hdr status = {VIRTIO_SND_S_BAD_MSG};
	size_t len = vq_read(chain, &m, sizeof(m));

	if (len >= sizeof(m.hdr)) {
		switch (m.hdr.code) {
		case VIRTIO_SND_R_JACK_INFO:
		case VIRTIO_SND_R_PCM_INFO:
		case VIRTIO_SND_R_CHMAP_INFO:
			if (len >= sizeof(m.query) && put_info(s, &m.query, chain))
				goto out;
			break;
		case VIRTIO_SND_R_PCM_SET_PARAMS:
		case VIRTIO_SND_R_PCM_PREPARE:
		case VIRTIO_SND_R_PCM_RELEASE:
		case VIRTIO_SND_R_PCM_START:
		case VIRTIO_SND_R_PCM_STOP:
			status.code = sound_pcm_request(s, &m.params, len);
			break;
		default:
			status.code = VIRTIO_SND_S_NOT_SUPP;
		}
	}
	if (chain->write_bytes >= sizeof(status)) /* H-05: else nobody wants to know */
		vq_write(chain, &status, sizeof(status));
out:
	vq_complete(&s->dev.vq[CONTROLQ], chain->head,
		    (uint32_t)(chain->write_bytes - vq_writable(chain)));
}

static void take_requests(struct sound *s)
{
	struct vq *q = &s->dev.vq[CONTROLQ];
	unsigned chains = SOUND_QUEUE_SIZE;
	struct vq_chain chain;
	int r;

	while ((r = chains-- ? vq_next(q, &chain) : -EBUSY) > 0)
		handle_request(s, &chain);
	sound_conclude(s, CONTROLQ, r);
}

/* ---- the desktop --------------------------------------------------------------------------- */

static void run(struct sound *s, uint64_t now_ns)
{
	sound_run(s, PLAY, now_ns);
	sound_run(s, RECORD, now_ns);
	if (s->dev.running)
		set_timer(s);
}

static void on_attached(struct vdev *dev, bool there)
{
	struct sound *s = sound_of(dev);
	uint64_t now;

	pthread_mutex_lock(&dev->lock);
	now = clock_now_ns();
	s->there = there;
	sound_play_attached(s, now);
	for (unsigned dir = 0; dir < DIRECTIONS; dir++) {
		if (s->stream[dir].state == SOUND_RUNNING)
			sound_say(s, dir, true);
	}
	run(s, now);
	pthread_mutex_unlock(&dev->lock);
}

static void on_played(struct vdev *dev, const struct exo_dpy_played *p)
{
	uint64_t now;

	pthread_mutex_lock(&dev->lock);
	now = clock_now_ns();
	sound_play_heard(sound_of(dev), p->bytes, now);
	run(sound_of(dev), now);
	pthread_mutex_unlock(&dev->lock);
}

static void on_captured(struct vdev *dev, const struct exo_dpy_pcm *pcm)
{
	uint64_t now;

	pthread_mutex_lock(&dev->lock);
	now = clock_now_ns();
	sound_record_heard(sound_of(dev), pcm, now);
	run(sound_of(dev), now);
	pthread_mutex_unlock(&dev->lock);
}

static const struct desk_listener listener = {
	.attached = on_attached,
	.played = on_played,
	.captured = on_captured,
};

/* ---- the device's callbacks ------------------------------------------------------------------ */

static void sound_kick(struct vdev *dev, unsigned q)
{
	struct sound *s = sound_of(dev);

	if (q == CONTROLQ)
		take_requests(s);
	run(s, clock_now_ns());
}

static void sound_timer(struct vdev *dev)
{
	struct sound *s = sound_of(dev);

	if (!dev->running)
		return;
	s->again = false;
	take_requests(s);
	run(s, clock_now_ns());
}

static void sound_reset(struct vdev *dev)
{
	struct sound *s = sound_of(dev);

	for (unsigned dir = 0; dir < DIRECTIONS; dir++) {
		struct sound_stream *st = &s->stream[dir];

		if (st->state == SOUND_RUNNING)
			sound_say(s, dir, false);
		*st = (struct sound_stream){.id = st->id};
	}
	s->play = (struct sound_play){0};
	s->again = false;
	dev->host->timer(dev->host->opaque, dev, 0);
}

static void sound_destroy(struct vdev *dev)
{
	free(sound_of(dev));
}

static const struct vdev_class sound_class = {
	.name = "virtio-sound",
	.device_id = VIRTIO_ID_SOUND,
	.nqueues = QUEUES,
	.queue_size_max = SOUND_QUEUE_SIZE,
	.config_bytes = sizeof(struct virtio_snd_config),
	.kick = sound_kick,
	.timer = sound_timer,
	.reset = sound_reset,
	.destroy = sound_destroy,
};

struct vdev *sound_create(const struct gmem *mem, const struct vdev_host *host, struct desk *desk,
			  bool playback, bool capture)
{
	struct sound *s = calloc(1, sizeof(*s));
	unsigned streams = (unsigned)playback + (unsigned)capture;
	int err;

	if (!s)
		return NULL;
	vdev_init(&s->dev, &sound_class, mem, host);
	memcpy(s->dev.name, "sound", sizeof("sound"));
	s->config = (struct virtio_snd_config){
		.jacks = streams,
		.streams = streams,
		.chmaps = 2 * streams,
	};
	s->dev.config = &s->config;
	s->desk = desk;
	s->stream[PLAY].id = playback ? 0 : -1;
	s->stream[RECORD].id = capture ? playback : -1;
	err = desk_listen(desk, &s->dev, &listener, 0);
	if (!err)
		return &s->dev;
	free(s);
	errno = -err;
	return NULL;
}
