/*
 * What the desktop knows of each guest: the session's list (op ps), asked for again when an
 * event says that something changed, and the guest's display and windows.
 */
#include "guests_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WATCH_NS 1000000000ull

struct guests {
	bool asked, again; /* ps is under way; and once more then */
	uint64_t watch_at_ns, top_ns;
};

static struct guests *table_of(const struct desktop *d)
{
	return d->table; /* NULL: closed */
}

struct dguest *guests_find(struct desktop *d, const char *name)
{
	struct dguest *g = d->guests;

	while (g && strcmp(g->name, name) != 0)
		g = g->next;
	return g;
}

struct dguest *guests_of_window(struct desktop *d, hid_id id, unsigned *scanout)
{
	for (struct dguest *g = id ? d->guests : NULL; g; g = g->next) {
		for (unsigned i = 0; i < EXO_DPY_SCANOUTS_MAX; i++) {
			if (g->window[i] != id)
				continue;
			*scanout = i;
			return g;
		}
	}
	return NULL;
}

struct dguest *guests_get(struct desktop *d, const char *name)
{
	struct dguest *g = guests_find(d, name), **at = &d->guests;

	if (g || strlen(name) >= sizeof(g->name))
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->desktop = d;
	snprintf(g->name, sizeof(g->name), "%s", name);
	snprintf(g->label, sizeof(g->label), "untrusted");
	g->colour = 0x808080;
	g->pty = -1;
	g->fresh = true;
	while (*at)
		at = &(*at)->next;
	*at = g;
	return g;
}

/* ---- displays and windows ------------------------------------------------------------ */

static void drop_windows(struct dguest *g)
{
	for (unsigned i = 0; i < EXO_DPY_SCANOUTS_MAX; i++) {
		if (g->window[i])
			hid_remove(g->desktop->hid, g->window[i], desktop_now(g->desktop));
		g->window[i] = 0;
	}
}

static void drop_screen(struct dguest *g)
{
	drop_windows(g);
	screen_destroy(g->screen);
	g->screen = NULL;
}

void guests_screen_gone(struct dguest *g)
{
	drop_screen(g);
}

static unsigned at_scale(const struct desktop *d, unsigned n)
{
	return n * d->scale / EXO_DPY_SCALE_ONE;
}

void guests_window_changed(struct dguest *g, unsigned scanout)
{
	struct desktop *d = g->desktop;
	struct hid_window_setup setup = {.owner = g};
	struct hid_window_info info;
	struct canvas c;
	uint32_t format;

	if (scanout >= EXO_DPY_SCANOUTS_MAX)
		return;
	if (!g->screen || !screen_picture(g->screen, scanout, &c, &format)) {
		if (g->window[scanout])
			hid_remove(d->hid, g->window[scanout], desktop_now(d));
		g->window[scanout] = 0;
		return;
	}
	if (g->window[scanout])
		return;
	/* As large as the guest was told to be; what it drew is no measure. */
	setup.width = (int)at_scale(d, g->width);
	setup.height = (int)at_scale(d, g->height);
	g->window[scanout] = hid_add(d->hid, &setup, desktop_now(d));
	if (!g->window[scanout])
		notice(d, g->colour, "%s: there are too many windows", g->name);
	else if (hid_info(d->hid, g->window[scanout], &info))
		screen_configure(g->screen, scanout, info.content.width, info.content.height,
				 info.visible);
	/* The person asked for it, and types nowhere else: once, and never away from anybody. */
	if (g->launched && g->window[scanout] && !hid_focused(d->hid))
		hid_focus(d->hid, g->window[scanout], desktop_now(d));
	g->launched = false;
}

static uint32_t colour_of(const json_t *o)
{
	const char *text = json_string_value(json_object_get(o, "colour"));
	unsigned value;

	return text && sscanf(text, "#%6x", &value) == 1 ? value : 0x808080;
}

static void damage_frames(struct dguest *g)
{
	for (unsigned i = 0; i < EXO_DPY_SCANOUTS_MAX; i++) {
		if (g->window[i])
			hid_damage_frame(g->desktop->hid, g->window[i]);
	}
}

static void describe(struct dguest *g, const json_t *o)
{
	const char *label = json_string_value(json_object_get(o, "label"));
	uint32_t colour = colour_of(o);
	bool changed = colour != g->colour || (label && strcmp(label, g->label) != 0);

	g->colour = colour;
	g->number = (uint64_t)json_integer_value(json_object_get(o, "number"));
	if (label)
		snprintf(g->label, sizeof(g->label), "%s", label);
	if (changed)
		damage_frames(g);
}

static int between(json_int_t n, int low, int high)
{
	return n < low ? low : n > high ? high : (int)n;
}

static void on_display(struct desktop *d, const json_t *event, int fd)
{
	const char *name = json_string_value(json_object_get(event, "guest"));
	struct dguest *g = name && fd >= 0 ? guests_get(d, name) : NULL;
	json_int_t scanouts = json_integer_value(json_object_get(event, "scanouts"));

	if (!g) {
		if (fd >= 0)
			close(fd);
		return;
	}
	describe(g, event);
	g->width = (unsigned)between(json_integer_value(json_object_get(event, "width")), 64, 8192);
	g->height =
		(unsigned)between(json_integer_value(json_object_get(event, "height")), 64, 8192);
	screen_destroy(g->screen); /* of the session before */
	g->screen = screen_create(g, fd, (unsigned)between(scanouts, 1, EXO_DPY_SCANOUTS_MAX),
				  (int)at_scale(d, g->width), (int)at_scale(d, g->height));
	if (!g->screen)
		notice(d, g->colour, "%s: its display could not be opened", g->name);
	for (unsigned i = 0; g->screen && i < EXO_DPY_SCANOUTS_MAX; i++) {
		struct hid_window_info info;

		if (g->window[i] && hid_info(d->hid, g->window[i], &info))
			screen_configure(g->screen, i, info.content.width, info.content.height,
					 info.visible);
	}
	guests_refresh(d);
}

/* ---- the list ---------------------------------------------------------------------------- */

/* how: for its console, or NULL. */
static void forget(struct desktop *d, struct dguest *g, const char *how)
{
	struct dguest **at = &d->guests;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	drop_screen(g);
	service_guest_gone(g);
	guests_run_gone(g, how);
	free(g);
}

static bool is_over(const char *state)
{
	return !strcmp(state, "ended") || !strcmp(state, "failed") || !strcmp(state, "added");
}

static const json_t *entry_of(const json_t *list, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *n = json_string_value(json_object_get(one, "name"));

		if (n && !strcmp(n, name))
			return one;
	}
	return NULL;
}

static void take_entry(struct desktop *d, const json_t *one)
{
	const char *name = json_string_value(json_object_get(one, "name"));
	const char *state = json_string_value(json_object_get(one, "state"));
	struct dguest *g = name && state && !is_over(state) ? guests_get(d, name) : NULL;
	bool paused = json_is_true(json_object_get(one, "paused"));

	if (!g)
		return;
	describe(g, one);
	snprintf(g->state, sizeof(g->state), "%s", state);
	if (paused != g->paused) {
		g->paused = paused;
		damage_frames(g);
	}
}

static void forget_ended(struct desktop *d, struct dguest *g, const json_t *entry)
{
	const char *reason = json_string_value(json_object_get(entry, "reason"));
	const char *detail = json_string_value(json_object_get(entry, "detail"));
	int status = (int)json_integer_value(json_object_get(entry, "exit_code"));
	char how[640];

	snprintf(how, sizeof(how), "%s, exit status %d%s%s", reason ? reason : "ended", status,
		 detail && *detail ? ": " : "", detail ? detail : "");
	if (!g->console && status)
		notice(d, g->colour, "%s: %s", g->name, how);
	forget(d, g, how);
}

static void on_list(void *opaque, json_t *answer, int fd)
{
	struct desktop *d = opaque;
	const json_t *list = json_object_get(answer, "guests"), *one;
	struct guests *table = table_of(d);
	struct dguest *g, *next;
	size_t i;

	if (!table)
		return;
	table->asked = false;
	if (!answer)
		return; /* guests are there as before, and the next session knows them */
	json_array_foreach(list, i, one)
	{
		take_entry(d, one);
	}
	for (g = d->guests; g; g = next) {
		const json_t *entry = entry_of(list, g->name);
		const char *state = json_string_value(json_object_get(entry, "state"));

		next = g->next;
		if (g->fresh || (entry && state && !is_over(state)))
			continue;
		forget_ended(d, g, entry);
	}
	for (struct panel *p = d->panels; p; p = p->next) {
		if (p->cls->listed)
			p->cls->listed(p);
	}
	if (table->again)
		guests_refresh(d);
}

void guests_refresh(struct desktop *d)
{
	struct guests *table = table_of(d);

	table->again = table->asked;
	if (table->asked)
		return;
	table->asked = true;
	for (struct dguest *g = d->guests; g; g = g->next)
		g->fresh = false;
	link_request(d, json_pack("{s:s}", "op", "ps"), NULL, 0, on_list, d);
}

static void on_change(struct desktop *d, const json_t *event, int fd)
{
	guests_refresh(d);
}

static void on_refused(struct desktop *d, const json_t *event, int fd)
{
	const char *guest = json_string_value(json_object_get(event, "guest"));
	const char *service = json_string_value(json_object_get(event, "service"));
	const char *reason = json_string_value(json_object_get(event, "reason"));
	struct dguest *g = guest ? guests_find(d, guest) : NULL;

	notice(d, g ? g->colour : 0xd03030, "%s was refused %s%s%s", guest ? guest : "a guest",
	       service && *service ? service : "a connection", reason ? ": " : "",
	       reason ? reason : "");
}

static void on_attached(void *opaque, json_t *answer, int fd)
{
	const char *error = link_error(answer);

	if (answer && error)
		notice(opaque, 0xd03030, "no windows: %s", error);
}

/* ---- figures -------------------------------------------------------------------------------- */

static uint64_t u64_of(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void on_top(void *opaque, json_t *answer, int fd)
{
	struct desktop *d = opaque;
	const json_t *list = json_object_get(answer, "guests"), *one;
	struct guests *table = table_of(d);
	uint64_t now = desktop_now(d), ns;
	size_t i;

	if (!table || !answer)
		return;
	ns = now - table->top_ns;
	table->top_ns = now;
	json_array_foreach(list, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		struct dguest *g = name ? guests_find(d, name) : NULL;
		uint64_t cpu = u64_of(one, "cpu_us");

		if (!g)
			continue;
		g->cpu_share = g->cpu_us && ns ? (double)(cpu - g->cpu_us) * 1e3 / (double)ns : 0;
		g->cpu_us = cpu;
		g->memory_bytes = u64_of(one, "memory_bytes");
		g->tx_bytes = u64_of(one, "tx_bytes");
		g->rx_bytes = u64_of(one, "rx_bytes");
	}
	for (struct panel *p = d->panels; p; p = p->next) {
		if (p->cls->listed)
			p->cls->listed(p);
	}
}

void guests_watch(struct desktop *d, bool on)
{
	struct guests *table = table_of(d);

	if (!on && d->watching)
		d->watching--;
	if (!on || d->watching++)
		return;
	table->watch_at_ns = desktop_now(d);
	desktop_wake_at(d, table->watch_at_ns);
}

uint64_t guests_tick(struct desktop *d, uint64_t now_ns)
{
	struct guests *table = table_of(d);

	if (!table || !d->watching)
		return 0;
	if (now_ns >= table->watch_at_ns) {
		table->watch_at_ns = now_ns + WATCH_NS;
		link_request(d, json_pack("{s:s}", "op", "top"), NULL, 0, on_top, d);
	}
	return table->watch_at_ns;
}

/* ---- begin and end ------------------------------------------------------------------------------
 */

static void on_connect(struct desktop *d)
{
	struct guests *table = table_of(d);

	table->asked = table->again = false;
	link_request(d, json_pack("{s:s}", "op", "subscribe"), NULL, 0, NULL, NULL);
	link_request(d, json_pack("{s:s}", "op", "desktop"), NULL, 0, on_attached, d);
	guests_refresh(d);
}

int guests_open(struct desktop *d)
{
	static const char *const changes[] = {"started", "ready", "ended", "restarting"};

	d->table = calloc(1, sizeof(struct guests));
	if (!d->table)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		link_on(d, changes[i], on_change);
	link_on(d, "display", on_display);
	link_on(d, "refused", on_refused);
	link_on(d, "log", guests_on_log);
	link_on_connect(d, on_connect);
	return 0;
}

void guests_close(struct desktop *d)
{
	while (d->guests)
		forget(d, d->guests, NULL);
	free(d->table);
	d->table = NULL;
}
