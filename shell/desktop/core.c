/*
 * The desktop itself: its parts' begin and end, the loop, frames. The loop sleeps until a
 * descriptor is readable or the nearest of all deadlines; a turn then does what is due, draws
 * a frame if one is, and tells guests what has gathered.
 */
#include "core_impl.h"

#include "clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static struct core *core_of(const struct desktop *d)
{
	return d->core;
}

uint64_t desktop_now(const struct desktop *d)
{
	return clock_now_ns();
}

void desktop_wake_at(struct desktop *d, uint64_t when_ns)
{
	struct core *c = core_of(d);

	if (c && when_ns && (!c->wake_ns || when_ns < c->wake_ns))
		c->wake_ns = when_ns;
}

void desktop_end(struct desktop *d, int exit_code)
{
	if (d->ending)
		return;
	d->ending = true;
	d->exit_code = exit_code;
	desktop_wake_at(d, desktop_now(d));
}

const struct canvas *desktop_screen(struct desktop *d)
{
	return &core_of(d)->screen;
}

/* ---- settings ------------------------------------------------------------------------- */

void desktop_chords(const struct desktop *d, struct hid_chord chord[HID_ACTIONS])
{
	memcpy(chord, core_of(d)->chord, sizeof(core_of(d)->chord));
	for (unsigned i = 0; i < HID_ACTIONS; i++) {
		if (chord[i].key == DESKTOP_NO_KEY)
			chord[i] = (struct hid_chord){0};
	}
}

void desktop_set_layout(struct desktop *d, const char *keymap)
{
	const struct keymap *map = keymap_find(keymap);

	if (!map) {
		notice(d, d->theme.danger, "there is no keyboard layout “%s”", keymap);
		return;
	}
	d->keyboard.map = map;
	d->keyboard.dead = 0;
	snprintf(d->layout, sizeof(d->layout), "%s", keymap);
	if (d->services)
		service_settings_changed(d);
	desktop_wake_at(d, desktop_now(d));
}

static void redraw_all(struct desktop *d)
{
	for (struct panel *p = d->panels; p; p = p->next) {
		if (!p->closing)
			panel_redraw(p);
	}
	hid_damage_screen(d->hid, NULL);
	desktop_wake_at(d, desktop_now(d));
}

void desktop_set_theme(struct desktop *d, bool dark)
{
	theme_set(&d->theme, dark);
	if (d->services)
		service_settings_changed(d);
	redraw_all(d);
}

void desktop_resized(struct desktop *d, int width, int height, uint32_t scale)
{
	bool rescaled = scale != d->scale;

	d->width = width;
	d->height = height;
	d->scale = scale;
	if (!d->hid)
		return; /* it is being opened */
	core_of(d)->screen = (struct canvas){0};
	hid_resize(d->hid, width, height, scale);
	for (struct dguest *g = rescaled ? d->guests : NULL; g; g = g->next) {
		if (g->screen)
			screen_scale_changed(g->screen);
	}
	if (rescaled && d->services)
		service_settings_changed(d);
	redraw_all(d);
	events_tell(d);
}

void desktop_resize(struct desktop *d, int width, int height)
{
	if (width > 0 && height > 0)
		d->output->cls->resize(d->output, width, height);
}

/* ---- frames ------------------------------------------------------------------------------ */

/* What of a pointer's picture lies in the content of its window, in pixels of the picture. */
static struct hid_rect cursor_part(struct desktop *d, hid_id over, int hot_x, int hot_y)
{
	const int size = (int)EXO_DPY_CURSOR_SIZE;
	struct hid_window_info info = {0};
	int x, y, x0, y0, x1, y1;

	hid_pointer_at(d->hid, &x, &y);
	hid_info(d->hid, over, &info);
	x0 = info.content.x - (x - hot_x);
	y0 = info.content.y - (y - hot_y);
	x1 = x0 + info.content.width;
	y1 = y0 + info.content.height;
	x0 = x0 < 0 ? 0 : x0;
	y0 = y0 < 0 ? 0 : y0;
	x1 = x1 > size ? size : x1;
	y1 = y1 > size ? size : y1;
	return (struct hid_rect){x0, y0, x1 - x0, y1 - y0};
}

static void set_cursor(struct desktop *d, const uint32_t *pixels, const struct hid_rect *part,
		       int hot_x, int hot_y)
{
	const int size = (int)EXO_DPY_CURSOR_SIZE;
	uint32_t cut[EXO_DPY_CURSOR_SIZE * EXO_DPY_CURSOR_SIZE] = {0};

	for (int y = part->y; y < part->y + part->height; y++)
		for (int x = part->x; x < part->x + part->width; x++)
			cut[y * size + x] = pixels[y * size + x];
	d->output->cls->cursor(d->output, cut, hot_x, hot_y);
}

/*
 * The guest's picture of the pointer, where it is over a guest's content; else the arrow. It is
 * cut off at the content's edges: a guest draws nothing over the strip and frames in this way.
 */
static void show_cursor(struct desktop *d)
{
	struct core *c = core_of(d);
	hid_id over = hid_pointer_over(d->hid);
	unsigned scanout;
	struct dguest *g = guests_of_window(d, over, &scanout);
	struct hid_rect part = {0};
	const uint32_t *pixels = NULL;
	bool visible = true;
	int x = 0, y = 0;

	if (!g || !g->screen)
		over = 0;
	if (over)
		pixels = screen_cursor(g->screen, scanout, &visible, &x, &y);
	if (pixels && visible)
		part = cursor_part(d, over, x, y);
	if (over == c->cursor_of && (!over || d->cursors == c->cursors) &&
	    !memcmp(&part, &c->cursor_part, sizeof(part)))
		return;
	if (pixels)
		set_cursor(d, pixels, &part, x, y);
	else
		d->output->cls->cursor(d->output, NULL, 0, 0);
	c->cursor_of = over;
	c->cursors = d->cursors;
	c->cursor_part = part;
}

static void draw_frame(struct desktop *d, uint64_t now)
{
	struct core *c = core_of(d);
	struct hid_rect rects[HID_RECTS_MAX];
	unsigned n, age = 0;

	panels_draw(d);
	n = hid_frame_begin(d->hid, rects, now);
	c->screen = d->output->cls->begin(d->output, &age);
	if (age != 1) {
		n = 1;
		rects[0] = (struct hid_rect){0, 0, c->screen.width, c->screen.height};
	}
	compose(d, &c->screen, rects, n);
	show_cursor(d);
	d->output->cls->present(d->output, rects, n);
	d->frames++;
	d->presented_ns = desktop_now(d);
	screens_presented(d, d->presented_ns);
	shot_frame(d, d->presented_ns);
}

/* ---- the loop ---------------------------------------------------------------------------- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

static uint64_t tick_parts(struct desktop *d, uint64_t now)
{
	uint64_t next = link_tick(d, now);

	next = sooner(next, guests_tick(d, now));
	next = sooner(next, services_tick(d, now));
	next = sooner(next, panels_tick(d, now));
	next = sooner(next, remote_tick(d, now));
	next = sooner(next, audio_tick(d, now));
	events_tell(d);
	return sooner(next, compose_strip_tick(d, now));
}

static void turn(struct desktop *d)
{
	struct core *c = core_of(d);
	uint64_t now, next, due;

	c->wake_ns = 0;
	d->output->cls->poll(d->output);
	events_tell(d);
	now = desktop_now(d);
	if (c->wake_ns && c->wake_ns <= now)
		c->wake_ns = 0; /* that is now */
	next = tick_parts(d, now);
	show_cursor(d);
	due = hid_frame_due(d->hid, now);
	if (due <= now && !d->ending) {
		draw_frame(d, now);
		/* What came meanwhile lies in the output's own queue: no fd tells of it. */
		d->output->cls->poll(d->output);
		events_tell(d);
	}
	next = sooner(next, screens_tick(d, now));
	due = hid_frame_due(d->hid, now);
	next = sooner(next, due == UINT64_MAX ? 0 : due);
	next = sooner(next, c->wake_ns);
	if (d->output->poll_ns)
		next = sooner(next, now + d->output->poll_ns);
	loop_timer(&d->loop, next);
}

static void on_timer(void *opaque) {}

/* What is there is taken by the turn that follows. */
static void on_output(void *opaque, int fd, uint32_t events) {}

static void on_signal(void *opaque, int fd, uint32_t events)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info))
		desktop_end(opaque, 0);
}

int desktop_run(struct desktop *d)
{
	int err = 0;

	while (!d->ending && !err) {
		turn(d);
		if (d->ending)
			break;
		err = loop_run_once(&d->loop);
		d->wakeups = d->loop.wakeups;
	}
	return err ? 125 : d->exit_code;
}

/* ---- begin and end ------------------------------------------------------------------------- */

static int watch_signals(struct desktop *d)
{
	struct core *c = core_of(d);
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return c->signals < 0 ? -errno : loop_add(&d->loop, c->signals, EPOLLIN, on_signal, d);
}

static int open_output(struct desktop *d, const struct desktop_setup *setup, char why[256])
{
	struct core *c = core_of(d);
	const struct output_setup wanted = {
		.width = setup->width,
		.height = setup->height,
		.scale = setup->scale,
		.fullscreen = setup->fullscreen,
		.title = "Exoshell",
	};

	d->output = setup->output->open(d, &wanted, why);
	if (!d->output)
		return -EIO;
	c->config.width = d->width;
	c->config.height = d->height;
	c->config.scale = d->scale;
	memcpy(c->config.chord, c->chord, sizeof(c->chord));
	d->hid = hid_create(&c->config, &events_ops, d);
	if (!d->hid)
		return -ENOMEM;
	hid_damage_screen(d->hid, NULL);
	if (d->output->cls->fd(d->output) < 0)
		return 0;
	return loop_add(&d->loop, d->output->cls->fd(d->output), EPOLLIN, on_output, d);
}

static int open_parts(struct desktop *d, const struct desktop_setup *setup, char why[256])
{
	int err = audio_open(d, setup->wav, setup->output == &output_sdl);

	if (err) {
		snprintf(why, 256, "%s: %s", setup->wav ? setup->wav : "sound", strerror(-err));
		return err;
	}
	err = link_open(d, why);
	if (!err)
		err = guests_open(d);
	if (!err)
		err = services_open(d);
	if (!err)
		err = remote_listen(d);
	return err;
}

int desktop_open(struct desktop *d, const struct desktop_setup *setup, char why[256])
{
	struct core *c = calloc(1, sizeof(*c));
	int err;

	*why = 0;
	d->core = c;
	err = c ? loop_init(&d->loop) : -ENOMEM;
	if (!err) {
		c->desktop = d;
		c->signals = -1;
		loop_on_timer(&d->loop, on_timer, d);
		hid_default_chords(c->chord);
		for (unsigned i = 0; i < HID_ACTIONS; i++) {
			if (setup->chord[i].key)
				c->chord[i] = setup->chord[i];
		}
		theme_set(&d->theme, setup->dark);
		desktop_set_layout(d, setup->keymap ? setup->keymap : keymap_name(0));
		d->animation_epoch_ns = desktop_now(d);
		err = watch_signals(d);
	}
	if (!err)
		err = open_output(d, setup, why);
	if (!err)
		err = open_parts(d, setup, why);
	if (err && !*why)
		snprintf(why, 256, "%s", strerror(-err));
	return err;
}

void desktop_close(struct desktop *d)
{
	struct core *c = core_of(d);

	if (!c)
		return;
	if (d->hid) {
		(void)shot_cast_end(d, NULL);
		remote_finish(d);
		panels_close(d);
		guests_close(d);
		services_close(d);
		link_close(d);
		audio_close(d);
		compose_close(d);
	}
	notices_close(d);
	hid_destroy(d->hid);
	d->hid = NULL;
	if (d->output) {
		loop_del(&d->loop, d->output->cls->fd(d->output));
		d->output->cls->close(d->output);
	}
	text_close();
	if (c->signals >= 0)
		close(c->signals);
	loop_finish(&d->loop);
	events_close(c);
	free(c);
	d->core = NULL;
}
