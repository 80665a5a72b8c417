/* virtio-sound: set-up, control requests, periods (sound.h). Ring 3. */
#include "sound.h"

#include "virtio.h"

#include "../posix/posix.h"

#include <linux/virtio_ids.h>
#include <linux/virtio_snd.h>

#define CONTROL_RING 8
#define DATA_RING 32 /* three descriptors a period */
#define STREAMS_MAX 8
#define START_PERIODS 2 /* in the device before it plays */
#define RELEASE_NS NS_PER_S

/* DATA_RING / 3 periods at most. */
_Static_assert(EXO_SOUND_PERIODS * 3 <= DATA_RING, "fits");

struct period {
	struct virtio_snd_pcm_xfer header;
	struct virtio_snd_pcm_status status;
	bool flying;
	uint32_t bytes; /* playback: filled so far; capture: there */
	uint32_t at;    /* capture: read so far */
	uint8_t *data;
};

struct sound_stream {
	bool there, capture, set_up, running;
	uint32_t id;
	uint64_t rates;
	uint8_t channels_min, channels_max;
	uint32_t period_bytes, bytes_per_s;
	uint64_t heard_ns; /* when the last period that came back will have been heard */
	unsigned next;     /* period that is filled or read next */
	unsigned flying;
	uint8_t *memory;
	struct virtq q;
	struct period period[EXO_SOUND_PERIODS];
	uint8_t by_head[DATA_RING];
	uint8_t ring[VIRTQ_SPACE(DATA_RING)] __attribute__((aligned(VIRTQ_ALIGN)));
};

APART static struct {
	bool tried;
	struct virtio_dev *dev;
	struct virtq control;
	bool busy; /* somebody has the request */
	bool answered;
	union {
		struct virtio_snd_hdr h;
		struct virtio_snd_query_info query;
		struct virtio_snd_pcm_hdr pcm;
		struct virtio_snd_pcm_set_params params;
	} request;
	struct {
		uint32_t unused; /* so that both are where they want to be */
		struct virtio_snd_hdr h;
		struct virtio_snd_pcm_info info[STREAMS_MAX];
	} answer;
	struct sound_stream stream[2]; /* playback, capture */
	uint8_t ring[VIRTQ_SPACE(CONTROL_RING)] __attribute__((aligned(VIRTQ_ALIGN)));
} snd;

/* ---- the device -------------------------------------------------------------------------- */

static void collect_stream(struct sound_stream *s)
{
	uint32_t len, told;
	int head;

	if (!s->there)
		return;
	while ((head = virtq_pop(&s->q, &len)) >= 0) {
		struct period *p = &s->period[s->by_head[head]];

		told = len < sizeof(p->status) ? 0 : len - (uint32_t)sizeof(p->status);
		p->flying = false;
		p->bytes = s->capture && p->status.status == VIRTIO_SND_S_OK
				   ? MIN(told, s->period_bytes)
				   : 0;
		p->at = 0;
		s->flying--;
		if (!s->capture && len >= sizeof(p->status) && s->bytes_per_s)
			s->heard_ns = clock_ns() +
				      (uint64_t)p->status.latency_bytes * NS_PER_S / s->bytes_per_s;
	}
}

static void collect(void)
{
	uint32_t len;

	while (virtq_pop(&snd.control, &len) >= 0) {
		snd.answered = true;
		if (len < sizeof(snd.answer.h))
			snd.answer.h.code = 0;
	}
	for (unsigned i = 0; i < 2; i++)
		collect_stream(&snd.stream[i]);
}

static bool listen(void)
{
	bool there = virtq_irq_on(&snd.control);

	for (unsigned i = 0; i < 2; i++)
		if (snd.stream[i].there)
			there |= virtq_irq_on(&snd.stream[i].q);
	return there;
}

static void on_interrupt(void *arg)
{
	virtio_ack(snd.dev);
	do
		collect();
	while (listen());
	thread_wake(&snd);
	for (unsigned i = 0; i < 2; i++)
		thread_wake(&snd.stream[i]);
}

/* Sends snd.request, which the caller has filled in while `busy` was his. */
static int run(uint32_t bytes, uint32_t answer_bytes)
{
	struct virtq_buf b[] = {{&snd.request, bytes}, {&snd.answer.h, answer_bytes}};

	snd.answered = false;
	snd.answer.h.code = 0;
	if (virtq_add(&snd.control, b, 1, 1) < 0)
		return -EIO;
	virtq_kick(snd.dev, &snd.control);
	while (!snd.answered && !snd.control.broken) {
		collect();
		if (!snd.answered && !listen())
			thread_sleep_uninterruptible(&snd, DEADLINE_NEVER);
	}
	switch (snd.answer.h.code) {
	case VIRTIO_SND_S_OK:
		return 0;
	case VIRTIO_SND_S_NOT_SUPP:
	case VIRTIO_SND_S_BAD_MSG:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static void begin(void)
{
	while (snd.busy)
		thread_sleep_uninterruptible(&snd, DEADLINE_NEVER);
	snd.busy = true;
}

static void end(void)
{
	snd.busy = false;
	thread_wake(&snd);
}

static int command(struct sound_stream *s, uint32_t code)
{
	int err;

	begin();
	snd.request.pcm = (struct virtio_snd_pcm_hdr){.hdr.code = code, .stream_id = s->id};
	err = run(sizeof(snd.request.pcm), sizeof(snd.answer.h));
	end();
	return err;
}

static void take_info(uint32_t id, const struct virtio_snd_pcm_info *i)
{
	struct sound_stream *s = &snd.stream[i->direction == VIRTIO_SND_D_INPUT];

	if (s->id != UINT32_MAX || i->direction > VIRTIO_SND_D_INPUT ||
	    !(i->formats >> VIRTIO_SND_PCM_FMT_S16 & 1))
		return;
	s->id = id;
	s->rates = i->rates;
	s->channels_min = i->channels_min;
	s->channels_max = i->channels_max;
}

static bool ask_streams(unsigned n)
{
	snd.request.query = (struct virtio_snd_query_info){
		.hdr.code = VIRTIO_SND_R_PCM_INFO, .count = n, .size = sizeof(snd.answer.info[0])};
	if (n == 0 || run(sizeof(snd.request.query),
			  (uint32_t)(sizeof(snd.answer.h) + n * sizeof(snd.answer.info[0]))) < 0)
		return false;
	for (unsigned i = 0; i < n; i++)
		take_info(i, &snd.answer.info[i]);
	return true;
}

static bool set_up(void)
{
	struct virtq *rings[] = {&snd.control, &snd.stream[0].q, &snd.stream[1].q};
	struct virtio_snd_config config;
	bool event_idx;

	snd.dev = virtio_find(VIRTIO_ID_SOUND, 0);
	if (!snd.dev || virtio_negotiate(snd.dev, 0) < 0)
		return false;
	virtio_config_read(snd.dev, 0, &config, sizeof(config));
	event_idx = snd.dev->features & (1ull << VIRTIO_RING_F_EVENT_IDX);
	virtq_init(&snd.control, VIRTIO_SND_VQ_CONTROL, snd.ring, CONTROL_RING, event_idx);
	for (unsigned i = 0; i < 2; i++) {
		snd.stream[i].id = UINT32_MAX;
		snd.stream[i].capture = i == 1;
		virtq_init(&snd.stream[i].q, i ? VIRTIO_SND_VQ_RX : VIRTIO_SND_VQ_TX,
			   snd.stream[i].ring, DATA_RING, event_idx);
		snd.stream[i].there = true;
	}
	event_on_gsi(snd.dev->gsi, on_interrupt, NULL);
	virtio_setup_rings(snd.dev, rings, 3);
	return ask_streams(MIN(config.streams, STREAMS_MAX));
}

struct sound_stream *sound_stream(bool capture)
{
	struct sound_stream *s = &snd.stream[capture];

	if (!snd.tried) {
		snd.tried = true;
		if (!set_up())
			snd.stream[0].id = snd.stream[1].id = UINT32_MAX;
	}
	return s->there && s->id != UINT32_MAX ? s : NULL;
}

/* ---- periods ------------------------------------------------------------------------------- */

bool sound_broken(const struct sound_stream *s)
{
	return s->q.broken || snd.control.broken;
}

bool sound_is_setup(const struct sound_stream *s)
{
	return s->set_up;
}

size_t sound_period(const struct sound_stream *s)
{
	return s->period_bytes;
}

static void send(struct sound_stream *s, unsigned i)
{
	struct period *p = &s->period[i];
	struct virtq_buf b[] = {{&p->header, sizeof(p->header)},
				{p->data, s->capture ? s->period_bytes : p->bytes},
				{&p->status, sizeof(p->status)}};
	int head;

	p->header.stream_id = s->id;
	p->status = (struct virtio_snd_pcm_status){0};
	head = virtq_add(&s->q, b, s->capture ? 1 : 2, s->capture ? 2 : 1);
	if (head < 0)
		return;
	s->by_head[head] = (uint8_t)i;
	p->flying = true;
	s->flying++;
}

static bool rate_code(uint32_t rate, uint8_t *code)
{
	static const uint32_t rates[] = {
		[VIRTIO_SND_PCM_RATE_8000] = 8000,   [VIRTIO_SND_PCM_RATE_11025] = 11025,
		[VIRTIO_SND_PCM_RATE_16000] = 16000, [VIRTIO_SND_PCM_RATE_22050] = 22050,
		[VIRTIO_SND_PCM_RATE_32000] = 32000, [VIRTIO_SND_PCM_RATE_44100] = 44100,
		[VIRTIO_SND_PCM_RATE_48000] = 48000, [VIRTIO_SND_PCM_RATE_64000] = 64000,
		[VIRTIO_SND_PCM_RATE_88200] = 88200, [VIRTIO_SND_PCM_RATE_96000] = 96000,
	};

	for (uint8_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		if (rates[i] == rate && rate) {
			*code = i;
			return true;
		}
	}
	return false;
}

static int set_params(struct sound_stream *s, const struct exo_sound_setup *a, uint8_t rate)
{
	int err;

	begin();
	snd.request.params = (struct virtio_snd_pcm_set_params){
		.hdr = {.hdr.code = VIRTIO_SND_R_PCM_SET_PARAMS, .stream_id = s->id},
		.buffer_bytes = a->period_bytes * EXO_SOUND_PERIODS,
		.period_bytes = a->period_bytes,
		.channels = (uint8_t)a->channels,
		.format = VIRTIO_SND_PCM_FMT_S16,
		.rate = rate,
	};
	err = run(sizeof(snd.request.params), sizeof(snd.answer.h));
	end();
	return err < 0 ? err : command(s, VIRTIO_SND_R_PCM_PREPARE);
}

int sound_setup(struct sound_stream *s, const struct exo_sound_setup *a)
{
	uint8_t rate;
	int err;

	if (s->set_up)
		return -EBUSY;
	if (!rate_code(a->rate, &rate) || !(s->rates >> rate & 1) ||
	    a->channels < MAX(s->channels_min, 1) || a->channels > MIN(s->channels_max, 2) ||
	    !a->period_bytes || a->period_bytes > EXO_SOUND_PERIOD_MAX ||
	    a->period_bytes % (2 * a->channels))
		return -EINVAL;
	if (!s->memory)
		s->memory = mem_pages(EXO_SOUND_PERIODS * EXO_SOUND_PERIOD_MAX);
	if (!s->memory)
		return -ENOMEM;
	err = set_params(s, a, rate);
	if (err < 0)
		return err;
	s->period_bytes = a->period_bytes;
	s->bytes_per_s = a->rate * a->channels * 2;
	s->next = 0;
	s->running = false;
	s->set_up = true;
	for (unsigned i = 0; i < EXO_SOUND_PERIODS; i++) {
		s->period[i] = (struct period){.data = s->memory + i * EXO_SOUND_PERIOD_MAX};
		if (s->capture)
			send(s, i);
	}
	virtq_kick(snd.dev, &s->q);
	listen();
	return s->capture ? sound_push(s) : 0;
}

size_t sound_room(struct sound_stream *s)
{
	size_t room = 0;

	if (!s->set_up)
		return 0;
	collect();
	for (unsigned i = 0; i < EXO_SOUND_PERIODS; i++) {
		const struct period *p = &s->period[i];

		if (!p->flying)
			room += s->capture ? p->bytes - p->at : s->period_bytes - p->bytes;
	}
	return room;
}

static size_t fill(struct sound_stream *s, struct period *p, const struct iovec *iov, int n,
		   size_t at, size_t len)
{
	len = MIN(len, s->period_bytes - p->bytes);
	iov_from(iov, n, at, p->data + p->bytes, len);
	p->bytes += (uint32_t)len;
	if (p->bytes == s->period_bytes) {
		send(s, s->next);
		s->next = (s->next + 1) % EXO_SOUND_PERIODS;
	}
	return len;
}

static size_t drink(struct sound_stream *s, struct period *p, const struct iovec *iov, int n,
		    size_t at, size_t len)
{
	len = MIN(len, p->bytes - p->at);
	iov_to(iov, n, at, p->data + p->at, len);
	p->at += (uint32_t)len;
	if (p->at == p->bytes) {
		p->bytes = p->at = 0;
		send(s, s->next);
		s->next = (s->next + 1) % EXO_SOUND_PERIODS;
	}
	return len;
}

size_t sound_move(struct sound_stream *s, const struct iovec *iov, int n, size_t at, size_t len)
{
	size_t done = 0;

	collect();
	while (done < len && !sound_broken(s)) {
		struct period *p = &s->period[s->next];

		if (p->flying)
			break;
		done += s->capture ? drink(s, p, iov, n, at + done, len - done)
				   : fill(s, p, iov, n, at + done, len - done);
	}
	virtq_kick(snd.dev, &s->q);
	listen();
	if (!s->running && s->flying >= START_PERIODS)
		sound_push(s);
	return done;
}

int sound_push(struct sound_stream *s)
{
	struct period *p = &s->period[s->next];
	int err = 0;

	if (!s->capture && !p->flying && p->bytes) {
		send(s, s->next);
		s->next = (s->next + 1) % EXO_SOUND_PERIODS;
		virtq_kick(snd.dev, &s->q);
	}
	if (!s->running && s->flying) {
		s->running = true;
		err = command(s, VIRTIO_SND_R_PCM_START);
	}
	return err;
}

bool sound_idle(struct sound_stream *s, uint64_t *deadline_ns)
{
	collect();
	*deadline_ns = s->heard_ns;
	return !s->flying;
}

void sound_release(struct sound_stream *s)
{
	uint64_t deadline = clock_ns() + RELEASE_NS;

	if (!s->set_up)
		return;
	if (s->running)
		command(s, VIRTIO_SND_R_PCM_STOP);
	command(s, VIRTIO_SND_R_PCM_RELEASE);
	for (collect(); s->flying && clock_ns() < deadline && !sound_broken(s); collect())
		if (!listen())
			thread_sleep_uninterruptible(s, deadline);
	if (s->flying)
		s->q.broken = true; /* it keeps what it was asked to give up */
	s->set_up = s->running = false;
}
