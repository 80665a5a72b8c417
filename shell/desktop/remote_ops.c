/* What scripts ask and do besides input; see remote_impl.h. */
#include "remote_impl.h"

#include "programs.h"
#include "services_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- fields -------------------------------------------------------------------------- */

int remote_int_or(struct remote_call *c, const char *name, int least, int most, int *value)
{
	const json_t *v = json_object_get(c->request, name);
	json_int_t n = json_integer_value(v);

	if (!v)
		return 0;
	if (!json_is_integer(v) || n < least || n > most)
		return remote_fail(c, "bad-request", "%s: a whole number from %d to %d", name,
				   least, most);
	*value = (int)n;
	return 0;
}

int remote_int(struct remote_call *c, const char *name, int least, int most, int *value)
{
	if (!json_object_get(c->request, name))
		return remote_fail(c, "bad-request", "%s is missing", name);
	return remote_int_or(c, name, least, most, value);
}

const char *remote_text(struct remote_call *c, const char *name)
{
	return json_string_value(json_object_get(c->request, name));
}

static struct panel *find_panel(struct desktop *d, const char *name)
{
	struct panel *found = NULL;

	/* The last that was opened. */
	for (struct panel *p = d->panels; p; p = p->next) {
		if (!p->closing && !strcmp(p->cls->name, name))
			found = p;
	}
	return found;
}

int remote_window(struct remote_call *c, hid_id *id)
{
	const char *guest = remote_text(c, "guest"), *panel = remote_text(c, "panel");
	struct dguest *g = guest ? guests_find(c->desktop, guest) : NULL;
	struct panel *p = NULL;
	int scanout = 0;

	*id = 0;
	if (guest && !g)
		return remote_fail(c, "not-found", "no guest named %.80s", guest);
	if (panel) {
		/* Each guest may have a console. */
		p = g ? g->console : find_panel(c->desktop, panel);
		if (!p || strcmp(p->cls->name, panel) != 0)
			return remote_fail(c, "not-found", "no panel %.80s is open", panel);
		*id = p->id;
	} else if (g) {
		if (remote_int_or(c, "scanout", 0, EXO_DPY_SCANOUTS_MAX - 1, &scanout))
			return -1;
		*id = g->window[scanout];
		if (!*id)
			return remote_fail(c, "not-found", "%.80s has no window", guest);
	}
	return 0;
}

int remote_window_needed(struct remote_call *c, hid_id *id)
{
	if (remote_window(c, id))
		return -1;
	return *id ? 0 : remote_fail(c, "bad-request", "guest or panel is missing");
}

static int within(int n, int least, int most)
{
	return n < least ? least : n > most ? most : n;
}

int remote_part(struct remote_call *c, struct hid_rect *part)
{
	const struct canvas *screen = desktop_screen(c->desktop);
	struct hid_rect all = {0, 0, screen->width, screen->height};
	struct hid_window_info info;
	int x1, y1;
	hid_id id;

	if (remote_window(c, &id))
		return -1;
	if (id && hid_info(c->desktop->hid, id, &info))
		all = info.content;
	*part = all;
	part->x = part->y = 0;
	if (remote_int_or(c, "x", 0, 16384, &part->x) || remote_int_or(c, "y", 0, 16384, &part->y))
		return -1;
	part->width -= part->x;
	part->height -= part->y;
	if (remote_int_or(c, "width", 1, 16384, &part->width) ||
	    remote_int_or(c, "height", 1, 16384, &part->height))
		return -1;
	x1 = within(all.x + part->x + part->width, 0, screen->width);
	y1 = within(all.y + part->y + part->height, 0, screen->height);
	part->x = within(all.x + part->x, 0, screen->width);
	part->y = within(all.y + part->y, 0, screen->height);
	part->width = x1 - part->x;
	part->height = y1 - part->y;
	return part->width > 0 && part->height > 0
		       ? 0
		       : remote_fail(c, "invalid", "nothing of it is on the screen");
}

/* ---- windows ---------------------------------------------------------------------------- */

static json_t *rect_json(const struct hid_rect *r)
{
	return json_pack("{s:i,s:i,s:i,s:i}", "x", r->x, "y", r->y, "width", r->width, "height",
			 r->height);
}

static void say_window(struct desktop *d, json_t *out, const struct hid_window_info *i)
{
	unsigned scanout = 0;
	struct dguest *g = guests_of_window(d, i->id, &scanout);
	struct panel *p = g ? NULL : panel_of_window(d, i->id);

	json_object_set_new(out, "window", json_integer(i->id));
	if (g) {
		json_object_set_new(out, "guest", json_string(g->name));
		json_object_set_new(out, "scanout", json_integer(scanout));
		json_object_set_new(out, "label", json_string(g->label));
		json_object_set_new(out, "title", json_string(g->title[scanout]));
	} else if (p) {
		json_object_set_new(out, "panel", json_string(p->cls->name));
		json_object_set_new(out, "title", json_string(p->title));
		for (struct dguest *o = d->guests; o; o = o->next) {
			if (o->console == p)
				json_object_set_new(out, "guest", json_string(o->name));
		}
	}
	json_object_set_new(out, "frame", rect_json(&i->frame));
	json_object_set_new(out, "content", rect_json(&i->content));
	json_object_set_new(out, "focused", json_boolean(i->focused));
	json_object_set_new(out, "visible", json_boolean(i->visible));
	json_object_set_new(out, "fullscreen", json_boolean(i->fullscreen));
	json_object_set_new(out, "maximized", json_boolean(i->maximized));
	json_object_set_new(out, "minimized", json_boolean(i->minimized));
	json_object_set_new(out, "attention", json_boolean(i->attention));
}

static int op_windows(struct remote_call *c)
{
	hid_id ids[HID_WINDOWS_MAX];
	unsigned n = hid_stack(c->desktop->hid, ids, HID_WINDOWS_MAX);
	json_t *list = json_array();
	struct hid_window_info info;

	for (unsigned i = 0; i < n; i++) {
		json_t *window = json_object();

		if (hid_info(c->desktop->hid, ids[i], &info))
			say_window(c->desktop, window, &info);
		json_array_append_new(list, window);
	}
	json_object_set_new(c->answer, "windows", list);
	return 0;
}

static int op_window(struct remote_call *c)
{
	struct hid_window_info info;
	hid_id id;

	if (remote_window_needed(c, &id))
		return -1;
	if (hid_info(c->desktop->hid, id, &info))
		say_window(c->desktop, c->answer, &info);
	return 0;
}

static int op_focus(struct remote_call *c)
{
	hid_id id;

	if (remote_window_needed(c, &id))
		return -1;
	hid_focus(c->desktop->hid, id, desktop_now(c->desktop));
	return 0;
}

static int op_close(struct remote_call *c)
{
	hid_id id;

	if (remote_window_needed(c, &id))
		return -1;
	desktop_close_window(c->desktop, id);
	return 0;
}

typedef void state_fn(struct hid *h, hid_id id, bool on, uint64_t now_ns);

/* `on` is true unless it says false. */
static int set_state(struct remote_call *c, state_fn *set)
{
	const json_t *on = json_object_get(c->request, "on");
	hid_id id;

	if (remote_window_needed(c, &id))
		return -1;
	if (on && !json_is_boolean(on))
		return remote_fail(c, "bad-request", "on: true or false");
	set(c->desktop->hid, id, !json_is_false(on), desktop_now(c->desktop));
	return 0;
}

static int op_maximize(struct remote_call *c)
{
	return set_state(c, hid_set_maximized);
}

static int op_minimize(struct remote_call *c)
{
	return set_state(c, hid_set_minimized);
}

static int op_fullscreen(struct remote_call *c)
{
	return set_state(c, hid_set_fullscreen);
}

static int op_place(struct remote_call *c)
{
	struct hid_window_info info;
	hid_id id;

	if (remote_window_needed(c, &id) || !hid_info(c->desktop->hid, id, &info))
		return -1;
	if (remote_int_or(c, "x", -16384, 16384, &info.content.x) ||
	    remote_int_or(c, "y", -16384, 16384, &info.content.y) ||
	    remote_int_or(c, "width", 1, 16384, &info.content.width) ||
	    remote_int_or(c, "height", 1, 16384, &info.content.height))
		return -1;
	hid_place(c->desktop->hid, id, &info.content, desktop_now(c->desktop));
	return 0;
}

/* ---- the desktop ------------------------------------------------------------------------------
 */

static int op_action(struct remote_call *c)
{
	const char *name = remote_text(c, "name");
	enum hid_action action = name ? desktop_action_named(name) : HID_ACTION_NONE;

	if (!action)
		return remote_fail(c, "bad-request", "name: no such action");
	desktop_action(c->desktop, action);
	return 0;
}

static int op_theme(struct remote_call *c)
{
	const json_t *dark = json_object_get(c->request, "dark");

	if (!json_is_boolean(dark))
		return remote_fail(c, "bad-request", "dark: true or false");
	desktop_set_theme(c->desktop, json_is_true(dark));
	return 0;
}

static int op_keymap(struct remote_call *c)
{
	const char *name = remote_text(c, "name");

	if (!name || !keymap_find(name))
		return remote_fail(c, "not-found", "name: no such keyboard layout");
	desktop_set_layout(c->desktop, name);
	return 0;
}

static int op_resize(struct remote_call *c)
{
	int width, height;

	if (remote_int(c, "width", 64, 16384, &width) ||
	    remote_int(c, "height", 64, 16384, &height))
		return -1;
	desktop_resize(c->desktop, width, height);
	return 0;
}

static int op_notices(struct remote_call *c)
{
	json_object_set_new(c->answer, "notices", notices_list(c->desktop));
	return 0;
}

static int op_clipboard(struct remote_call *c)
{
	struct clip_state s;

	clip_state(c->desktop, &s);
	json_object_set_new(c->answer, "format",
			    json_string(s.format == EXO_DESK_TEXT  ? "text"
					: s.format == EXO_DESK_PNG ? "png"
								   : "none"));
	json_object_set_new(c->answer, "bytes", json_integer(s.bytes));
	json_object_set_new(c->answer, "from", json_string(s.from));
	return 0;
}

static int op_state(struct remote_call *c)
{
	struct desktop *d = c->desktop;
	uint64_t held = hid_held_until(d->hid, desktop_now(d));
	const char *clip = clip_words(d);
	int x, y;

	hid_pointer_at(d->hid, &x, &y);
	json_object_set_new(c->answer, "frames", json_integer((json_int_t)d->frames));
	json_object_set_new(c->answer, "wakeups", json_integer((json_int_t)d->wakeups));
	json_object_set_new(c->answer, "width", json_integer(d->width));
	json_object_set_new(c->answer, "height", json_integer(d->height));
	json_object_set_new(c->answer, "scale", json_integer(d->scale));
	json_object_set_new(c->answer, "keymap", json_string(d->layout));
	json_object_set_new(c->answer, "dark", json_boolean(d->theme.dark));
	json_object_set_new(c->answer, "held", json_boolean(held != 0));
	json_object_set_new(c->answer, "pointer", json_pack("{s:i,s:i}", "x", x, "y", y));
	json_object_set_new(c->answer, "strip", json_integer(hid_strip(d->hid).height));
	json_object_set_new(c->answer, "clipboard", clip ? json_string(clip) : json_null());
	json_object_set_new(c->answer, "session", json_boolean(link_there(d)));
	return 0;
}

static int op_screencast(struct remote_call *c)
{
	const char *path = remote_text(c, "path");
	uint64_t dropped = 0, frames;
	int err;

	if (path) {
		err = *path == '/' ? shot_cast_begin(c->desktop, path) : -EINVAL;
		return err ? remote_fail(c, "invalid", "%.400s: %s", path, strerror(-err)) : 0;
	}
	if (!json_is_true(json_object_get(c->request, "stop")))
		return remote_fail(c, "bad-request", "path: an absolute path, or stop: true");
	frames = shot_cast_end(c->desktop, &dropped);
	json_object_set_new(c->answer, "frames", json_integer((json_int_t)frames));
	json_object_set_new(c->answer, "dropped", json_integer((json_int_t)dropped));
	return 0;
}

static int op_launch(struct remote_call *c)
{
	const char *name = remote_text(c, "program");
	struct programs programs = {0};
	const struct program *p;
	char *none[] = {NULL};
	int result = 0;

	if (!name || !*name)
		return remote_fail(c, "bad-request", "program: a name or an absolute path");
	if (*name == '/') {
		guests_launch(c->desktop, name, none);
		return 0;
	}
	if (programs_read(&programs))
		return remote_fail(c, "internal", "no memory");
	p = programs_find(&programs, name);
	if (!p)
		result = remote_fail(c, "not-found", "no program %.80s in the launcher's folders",
				     name);
	else if (*p->wrong)
		result = remote_fail(c, "invalid", "%.500s", p->wrong);
	else
		guests_launch(c->desktop, p->path, none);
	programs_free(&programs);
	return result;
}

const struct remote_op remote_ops[] = {
	{"windows", op_windows},       {"window", op_window},       {"focus", op_focus},
	{"close", op_close},           {"maximize", op_maximize},   {"minimize", op_minimize},
	{"fullscreen", op_fullscreen}, {"place", op_place},         {"action", op_action},
	{"theme", op_theme},           {"keymap", op_keymap},       {"resize", op_resize},
	{"notices", op_notices},       {"clipboard", op_clipboard}, {"state", op_state},
	{"screencast", op_screencast}, {"launch", op_launch},       {NULL, NULL},
};
