/*
 * Capture; see sound_impl.h. What the desktop sends fills the guest's buffers as it
 * comes. While nothing comes the clock fills them with silence. Under the device's lock.
 */
#include "sound_impl.h"

#include <errno.h>
#include <string.h>

#define SILENT_NS 300000000u /* nothing came for so long */
#define LATE_NS 1000000000u  /* silence that is so late is not made up for */

/* What is there goes into the chain. */
static void move_kept(struct sound *s)
{
	struct sound_record *rec = &s->record;
	struct vq_chain *chain = &s->stream[RECORD].chain;
	size_t left = sound_bytes(s, RECORD, chain), n;

	for (; left && rec->n; left -= n) {
		n = sizeof(rec->kept) - rec->first;
		n = n < rec->n ? n : rec->n;
		n = vq_write(chain, rec->kept + rec->first, n < left ? n : left);
		rec->first = (unsigned)((rec->first + n) % sizeof(rec->kept));
		rec->n -= (unsigned)n;
	}
}

/* What is left of it, half a frame included, is silence. */
static void finish_chain(struct sound *s)
{
	static const uint8_t zeros[4096];
	struct sound_stream *st = &s->stream[RECORD];
	uint64_t left = vq_writable(&st->chain) - sizeof(struct virtio_snd_pcm_status);

	for (size_t n; left; left -= n)
		n = vq_write(&st->chain, zeros, left < sizeof(zeros) ? left : sizeof(zeros));
	vq_complete(&s->dev.vq[RXQ], st->chain.head, sound_put_status(&st->chain, VIRTIO_SND_S_OK));
	st->busy = false;
}

/* Is it time to use a chain that lacks so many bytes? Else wake_ns says when. */
static bool is_due(struct sound *s, size_t bytes, uint64_t now_ns)
{
	struct sound_record *rec = &s->record;
	uint64_t at;

	if (!bytes)
		return true;
	if (!rec->silent && now_ns - rec->heard_ns >= SILENT_NS) {
		rec->silent = true;
		rec->due_ns = now_ns;
	}
	if (rec->silent && now_ns - rec->due_ns > LATE_NS)
		rec->due_ns = now_ns;
	at = rec->silent ? rec->due_ns + sound_ns(&s->stream[RECORD].p, bytes)
			 : rec->heard_ns + SILENT_NS;
	if (now_ns < at) {
		s->stream[RECORD].wake_ns = at;
		return false;
	}
	rec->due_ns = at;
	return true;
}

int sound_record_run(struct sound *s, uint64_t now_ns)
{
	struct sound_stream *st = &s->stream[RECORD];
	unsigned chains = SOUND_QUEUE_SIZE;
	int r;

	if (!s->record.due_ns)
		s->record.due_ns = now_ns;
	for (;;) {
		r = chains-- ? sound_take_chain(s, RECORD) : -EBUSY;
		if (r <= 0)
			return r;
		move_kept(s);
		if (!is_due(s, sound_bytes(s, RECORD, &st->chain), now_ns))
			return 0;
		finish_chain(s);
	}
}

void sound_record_start(struct sound *s)
{
	s->record.silent = true;
	s->record.due_ns = 0; /* when it runs first */
	s->record.first = s->record.n = 0;
}

/* What is too much is dropped: the guest does not record as fast. */
void sound_record_heard(struct sound *s, const struct exo_dpy_pcm *pcm, uint64_t now_ns)
{
	struct sound_record *rec = &s->record;
	unsigned at = (rec->first + rec->n) % sizeof(rec->kept), n = pcm->bytes, end;

	if (s->stream[RECORD].state != SOUND_RUNNING || n % s->stream[RECORD].p.frame_bytes ||
	    n > sizeof(rec->kept) - rec->n)
		return;
	end = sizeof(rec->kept) - at < n ? (unsigned)sizeof(rec->kept) - at : n;
	memcpy(rec->kept + at, pcm->data, end);
	memcpy(rec->kept, pcm->data + end, n - end);
	rec->n += n;
	rec->silent = false;
	rec->heard_ns = now_ns;
}
