/*
 * Inside virtio-sound: sound.c has the control queue and the device, sound_pcm.c what
 * both streams do alike, sound_play.c and sound_record.c the moving of samples. All
 * under the device's lock.
 */
#ifndef SOUND_IMPL_H
#define SOUND_IMPL_H

#include "sound.h"

#include <linux/virtio_snd.h>

#define SOUND_QUEUE_SIZE 64
#define SOUND_BUFFER_MAX (1u << 20) /* of a stream's parameters, and so of one chain */
#define SOUND_KEPT_MAX 131072u      /* recorded bytes that wait: more than 250 ms */

/* 8 to 96 kHz, as bits of VIRTIO_SND_PCM_RATE_*. */
#define SOUND_RATES ((2ull << VIRTIO_SND_PCM_RATE_96000) - (1ull << VIRTIO_SND_PCM_RATE_8000))

enum { CONTROLQ, EVENTQ, TXQ, RXQ, QUEUES };
enum { PLAY, RECORD, DIRECTIONS }; /* and the stream's number in exo/display.h */

/* 5.14.6.6.1 */
enum sound_state { SOUND_NONE, SOUND_SET, SOUND_PREPARED, SOUND_RUNNING, SOUND_STOPPED };

struct sound_params {
	uint32_t rate, channels; /* frames a second */
	uint32_t frame_bytes;
	uint32_t buffer_bytes;
};

struct sound_stream {
	int id; /* number for the driver, or -1: there is none */
	enum sound_state state;
	struct sound_params p;
	struct vq_chain chain; /* taken in part */
	bool busy;             /* there is such a chain */
	uint64_t wake_ns;      /* when to look again; 0: not */
};

/*
 * Positions count the bytes taken from the guest's buffers since PREPARE. A buffer is
 * used when all of it has been played, so that what the guest offers is all there is
 * between it and the loudspeaker.
 */
struct sound_play {
	uint64_t taken, played;
	unsigned first, n; /* a ring: wholly taken, not played */
	struct {
		uint16_t head;
		uint32_t written;
		uint64_t end; /* position */
	} fifo[SOUND_QUEUE_SIZE];

	/*
	 * The desktop's: what was sent to it and not PLAYED. Deaf: it did not take, or did not
	 * play, what it was sent; the clock plays until it says PLAYED again.
	 */
	uint64_t sent;
	bool deaf;
	uint64_t heard_ns; /* when it took or played something last */

	/* The clock's: at base_ns `base` had been played. */
	uint64_t base, base_ns;
};

struct sound_record {
	unsigned first, n; /* a ring of bytes */
	uint8_t kept[SOUND_KEPT_MAX];
	bool silent;       /* nothing comes from the desktop: the clock gives silence */
	uint64_t due_ns;   /* silent: when the last buffer was full */
	uint64_t heard_ns; /* else: when the desktop sent something last */
};

struct sound {
	struct vdev dev;
	struct virtio_snd_config config;
	struct desk *desk;
	bool there; /* a desktop */
	bool again; /* a queue has more than one call takes */
	struct sound_stream stream[DIRECTIONS];
	struct sound_play play;
	struct sound_record record;
};

/* ---- sound_pcm.c ------------------------------------------------------------------- */

/* Bytes last so long. */
uint64_t sound_ns(const struct sound_params *p, uint64_t bytes);
/* Tells the desktop whether the stream runs. */
void sound_say(struct sound *s, unsigned dir, bool running);
/* Carries out SET_PARAMS, PREPARE, RELEASE, START or STOP (5.14.6.6): VIRTIO_SND_S_*. */
uint32_t sound_pcm_request(struct sound *s, const struct virtio_snd_pcm_set_params *r, size_t len);
/*
 * Writes the status to the chain's last bytes. How many bytes count as written: those from the
 * chain's start without a gap (2.7.8.2), so that a driver takes nothing for recorded that is not.
 */
uint32_t sound_put_status(struct vq_chain *chain, uint32_t status);
/*
 * The stream's next chain: 1 with stream.chain, 0: none, -EBUSY, -EINVAL. Those that
 * are not of the stream, or without samples, are completed.
 */
int sound_take_chain(struct sound *s, unsigned dir);
/* Room for samples, or the samples, in the stream's chain: whole frames. */
size_t sound_bytes(const struct sound *s, unsigned dir, const struct vq_chain *chain);
/* Moves what can be moved, at CLOCK_MONOTONIC now_ns. */
void sound_run(struct sound *s, unsigned dir, uint64_t now_ns);
/* What a bounded step on the queue left (-EBUSY) or met (-EINVAL). */
void sound_conclude(struct sound *s, unsigned q, int r);

/* ---- sound_play.c, sound_record.c: of running streams ----------------------------------- */

void sound_play_start(struct sound *s);
void sound_play_flush(struct sound *s); /* what was taken is used */
int sound_play_run(struct sound *s, uint64_t now_ns);
void sound_play_attached(struct sound *s, uint64_t now_ns);
void sound_play_heard(struct sound *s, uint32_t bytes, uint64_t now_ns);

void sound_record_start(struct sound *s);
int sound_record_run(struct sound *s, uint64_t now_ns);
void sound_record_heard(struct sound *s, const struct exo_dpy_pcm *pcm, uint64_t now_ns);

#endif
