/*
 * A mixer of four tones.
 *
 *	mixer-demo [--play]
 *
 * 1 … 4: a voice on or off. 0: all off. Tab goes through buttons and sliders, which arrows move.
 * While nothing is heard the sound device is closed and nothing wakes up. --play: begins with a
 * chord.
 */
#include "synth.h"

#include <exo_sound.h>
#include <exo_widgets.h>

#include <errno.h>
#include <linux/input-event-codes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define PERIOD 480 /* frames: 10 ms */
#define PERIODS 16
#define FULL_SCALE 32768.0

struct row {
	struct exo_button on, wave;
	struct exo_scroll pitch, volume;
	struct exo_status note;
};

static struct mixer {
	struct exo_ui *ui;
	struct synth synth;
	struct row row[SYNTH_VOICES];
	struct exo_scroll master;
	struct exo_status master_name, status;
	struct exo_widget meter;
	struct exo_sound *sound; /* NULL while it is silent */
	double shown[2];         /* of the meter, 0 … 1 */
} m;

static const char *const waves[SYNTH_WAVES] = {"Sine", "Triangle", "Square", "Saw"};

/* ---- sound ------------------------------------------------------------------------- */

static void sound_error(void)
{
	exo_status_set(&m.status, errno == ENODEV ? "This machine has no sound" : strerror(errno),
		       NULL);
	m.status.alarm = true;
	exo_widget_changed(&m.status.widget);
	exo_sound_close(m.sound);
	m.sound = NULL;
}

/* Opens the device when there is something to be heard. */
static void listen(void)
{
	if (m.sound || synth_silent(&m.synth))
		return;
	m.sound = exo_sound_open(false, SYNTH_RATE, 2, PERIOD);
	if (!m.sound) {
		sound_error();
		return;
	}
	m.status.alarm = false;
	exo_status_set(&m.status, "Playing", NULL);
	exo_widget_changed(&m.status.widget);
}

static void show_level(const int peak[2])
{
	for (int c = 0; c < 2; c++) {
		double now = peak[c] / FULL_SCALE;

		m.shown[c] = now > m.shown[c] ? now : m.shown[c] * 0.9;
		if (m.shown[c] < 0.002)
			m.shown[c] = 0;
	}
	exo_widget_changed(&m.meter);
}

/* As many periods as there is room for; some at a time, however fast they are played. */
static void play(void)
{
	int16_t frames[2 * PERIOD];
	int peak[2];

	for (int i = 0; i < PERIODS && m.sound && exo_sound_room(m.sound) >= PERIOD; i++) {
		synth_render(&m.synth, frames, PERIOD, peak);
		show_level(peak);
		if (exo_sound_write(m.sound, frames, PERIOD, false) < 0) {
			sound_error();
			return;
		}
		if (synth_silent(&m.synth) && m.shown[0] + m.shown[1] == 0) {
			exo_sound_close(m.sound);
			m.sound = NULL;
			exo_status_set(&m.status, "Silent", NULL);
		}
	}
}

/* ---- widgets ------------------------------------------------------------------------- */

static void draw_meter(struct exo_widget *w, const struct exo_surface *s,
		       const struct exo_rect *dirty)
{
	const struct exo_theme *t = exo_ui_theme(w->ui);
	int gap = exo_px(w->ui, 3), high = (w->height - gap) / 2, parts = 40;

	(void)dirty;
	exo_fill(s, t->background);
	for (int c = 0; c < 2; c++) {
		/* 60 dB, the last 6 of them in red. */
		double db = m.shown[c] > 0 ? 20 * log10(m.shown[c]) : -100;
		int lit = (int)((db + 60) / 60 * parts + 0.5);

		for (int i = 0; i < parts; i++) {
			int x0 = w->width * i / parts, x1 = w->width * (i + 1) / parts - gap;
			uint32_t on = i >= parts * 9 / 10 ? t->danger : t->good;

			exo_fill_rect(s, x0, c * (high + gap), x1 - x0, high,
				      i < lit ? on : t->panel);
		}
	}
}

static const struct exo_widget_class meter_class = {.draw = draw_meter};

static void show(void)
{
	static const char *const names[12] = {"A",  "A♯", "B", "C",  "C♯", "D",
					      "D♯", "E",  "F", "F♯", "G",  "G♯"};
	char text[40];

	for (unsigned i = 0; i < SYNTH_VOICES; i++) {
		const struct synth_voice *v = &m.synth.voice[i];
		struct row *r = &m.row[i];

		exo_button_set(&r->on, v->on);
		if (r->wave.text != waves[v->wave])
			exo_widget_changed(&r->wave.widget);
		r->wave.text = waves[v->wave];
		snprintf(text, sizeof(text), "%s  %.0f Hz", names[v->note % 12],
			 synth_hertz(v->note));
		exo_status_set(&r->note, text, "");
	}
	snprintf(text, sizeof(text), "%u%%", m.synth.master);
	exo_status_set(&m.status, NULL, text);
	listen();
}

static unsigned row_of(const struct exo_widget *w)
{
	return (unsigned)(uintptr_t)w->data;
}

static void toggle(unsigned i)
{
	m.synth.voice[i].on = !m.synth.voice[i].on;
	show();
}

static void pressed_on(struct exo_button *b)
{
	toggle(row_of(&b->widget));
}

static void pressed_wave(struct exo_button *b)
{
	struct synth_voice *v = &m.synth.voice[row_of(&b->widget)];

	v->wave = (v->wave + 1) % SYNTH_WAVES;
	show();
}

static void moved_pitch(struct exo_scroll *s)
{
	m.synth.voice[row_of(&s->widget)].note = (unsigned)s->position;
	show();
}

static void moved_volume(struct exo_scroll *s)
{
	m.synth.voice[row_of(&s->widget)].volume = (unsigned)s->position;
	show();
}

static void moved_master(struct exo_scroll *s)
{
	m.synth.master = (unsigned)s->position;
	show();
}

static bool event(struct exo_ui *ui, const struct exo_event *e)
{
	(void)ui;
	if (e->type != EXO_EVENT_KEY || !e->key.down || e->key.repeat)
		return false;
	if (e->key.code >= KEY_1 && e->key.code < KEY_1 + SYNTH_VOICES) {
		toggle(e->key.code - KEY_1);
		return true;
	}
	if (e->key.code != KEY_0)
		return false;
	for (unsigned i = 0; i < SYNTH_VOICES; i++)
		m.synth.voice[i].on = false;
	show();
	return true;
}

static void layout(struct exo_ui *ui, int width, int height)
{
	int gap = exo_px(ui, 8), bar = exo_status_height(ui), tall = exo_px(ui, 30);
	int slider = exo_px(ui, 20), knob = exo_px(ui, 36), wave = exo_px(ui, 80);
	int note = exo_px(ui, 90), left = (width - knob - wave - note - 6 * gap) * 3 / 5, y = gap;
	int row = (height - bar - exo_px(ui, 60) - 3 * gap) / (SYNTH_VOICES + 1), x;
	int down = (tall - slider) / 2;

	row = row < tall + gap ? tall + gap : row;
	for (int i = 0; i < SYNTH_VOICES; i++, y += row) {
		struct row *r = &m.row[i];

		x = gap;
		exo_widget_place(&r->on.widget, x, y, knob, tall);
		x += knob + gap;
		exo_widget_place(&r->wave.widget, x, y, wave, tall);
		x += wave + gap;
		exo_widget_place(&r->pitch.widget, x, y + down, left, slider);
		x += left + gap;
		exo_widget_place(&r->note.widget, x, y, note, tall);
		x += note + gap;
		exo_widget_place(&r->volume.widget, x, y + down, width - x - gap, slider);
	}
	x = knob + wave + 3 * gap;
	exo_widget_place(&m.master_name.widget, gap, y, knob + wave + gap, tall);
	exo_widget_place(&m.master.widget, x, y + down, width - x - gap, slider);
	y += row;
	exo_widget_place(&m.meter, gap, y, width - 2 * gap, height - bar - y - gap);
	exo_widget_place(&m.status.widget, 0, height - bar, width, bar);
}

static void add_row(struct exo_ui *ui, unsigned i)
{
	static const char *const numbers[SYNTH_VOICES] = {"1", "2", "3", "4"};
	const struct synth_voice *v = &m.synth.voice[i];
	struct row *r = &m.row[i];
	void *data = (void *)(uintptr_t)i;

	exo_button_init(&r->on, numbers[i], pressed_on);
	exo_button_init(&r->wave, waves[v->wave], pressed_wave);
	exo_slider_init(&r->pitch, true, SYNTH_NOTES, (int)v->note, moved_pitch);
	exo_slider_init(&r->volume, true, 100, (int)v->volume, moved_volume);
	exo_status_init(&r->note);
	r->note.plain = true;
	r->pitch.step = 1;
	r->on.widget.data = r->wave.widget.data = data;
	r->pitch.widget.data = r->volume.widget.data = data;
	exo_ui_add(ui, &r->on.widget);
	exo_ui_add(ui, &r->wave.widget);
	exo_ui_add(ui, &r->pitch.widget);
	exo_ui_add(ui, &r->note.widget);
	exo_ui_add(ui, &r->volume.widget);
}

static void add_all(struct exo_ui *ui)
{
	for (unsigned i = 0; i < SYNTH_VOICES; i++)
		add_row(ui, i);
	exo_status_init(&m.master_name);
	m.master_name.plain = true;
	exo_status_set(&m.master_name, "All together", "");
	exo_slider_init(&m.master, true, 100, (int)m.synth.master, moved_master);
	exo_widget_init(&m.meter, &meter_class);
	exo_status_init(&m.status);
	exo_status_set(&m.status, "Silent: 1 to 4 begin", "");
	exo_ui_add(ui, &m.master_name.widget);
	exo_ui_add(ui, &m.master.widget);
	exo_ui_add(ui, &m.meter);
	exo_ui_add(ui, &m.status.widget);
}

/* ---- running ------------------------------------------------------------------------- */

static int run(struct exo_window *w)
{
	for (;;) {
		struct pollfd p[2] = {{.fd = exo_window_fd(w), .events = POLLIN}};

		if (m.sound)
			p[1] = (struct pollfd){.fd = exo_sound_fd(m.sound), .events = POLLIN};
		exo_ui_draw(m.ui);
		if (poll(p, m.sound ? 2 : 1, exo_ui_timeout_ms(m.ui)) < 0 && errno != EINTR)
			return -1;
		if (exo_ui_dispatch(m.ui))
			return -1;
		play();
	}
}

int main(int argc, char **argv)
{
	static const unsigned chord[SYNTH_VOICES] = {3, 15, 19, 22};
	const struct exo_ui_calls calls = {.layout = layout, .event = event};
	struct exo_window *w;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--play"))) {
		fprintf(stderr, "usage: mixer-demo [--play]\n");
		return 2;
	}
	m.synth.master = 60;
	for (unsigned i = 0; i < SYNTH_VOICES; i++)
		m.synth.voice[i] = (struct synth_voice){.on = argc == 2,
							.wave = (enum synth_wave)i,
							.note = chord[i],
							.volume = i < 2 ? 70 : 35};
	w = exo_window_open("Mixer", 0);
	m.ui = w ? exo_ui_create(w, &calls, NULL) : NULL;
	if (!m.ui) {
		fprintf(stderr, "mixer-demo: no window: %s\n", strerror(errno));
		return 1;
	}
	add_all(m.ui);
	show();
	return run(w) ? 1 : 0;
}
