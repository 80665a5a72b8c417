/*
 * The sound of the Linux guest with a display: ALSA's ioctls, as its library would make them.
 * The samples are those that tests/nested/linux_display.py expects and sends.
 */
#include "linuxdpy.h"

#include <fcntl.h>
#include <sound/asound.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PERIOD 1920u /* frames */
#define CAPTURED 7680
#define SAMPLES 30720

struct format {
	unsigned rate, channels, periods;
};

static int16_t samples[SAMPLES];

static struct snd_interval *interval(struct snd_pcm_hw_params *p, int which)
{
	return &p->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
}

static void set_mask(struct snd_pcm_hw_params *p, int which, int value)
{
	struct snd_mask *m = &p->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];

	memset(m, 0, sizeof(*m));
	m->bits[value / 32] = 1u << value % 32;
}

static void set_interval(struct snd_pcm_hw_params *p, int which, unsigned value)
{
	*interval(p, which) = (struct snd_interval){.min = value, .max = value, .integer = 1};
}

static struct snd_pcm_hw_params anything(void)
{
	struct snd_pcm_hw_params p = {.rmask = ~0u, .info = ~0u};

	memset(p.masks, 0xff, sizeof(p.masks));
	for (int i = SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; i <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL; i++)
		interval(&p, i)->max = ~0u;
	return p;
}

/* What the driver made of what the device says. */
static void describe(int fd, const char *name)
{
	struct snd_pcm_hw_params p = anything();
	const struct snd_interval *rate = interval(&p, SNDRV_PCM_HW_PARAM_RATE);
	const struct snd_interval *channels = interval(&p, SNDRV_PCM_HW_PARAM_CHANNELS);

	if (!ioctl(fd, SNDRV_PCM_IOCTL_HW_REFINE, &p))
		printf("# %s: %u to %u Hz, %u to %u channels, formats %x\n", name, rate->min,
		       rate->max, channels->min, channels->max,
		       p.masks[SNDRV_PCM_HW_PARAM_FORMAT].bits[0]);
}

static bool set_params(int fd, const struct format *f)
{
	struct snd_pcm_hw_params p = anything();

	set_mask(&p, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
	set_mask(&p, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
	set_interval(&p, SNDRV_PCM_HW_PARAM_RATE, f->rate);
	set_interval(&p, SNDRV_PCM_HW_PARAM_CHANNELS, f->channels);
	set_interval(&p, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, PERIOD);
	set_interval(&p, SNDRV_PCM_HW_PARAM_PERIODS, f->periods);
	return !ioctl(fd, SNDRV_PCM_IOCTL_HW_PARAMS, &p) && !ioctl(fd, SNDRV_PCM_IOCTL_PREPARE);
}

/* A buffer of samples, each different, begins to play. */
static bool play(int fd, const struct format *f, unsigned step_by)
{
	struct snd_xferi x = {.buf = samples, .frames = PERIOD * f->periods};

	for (unsigned i = 0; i < x.frames * f->channels; i++)
		samples[i] = (int16_t)(i * step_by);
	return !ioctl(fd, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &x) && x.result == (long)x.frames;
}

static void playback(void)
{
	const struct format stereo = {48000, 2, 8}, mono = {8000, 1, 4};
	int fd = open_device("/dev/snd/pcmC0D0p", O_RDWR);

	point(fd >= 0, "a sound card that plays");
	describe(fd, "playback");
	point(set_params(fd, &stereo) && play(fd, &stereo, 3), "it plays 48 kHz, stereo");
	point(!ioctl(fd, SNDRV_PCM_IOCTL_DRAIN), "up to the end");
	step("played");
	point(!ioctl(fd, SNDRV_PCM_IOCTL_PREPARE) && play(fd, &stereo, 5), "again");
	point(!ioctl(fd, SNDRV_PCM_IOCTL_DROP) && !ioctl(fd, SNDRV_PCM_IOCTL_HW_FREE),
	      "it stops at once");
	step("dropped");
	point(set_params(fd, &mono) && play(fd, &mono, 7) && !ioctl(fd, SNDRV_PCM_IOCTL_DRAIN),
	      "8 kHz, mono");
	close(fd);
	step("mono");
}

/* Reads until 1, 2, 3 … has come, in order, after silence. */
static bool hear(int fd)
{
	int16_t expected = 1;

	for (unsigned i = 0; i < 200; i++) {
		struct snd_xferi x = {.buf = samples, .frames = PERIOD};

		if (ioctl(fd, SNDRV_PCM_IOCTL_READI_FRAMES, &x)) {
			perror("# reading");
			return false;
		}
		for (long k = 0; k < x.result; k++) {
			if (samples[k] == expected)
				expected++;
			else if (samples[k] || expected != 1)
				return false;
			if (expected > CAPTURED)
				return true;
		}
	}
	return false;
}

static void capture(void)
{
	const struct format mono = {8000, 1, 16}; /* nearly four seconds: none is lost */
	int fd = open_device("/dev/snd/pcmC0D0c", O_RDWR);

	point(fd >= 0, "a sound card that records");
	describe(fd, "capture");
	point(set_params(fd, &mono) && !ioctl(fd, SNDRV_PCM_IOCTL_START), "it records");
	point(hear(fd), "what the desktop sends");
	point(!ioctl(fd, SNDRV_PCM_IOCTL_DROP), "it ends");
	close(fd);
}

/* Jacks and channel maps. */
static void controls(void)
{
	struct snd_ctl_elem_id ids[16];
	struct snd_ctl_elem_list list = {.space = 16, .pids = ids};
	int fd = open_device("/dev/snd/controlC0", O_RDWR);

	if (ioctl(fd, SNDRV_CTL_IOCTL_ELEM_LIST, &list))
		return;
	for (unsigned i = 0; i < list.used; i++)
		printf("# control %.44s\n", (const char *)ids[i].name);
	close(fd);
}

void sound(void)
{
	if (access("/modules/virtio_snd.ko", F_OK)) {
		printf("# no driver for sound\n");
		return;
	}
	playback();
	capture();
	controls();
}
