/*
 * Fuzzes the sound device: streams in all states, desktops that play, record, and go.
 */
#include "desk_rig.h"
#include "harness.h"
#include "sound.h"

#include <linux/virtio_snd.h>
#include <string.h>

enum { CONTROLQ, EVENTQ, TXQ, RXQ };

static struct desk_rig rig;

static struct vdev *create(struct fuzz *f)
{
	uint8_t what = fuzz_u8(f);

	desk_rig_init(&rig, 1, EXO_DPY_HAS_PLAYBACK | EXO_DPY_HAS_CAPTURE);
	if (what & 4)
		desk_rig_attach(&rig);
	return sound_create(&f->d.mem, &f->d.host, rig.desk, (what & 3) != 1, (what & 3) != 2);
}

static void put(struct fuzz_chain *c, const void *p, size_t len)
{
	memcpy(c->data, p, len);
	c->data_len = (uint32_t)len;
}

static void make_request(struct fuzz *f, struct fuzz_chain *c)
{
	static const uint16_t info[] = {VIRTIO_SND_R_JACK_INFO, VIRTIO_SND_R_PCM_INFO,
					VIRTIO_SND_R_CHMAP_INFO};
	static const uint8_t size[] = {sizeof(struct virtio_snd_jack_info),
				       sizeof(struct virtio_snd_pcm_info),
				       sizeof(struct virtio_snd_chmap_info)};
	uint8_t n = fuzz_u8(f);
	struct virtio_snd_query_info q = {{info[n % 3]}, n >> 2 & 1, 1 + (n >> 3 & 1), size[n % 3]};
	struct virtio_snd_pcm_set_params p = {
		.hdr = {{VIRTIO_SND_R_PCM_SET_PARAMS}, n >> 4 & 1},
		.buffer_bytes = 4096,
		.period_bytes = 1024,
		.channels = (uint8_t)(1 + (n >> 5 & 1)),
		.format = VIRTIO_SND_PCM_FMT_S16,
		.rate = (uint8_t)(VIRTIO_SND_PCM_RATE_8000 + (n >> 6) * 3),
	};

	c->write_len = 4;
	if (n == 0xee) {
		fuzz_bytes(f, &p, sizeof(p));
		put(c, &p, fuzz_u8(f) % (sizeof(p) + 1));
		c->write_len = fuzz_u8(f);
	} else if ((n & 7) == 7) {
		put(c, &q, sizeof(q));
		c->write_len = 4 + 2u * size[n % 3];
	} else if ((n & 7) == 6) {
		put(c, &p, sizeof(p));
	} else {
		p.hdr.hdr.code = VIRTIO_SND_R_PCM_SET_PARAMS + (n & 7);
		put(c, &p, (n & 7) ? sizeof(p.hdr) : sizeof(p));
	}
}

static void chain(struct fuzz *f, unsigned q, struct fuzz_chain *c)
{
	uint32_t id = 0;
	uint8_t n;

	if (q == CONTROLQ) {
		make_request(f, c);
		return;
	}
	n = fuzz_u8(f);
	if (n >= 0xf0)
		id = n & 7;
	else if (q == RXQ)
		id = n & 1; /* 0 where it only records */
	put(c, &id, sizeof(id));
	if (q == TXQ) {
		c->data_len = n == 0xee ? FUZZ_DATA_MAX : 4 + 16u * (n & 127);
		c->write_len = n == 0xed ? 3 : 8;
	} else {
		c->write_len = n == 0xee ? FUZZ_DATA_MAX : n == 0xed ? 3 : 8 + 16u * (n & 127);
	}
}

static void captured(uint8_t what)
{
	struct {
		struct exo_dpy_pcm m;
		uint8_t data[EXO_DPY_PCM_MAX];
	} m = {.m = {.stream = 1, .bytes = 2 + (what / 8u) * 246}};

	memset(m.data, what, sizeof(m.data));
	fuzz_check(desk_rig_say(&rig, EXO_DPY_CAPTURED, &m, sizeof(m.m) + m.m.bytes), "captured");
}

static void event(struct fuzz *f)
{
	union desk_message m;
	uint8_t what = fuzz_u8(f);

	if (rig.peer < 0 || !desk_there(rig.desk))
		desk_rig_attach(&rig);
	switch (what & 7) {
	case 0:
		desk_rig_leave(&rig);
		break;
	case 1:
		desk_rig_attach(&rig);
		break;
	case 2:
	case 3:
		fuzz_check(desk_rig_played(&rig, 2 + 100u * what), "played");
		break;
	case 4:
		captured(what);
		break;
	default: /* reads, and believes nothing that breaks exo/display.h */
		while (desk_rig_receive(&rig, &m)) {
			fuzz_check(m.h.type == EXO_DPY_SOUND || m.h.type == EXO_DPY_PCM, "type");
			if (m.h.type == EXO_DPY_PCM)
				fuzz_check(m.h.size == sizeof(m.pcm) + m.pcm.bytes && m.pcm.bytes &&
						   m.pcm.bytes % 2 == 0 && !m.pcm.stream,
					   "PCM");
			else
				fuzz_check(m.sound.rate >= 8000 && m.sound.rate <= 96000 &&
						   m.sound.channels - 1 < 2 && m.sound.stream < 2,
					   "SOUND");
		}
	}
}

/* A good driver's requests are all answered. */
static void settle(struct fuzz *f)
{
	if (!f->d.dev->running)
		return;
	drv_kick_if_wanted(&f->d, CONTROLQ);
	for (unsigned i = 0; i < 8; i++)
		(void)drv_fire_timer(&f->d);
	fuzz_check(*drv_used_idx(&f->d, CONTROLQ) == f->d.q[CONTROLQ].avail_idx,
		   "a request was lost");
}

static void cleanup(struct fuzz *f)
{
	desk_rig_finish(&rig);
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
