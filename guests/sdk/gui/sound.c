/* Sound, for programs (exo_sound.h), over /dev/exo/playback and capture. */
#include <exo_devices.h>
#include <exo_sound.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PERIODS_PER_S 100

struct exo_sound {
	int fd;
	bool capture;
	unsigned frame; /* bytes */
};

struct exo_sound *exo_sound_open(bool capture, unsigned rate, unsigned channels, unsigned period)
{
	struct exo_sound *s = calloc(1, sizeof(*s));
	struct exo_sound_setup a = {.rate = rate, .channels = channels};
	int err;

	if (!s)
		return NULL;
	s->capture = capture;
	s->frame = channels * 2;
	a.period_bytes = (period ? period : rate / PERIODS_PER_S) * s->frame;
	s->fd = open(capture ? EXO_CAPTURE_PATH : EXO_PLAYBACK_PATH,
		     O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (s->fd >= 0 && ioctl(s->fd, (int)EXO_SOUND_SETUP, &a) == 0)
		return s;
	err = errno == ENOENT ? ENODEV : errno;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	errno = err;
	return NULL;
}

void exo_sound_close(struct exo_sound *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s);
}

int exo_sound_fd(const struct exo_sound *s)
{
	return s->fd;
}

size_t exo_sound_room(const struct exo_sound *s)
{
	int bytes = ioctl(s->fd, (int)EXO_SOUND_ROOM, 0L);

	return bytes < 0 ? 0 : (size_t)bytes / s->frame;
}

static bool await(const struct exo_sound *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	if (poll(&p, 1, -1) < 0)
		return false;
	if (p.revents & POLLERR)
		errno = EIO;
	return !(p.revents & POLLERR);
}

static long move(struct exo_sound *s, uint8_t *p, size_t n, bool wait)
{
	size_t bytes = n * s->frame, done = 0;

	while (done < bytes) {
		ssize_t got = s->capture ? read(s->fd, p + done, bytes - done)
					 : write(s->fd, p + done, bytes - done);

		if (got > 0) {
			done += (size_t)got;
			continue;
		}
		if (got < 0 && errno != EAGAIN)
			return -1;
		if (!wait)
			break;
		if (!await(s))
			return -1;
	}
	return (long)(done / s->frame);
}

long exo_sound_write(struct exo_sound *s, const int16_t *frames, size_t n, bool wait)
{
	if (s->capture) {
		errno = EBADF;
		return -1;
	}
	return move(s, (uint8_t *)(uintptr_t)frames, n, wait);
}

long exo_sound_read(struct exo_sound *s, int16_t *frames, size_t n, bool wait)
{
	if (!s->capture) {
		errno = EBADF;
		return -1;
	}
	return move(s, (uint8_t *)frames, n, wait);
}

int exo_sound_drain(struct exo_sound *s)
{
	return s->capture ? 0 : ioctl(s->fd, (int)EXO_SOUND_DRAIN, 0L);
}
