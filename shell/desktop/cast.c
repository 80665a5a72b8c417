/*
 * Screencasts: frames are copied into a short queue, and a second thread writes them: numbered
 * PNG pictures in a folder, or YUV4MPEG2 (.y4m), uncompressed, 4:4:4, 30 frames a second. When the
 * queue is full the frame is left out: the desktop never waits for the disk.
 *
 * Limits: a screen that stands still longer than HOLD is held for so long in a .y4m; one that
 * changes its size is left out of it from then on.
 */
#include "shot_impl.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define QUEUE 4
#define RATE 30u
#define HOLD (2 * RATE)
#define SECOND 1000000000ull

struct picture {
	struct canvas canvas; /* own pixels */
	size_t room;          /* pixels that it has */
	uint64_t time_ns;
};

struct cast {
	pthread_t thread;
	char path[4096];
	FILE *film;        /* or NULL: pictures */
	int width, height; /* of the film */

	/* The thread's. */
	uint8_t *rgb, *planes;
	size_t rgb_room;
	uint64_t begin_ns, slot; /* of the film: frames written */
	bool any;

	pthread_mutex_t lock; /* guards the rest; a picture in the queue is the thread's */
	pthread_cond_t more;
	struct picture queue[QUEUE];
	unsigned first, count;
	bool end;
	uint64_t frames, dropped;
	int err;
};

/* ---- the second thread ------------------------------------------------------------------- */

/* ITU-R BT.601, studio range, in 16-bit fractions. */
static void to_planes(const uint8_t *rgb, size_t n, uint8_t *out)
{
	for (size_t i = 0; i < n; i++, rgb += 3) {
		int r = rgb[0], g = rgb[1], b = rgb[2];

		out[i] = (uint8_t)(16 + ((16829 * r + 33039 * g + 6416 * b + 32768) >> 16));
		out[n + i] = (uint8_t)(128 + ((-9714 * r - 19071 * g + 28784 * b + 32768) >> 16));
		out[2 * n + i] =
			(uint8_t)(128 + ((28784 * r - 24103 * g - 4681 * b + 32768) >> 16));
	}
}

static int write_film_frame(struct cast *k)
{
	size_t n = (size_t)k->width * (size_t)k->height * 3;

	k->slot++;
	if (fputs("FRAME\n", k->film) < 0 || fwrite(k->planes, 1, n, k->film) != n)
		return -errno;
	return 0;
}

/* What was there until now is shown for as long as it was. */
static int add_to_film(struct cast *k, const struct picture *p)
{
	size_t n = (size_t)k->width * (size_t)k->height;
	uint64_t due;
	int err = 0;

	if (p->canvas.width != k->width || p->canvas.height != k->height)
		return 0;
	if (!k->any)
		k->begin_ns = p->time_ns;
	due = (p->time_ns - k->begin_ns) * RATE / SECOND;
	if (due > k->slot + HOLD) { /* time that nothing happened in */
		k->begin_ns += (due - k->slot - HOLD) * SECOND / RATE;
		due = k->slot + HOLD;
	}
	while (k->any && k->slot < due && !err)
		err = write_film_frame(k);
	k->any = true;
	to_planes(k->rgb, n, k->planes);
	return err;
}

static int add_picture(struct cast *k, uint64_t number, const struct picture *p)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/frame-%06llu.png", k->path, (unsigned long long)number);
	return shot_png(path, k->rgb, p->canvas.width, p->canvas.height);
}

static int add(struct cast *k, uint64_t number, const struct picture *p)
{
	size_t bytes = (size_t)p->canvas.width * (size_t)p->canvas.height * 3;

	if (bytes > k->rgb_room) {
		uint8_t *rgb = realloc(k->rgb, bytes);

		if (!rgb)
			return -ENOMEM;
		k->rgb = rgb;
		k->rgb_room = bytes;
	}
	shot_rgb(&p->canvas, k->rgb);
	return k->film ? add_to_film(k, p) : add_picture(k, number, p);
}

static void *run(void *opaque)
{
	struct cast *k = opaque;
	int err;

	pthread_mutex_lock(&k->lock);
	while (k->count || !k->end) {
		struct picture *p = &k->queue[k->first];
		uint64_t number = k->frames;

		if (!k->count) {
			pthread_cond_wait(&k->more, &k->lock);
			continue;
		}
		pthread_mutex_unlock(&k->lock);
		err = add(k, number, p);
		pthread_mutex_lock(&k->lock);
		k->first = (k->first + 1) % QUEUE;
		k->count--;
		k->frames++;
		if (err && !k->err)
			k->err = err;
	}
	pthread_mutex_unlock(&k->lock);
	if (k->film && k->any)
		(void)write_film_frame(k);
	return NULL;
}

/* ---- the desktop's thread ------------------------------------------------------------------ */

bool shot_casting(const struct desktop *d)
{
	return d->shot != NULL;
}

static void destroy(struct cast *k)
{
	for (unsigned i = 0; i < QUEUE; i++)
		free(k->queue[i].canvas.pixels);
	if (k->film)
		fclose(k->film);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->more);
	free(k->rgb);
	free(k->planes);
	free(k);
}

static int open_file(struct desktop *d, struct cast *k, const char *path)
{
	size_t n = strlen(path);

	if (n >= sizeof(k->path))
		return -ENAMETOOLONG;
	memcpy(k->path, path, n + 1);
	if (n < 4 || strcmp(path + n - 4, ".y4m") != 0)
		return mkdir(path, 0777) && errno != EEXIST ? -errno : 0;
	k->width = d->width;
	k->height = d->height;
	k->planes = malloc((size_t)k->width * (size_t)k->height * 3);
	if (!k->planes)
		return -ENOMEM;
	k->film = fopen(path, "wbe");
	if (!k->film)
		return -errno;
	if (fprintf(k->film, "YUV4MPEG2 W%d H%d F%u:1 Ip A1:1 C444\n", k->width, k->height, RATE) <
	    0)
		return -EIO;
	return 0;
}

int shot_cast_begin(struct desktop *d, const char *path)
{
	struct cast *k;
	int err;

	if (d->shot)
		return -EBUSY;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->more, NULL);
	err = open_file(d, k, path);
	if (!err)
		err = -pthread_create(&k->thread, NULL, run, k);
	if (err) {
		destroy(k);
		return err;
	}
	d->shot = k;
	shot_frame(d, desktop_now(d)); /* what is there now */
	return 0;
}

static bool copy(struct picture *p, const struct canvas *from)
{
	size_t pixels = (size_t)from->width * (size_t)from->height;

	if (pixels > p->room) {
		uint32_t *more = realloc(p->canvas.pixels, pixels * sizeof(*more));

		if (!more)
			return false;
		p->canvas.pixels = more;
		p->room = pixels;
	}
	p->canvas.width = p->canvas.stride = from->width;
	p->canvas.height = from->height;
	for (int y = 0; y < from->height; y++)
		memcpy(p->canvas.pixels + (ptrdiff_t)y * from->width,
		       from->pixels + (ptrdiff_t)y * from->stride,
		       (size_t)from->width * sizeof(uint32_t));
	return true;
}

void shot_frame(struct desktop *d, uint64_t now_ns)
{
	struct cast *k = d->shot;
	const struct canvas *screen = desktop_screen(d);
	struct picture *p = NULL;

	if (!k || screen->width <= 0)
		return;
	pthread_mutex_lock(&k->lock);
	if (k->count < QUEUE && !k->err)
		p = &k->queue[(k->first + k->count) % QUEUE];
	else
		k->dropped++;
	pthread_mutex_unlock(&k->lock);
	if (!p || !copy(p, screen))
		return;
	p->time_ns = now_ns;
	pthread_mutex_lock(&k->lock);
	k->count++;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
}

uint64_t shot_cast_end(struct desktop *d, uint64_t *dropped)
{
	struct cast *k = d->shot;
	uint64_t frames;

	if (dropped)
		*dropped = 0;
	if (!k)
		return 0;
	pthread_mutex_lock(&k->lock);
	k->end = true;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	frames = k->frames;
	if (dropped)
		*dropped = k->dropped;
	if (k->err)
		notice(d, d->theme.danger, "%s: %s", k->path, strerror(-k->err));
	destroy(k);
	d->shot = NULL;
	return frames;
}
