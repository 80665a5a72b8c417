/* /dev/exo/playback and capture: PCM streams as files (exo_devices.h). */
#include "files.h"

#include "../drivers/sound.h"

#include <fcntl.h>

struct soundfile {
	struct file file; /* ops NULL: not open */
	struct sound_stream *stream;
};

static struct soundfile files[2]; /* playback, capture */

static struct sound_stream *of(struct file *f)
{
	return ((struct soundfile *)(void *)f)->stream;
}

/* At least one byte; waits for it. */
static long move(struct file *f, const struct iovec *iov, int n, size_t at, size_t len)
{
	struct sound_stream *s = of(f);
	size_t done;
	int err;

	if (!sound_is_setup(s))
		return -EINVAL;
	while ((done = sound_move(s, iov, n, at, len)) == 0 && len) {
		if (sound_broken(s))
			return -EIO;
		if (file_nonblock(f))
			return -EAGAIN;
		err = thread_sleep(s, DEADLINE_NEVER);
		if (err < 0)
			return err;
	}
	return (long)done;
}

static long sound_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return move(f, iov, n, 0, iov_total(iov, n));
}

/* All of it, as a pipe does, unless it is not to wait. */
static long sound_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	size_t len = iov_total(iov, n), done = 0;
	long got = 0;

	do {
		got = move(f, iov, n, done, len - done);
		done += got > 0 ? (size_t)got : 0;
	} while (got > 0 && done < len && !file_nonblock(f));
	return done ? (long)done : got;
}

static unsigned sound_poll(struct file *f)
{
	struct sound_stream *s = of(f);
	bool ready = sound_is_setup(s) && sound_room(s) >= sound_period(s);

	return (ready ? POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM : 0) |
	       (sound_broken(s) ? POLLERR : 0);
}

static long drain(struct sound_stream *s)
{
	uint64_t heard;
	int err = sound_push(s);

	while (err == 0 && !sound_idle(s, &heard)) {
		if (sound_broken(s))
			return -EIO;
		err = thread_sleep(s, DEADLINE_NEVER);
	}
	while (err == 0 && clock_ns() < heard) {
		err = thread_sleep(s, heard);
		if (err == -ETIMEDOUT)
			err = 0;
	}
	return err;
}

static long sound_ioctl(struct file *f, unsigned long req, unsigned long arg)
{
	struct sound_stream *s = of(f);

	switch (req) {
	case EXO_SOUND_SETUP:
		return sound_setup(s, (const struct exo_sound_setup *)arg);
	case EXO_SOUND_ROOM:
		return (long)sound_room(s);
	case EXO_SOUND_DRAIN:
		return sound_is_setup(s) ? drain(s) : 0;
	default:
		return -ENOTTY;
	}
}

static void sound_close(struct file *f)
{
	sound_release(of(f));
	f->ops = NULL;
}

static const struct file_ops playback_ops = {
	.writev = sound_writev,
	.poll = sound_poll,
	.ioctl = sound_ioctl,
	.close = sound_close,
	.mode = S_IFCHR | 0200,
};

static const struct file_ops capture_ops = {
	.readv = sound_readv,
	.poll = sound_poll,
	.ioctl = sound_ioctl,
	.close = sound_close,
	.mode = S_IFCHR | 0400,
};

int soundfile_open(bool capture, int flags, struct file **out)
{
	struct sound_stream *s = sound_stream(capture);
	struct soundfile *f = &files[capture];

	if (!s)
		return -ENODEV;
	if (f->file.ops)
		return -EBUSY;
	*f = (struct soundfile){
		.file = {.ops = capture ? &capture_ops : &playback_ops,
			 .refs = 1,
			 .flags = O_RDWR | ((unsigned)flags & O_NONBLOCK)},
		.stream = s,
	};
	*out = &f->file;
	return 0;
}
