/*
 * A guest's display connection (exo/display.h), the desktop's side: everything that the VMM says
 * is copied once, checked, and then believed; whoever breaks a rule is ended (hostile-guests
 * H-34). Pictures are read from the picture memory where they lie, by compose.c.
 *
 * Nothing here waits. What has to be said and does not fit is kept as the one latest value of
 * its kind (mode, answer, sound played) until there is room.
 */
#include "screen_impl.h"

#include "fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define RECEIVE_MAX 64          /* messages a wake-up */
#define FRAME_MESSAGES_MAX 2048 /* in the time of a frame; then it waits for the next */

union message {
	struct exo_dpy_header h;
	struct exo_dpy_hello hello;
	struct exo_dpy_scanout scanout;
	struct exo_dpy_flush flush;
	struct exo_dpy_cursor cursor;
	struct exo_dpy_sound sound;
	struct exo_dpy_pcm pcm;
	uint8_t bytes[EXO_DPY_MSG_MAX];
};

/* ---- begin and end ----------------------------------------------------------------- */

static void on_socket(void *opaque, int fd, uint32_t events);

struct screen *screen_create(struct dguest *guest, int fd, unsigned scanouts, int width, int height)
{
	struct screen *s = calloc(1, sizeof(*s));
	int err = s ? 0 : -ENOMEM;

	if (!err && fcntl(fd, F_SETFL, O_NONBLOCK))
		err = -errno;
	if (!err)
		err = loop_add(&guest->desktop->loop, fd, EPOLLIN, on_socket, s);
	if (err) {
		close(fd);
		free(s);
		errno = -err;
		return NULL;
	}
	s->desktop = guest->desktop;
	s->guest = guest;
	s->fd = fd;
	s->scanouts = scanouts;
	/* So large is the first window; the others are told when they are there. */
	s->scan[0].width = width;
	s->scan[0].height = height;
	return s;
}

void screen_destroy(struct screen *s)
{
	if (!s)
		return;
	audio_stop(s->playback);
	audio_capture_stop(s->guest);
	loop_del(&s->desktop->loop, s->fd);
	close(s->fd);
	if (s->memory)
		munmap(s->memory, s->memory_bytes);
	for (unsigned i = 0; i < EXO_DPY_SCANOUTS_MAX; i++)
		free(s->scan[i].cursor);
	free(s);
}

/* ---- HELLO ------------------------------------------------------------------------------ */

/*
 * Only memory that cannot be taken away or made smaller under us: of tmpfs (a page of
 * hugetlbfs may be missing when it is read), size sealed.
 */
static const char *check_memory(int fd, uint64_t bytes)
{
	const int sealed = F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	if (seals < 0 || (seals & sealed) != sealed)
		return "picture memory that is not sealed";
	if (fstatfs(fd, &fs) || (unsigned long)fs.f_type != TMPFS_MAGIC)
		return "picture memory that is not plain memory";
	if (fstat(fd, &st) || (uint64_t)st.st_size != bytes)
		return "picture memory of another size";
	return NULL;
}

static const char *take_hello(struct screen *s, const struct exo_dpy_hello *m, int fd)
{
	const uint32_t known = EXO_DPY_HAS_CAPTURE * 2 - 1;
	const char *why;
	void *memory;

	if (s->hello)
		return "a second greeting";
	if (fd < 0)
		return "no picture memory";
	if (m->picture_bytes < EXO_DPY_PICTURE_BYTES_MIN ||
	    m->picture_bytes > EXO_DPY_PICTURE_BYTES_MAX)
		return "picture memory of no good size";
	if (!m->scanouts || m->scanouts > s->scanouts || m->inputs & ~known)
		return "more than it was granted";
	why = check_memory(fd, m->picture_bytes);
	if (why)
		return why;
	memory = mmap(NULL, m->picture_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return "picture memory that cannot be mapped";
	s->memory = memory;
	s->memory_bytes = m->picture_bytes;
	s->scanouts = m->scanouts;
	s->inputs = m->inputs;
	s->hello = true;
	s->scan[0].mode_due = true;
	return NULL;
}

/* ---- pictures ------------------------------------------------------------------------------ */

static hid_id window_of(const struct screen *s, uint32_t scanout)
{
	return s->guest->window[scanout];
}

static void damage_all(struct screen *s, uint32_t scanout)
{
	const struct scan *scan = &s->scan[scanout];

	if (window_of(s, scanout))
		hid_damage(s->desktop->hid, window_of(s, scanout),
			   &(struct hid_rect){0, 0, scan->width, scan->height});
}

static bool check_picture(const struct screen *s, const struct exo_dpy_scanout *m)
{
	uint64_t end;

	if (m->width > EXO_DPY_SIZE_MAX || !m->height || m->height > EXO_DPY_SIZE_MAX ||
	    m->offset % 4 || m->stride % 4 || m->stride / 4 < m->width ||
	    m->format < EXO_DPY_FORMAT_XRGB || m->format > EXO_DPY_FORMAT_XBGR)
		return false;
	/* 32 bits times 14 bits, and 64 bits that are compared before they are added. */
	end = (uint64_t)(m->height - 1) * m->stride + (uint64_t)m->width * 4;
	return m->offset <= s->memory_bytes && end <= s->memory_bytes - m->offset;
}

static const char *take_scanout(struct screen *s, const struct exo_dpy_scanout *m)
{
	struct scan *scan;
	bool changed, other;

	if (m->scanout >= s->scanouts)
		return "a scanout that it does not have";
	if (m->width && !check_picture(s, m))
		return "a picture outside its memory";
	scan = &s->scan[m->scanout];
	changed = scan->shown != (m->width != 0);
	other = changed || m->width != scan->picture.width || m->height != scan->picture.height ||
		m->format != scan->picture.format;
	scan->shown = m->width != 0;
	scan->unplugged = scan->unplugged && scan->shown;
	scan->picture = *m;
	if (changed)
		guests_window_changed(s->guest, m->scanout);
	if (scan->shown && other)
		damage_all(s, m->scanout);
	return NULL;
}

/* A part of the picture, as a part of the window: outwards, with what smoothing smears. */
static struct hid_rect on_screen(const struct scan *scan, const struct exo_dpy_flush *m)
{
	const int64_t w = scan->width, h = scan->height;
	const int64_t pw = scan->picture.width, ph = scan->picture.height;
	int64_t x0 = m->x, y0 = m->y, x1 = x0 + m->width, y1 = y0 + m->height;

	if (w != pw) {
		x0 = x0 * w / pw - 2 - w / pw;
		x1 = x1 * w / pw + 3 + w / pw;
	}
	if (h != ph) {
		y0 = y0 * h / ph - 2 - h / ph;
		y1 = y1 * h / ph + 3 + h / ph;
	}
	x0 = x0 < 0 ? 0 : x0;
	y0 = y0 < 0 ? 0 : y0;
	x1 = x1 > w ? w : x1;
	y1 = y1 > h ? h : y1;
	return (struct hid_rect){(int)x0, (int)y0, (int)(x1 - x0), (int)(y1 - y0)};
}

static const char *take_flush(struct screen *s, const struct exo_dpy_flush *m)
{
	struct scan *scan;
	struct hid_rect r;

	if (m->scanout >= s->scanouts)
		return "a scanout that it does not have";
	scan = &s->scan[m->scanout];
	if (!scan->shown || m->x > scan->picture.width || m->y > scan->picture.height ||
	    m->width > scan->picture.width - m->x || m->height > scan->picture.height - m->y)
		return "a change outside its picture";
	if (scan->counting && m->sequence != scan->flushed + 1)
		return "changes out of order";
	if (!scan->counting)
		scan->answered = m->sequence - 1;
	scan->counting = true;
	scan->flushed = m->sequence;
	if (scan->flushed - scan->answered > EXO_DPY_FLUSHES_MAX)
		return "more changes than may be under way";
	r = on_screen(scan, m);
	if (window_of(s, m->scanout) && r.width > 0 && r.height > 0)
		hid_damage(s->desktop->hid, window_of(s, m->scanout), &r);
	return NULL;
}

static const char *take_cursor(struct screen *s, const struct exo_dpy_cursor *m)
{
	const uint64_t bytes = SCREEN_CURSOR_PIXELS * sizeof(uint32_t);
	struct scan *scan;

	if (m->scanout >= s->scanouts)
		return "a scanout that it does not have";
	if (m->visible > 1 || m->hot_x >= EXO_DPY_CURSOR_SIZE || m->hot_y >= EXO_DPY_CURSOR_SIZE)
		return "a pointer that is none";
	if (m->visible &&
	    (m->offset % 4 || m->offset > s->memory_bytes || bytes > s->memory_bytes - m->offset))
		return "a pointer outside its memory";
	scan = &s->scan[m->scanout];
	if (!scan->cursor)
		scan->cursor = calloc(1, bytes);
	if (!scan->cursor)
		return NULL; /* the arrow, then */
	scan->cursor_visible = m->visible;
	scan->hot_x = m->hot_x;
	scan->hot_y = m->hot_y;
	if (m->visible)
		memcpy(scan->cursor, s->memory + m->offset, bytes);
	s->desktop->cursors++;
	return NULL;
}

/* ---- sound ---------------------------------------------------------------------------------- */

static void on_played(void *opaque, uint32_t bytes)
{
	struct screen *s = opaque;

	s->played += bytes;
}

static const char *take_sound(struct screen *s, const struct exo_dpy_sound *m)
{
	const uint32_t needed = m->stream ? EXO_DPY_HAS_CAPTURE : EXO_DPY_HAS_PLAYBACK;

	if (m->stream >= EXO_DPY_STREAMS || !(s->inputs & needed) || m->running > 1)
		return "sound that it does not have";
	if (m->running && (m->rate < 8000 || m->rate > 96000 || m->channels < 1 || m->channels > 2))
		return "sound of no good kind";
	if (m->stream) {
		audio_capture_wanted(s->guest, m->running ? m->rate : 0, m->channels);
		return NULL;
	}
	audio_stop(s->playback);
	s->playback = NULL;
	s->played = 0;
	s->pcm_out = 0;
	s->pcm_limit = 0;
	if (!m->running)
		return NULL;
	/* 250 ms, and the message that goes beyond it. */
	s->pcm_limit = m->rate * m->channels / 2 + EXO_DPY_PCM_MAX;
	s->playback = audio_play(s->desktop, m->rate, m->channels, on_played, s);
	return NULL;
}

static const char *take_pcm(struct screen *s, const struct exo_dpy_pcm *m, size_t n)
{
	if (m->stream || !m->bytes || m->bytes > EXO_DPY_PCM_MAX || n != sizeof(*m) + m->bytes)
		return "sound of a wrong size";
	if (!s->pcm_limit)
		return NULL; /* of a stream that ended */
	s->pcm_out += m->bytes;
	if (s->pcm_out > s->pcm_limit)
		return "more sound than may be under way";
	if (!audio_write(s->playback, m->data, m->bytes))
		on_played(s, m->bytes); /* nobody hears it */
	return NULL;
}

/* ---- the socket ---------------------------------------------------------------------------- */

/* NULL, or what is wrong with it. */
static const char *take(struct screen *s, const union message *m, size_t n, int fd)
{
	if (n < sizeof(m->h) || m->h.magic != EXO_DPY_MAGIC || m->h.size != n || m->h.reserved)
		return "a message that is none";
	if ((m->h.type == EXO_DPY_HELLO) == s->hello)
		return "messages out of order";
	if (fd >= 0 && m->h.type != EXO_DPY_HELLO)
		return "a descriptor where none belongs";
	switch (m->h.type) {
	case EXO_DPY_HELLO:
		return n == sizeof(m->hello) ? take_hello(s, &m->hello, fd)
					     : "a message of a wrong size";
	case EXO_DPY_SCANOUT:
		return n == sizeof(m->scanout) ? take_scanout(s, &m->scanout)
					       : "a message of a wrong size";
	case EXO_DPY_FLUSH:
		return n == sizeof(m->flush) ? take_flush(s, &m->flush)
					     : "a message of a wrong size";
	case EXO_DPY_CURSOR:
		return n == sizeof(m->cursor) ? take_cursor(s, &m->cursor)
					      : "a message of a wrong size";
	case EXO_DPY_SOUND:
		return n == sizeof(m->sound) ? take_sound(s, &m->sound)
					     : "a message of a wrong size";
	case EXO_DPY_PCM:
		return n >= sizeof(m->pcm) ? take_pcm(s, &m->pcm, n) : "a message of a wrong size";
	}
	return "a message of no known type";
}

/* s is gone afterwards. */
static void end(struct screen *s, const char *why)
{
	struct dguest *g = s->guest;
	struct desktop *d = s->desktop;

	notice(d, g->colour, "%s was killed: it sent %s", g->name, why);
	guests_kill(d, g->name);
	guests_screen_gone(g);
}

/* It had its share of this frame's time? */
static bool enough(struct screen *s)
{
	uint64_t now = desktop_now(s->desktop);

	if (now - s->said_ns >= HID_FRAME_NS) {
		s->said_ns = now;
		s->said = 0;
	}
	if (++s->said < FRAME_MESSAGES_MAX)
		return false;
	s->held = true;
	(void)loop_mod(&s->desktop->loop, s->fd, 0);
	desktop_wake_at(s->desktop, s->said_ns + HID_FRAME_NS);
	return true;
}

static void on_socket(void *opaque, int sock, uint32_t events)
{
	struct screen *s = opaque;
	union message m;

	if (events & EPOLLOUT && s->blocked) {
		s->blocked = false;
		(void)loop_mod(&s->desktop->loop, sock, s->held ? 0 : EPOLLIN);
	}
	for (unsigned i = 0; i < RECEIVE_MAX && !s->held; i++) {
		int fd = -1;
		unsigned nfds;
		ssize_t n = fdmsg_recv(sock, &m, sizeof(m), &fd, 1, &nfds);
		const char *why;

		if (n == -EAGAIN)
			return;
		if (n == -EMSGSIZE) {
			end(s, "a message that is too long");
			return;
		}
		if (n <= 0) {
			guests_screen_gone(s->guest);
			return;
		}
		why = take(s, &m, (size_t)n, nfds ? fd : -1);
		if (nfds)
			close(fd);
		if (why) {
			end(s, why);
			return;
		}
		if (enough(s))
			return;
	}
}

/* ---- what others see of it --------------------------------------------------------------------
 */

bool screen_picture(struct screen *s, unsigned scanout, struct canvas *c, uint32_t *format)
{
	const struct exo_dpy_scanout *p = &s->scan[scanout].picture;

	if (scanout >= s->scanouts || !s->scan[scanout].shown)
		return false;
	*c = (struct canvas){
		.pixels = (uint32_t *)(void *)(s->memory + p->offset),
		.width = (int)p->width,
		.height = (int)p->height,
		.stride = (int)(p->height > 1 ? p->stride / 4 : p->width), /* else unbounded */
	};
	*format = p->format;
	return true;
}

bool screen_shown(const struct screen *s, unsigned scanout, uint32_t *sequence)
{
	if (scanout >= s->scanouts || !s->scan[scanout].shown)
		return false;
	*sequence = s->scan[scanout].answered;
	return true;
}

const uint32_t *screen_cursor(const struct screen *s, unsigned scanout, bool *visible, int *hot_x,
			      int *hot_y)
{
	const struct scan *scan = &s->scan[scanout];

	if (scanout >= s->scanouts || !scan->cursor)
		return NULL;
	*visible = scan->cursor_visible;
	*hot_x = (int)scan->hot_x;
	*hot_y = (int)scan->hot_y;
	return scan->cursor;
}

uint32_t screen_inputs(const struct screen *s)
{
	return s->inputs;
}
