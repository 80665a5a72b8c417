/*
 * What scripts wait for: frames, stillness, pictures. A request stays here until it holds or its
 * time is over; it is looked at again whenever the loop has done something. See remote_impl.h.
 */
#include "remote_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull
#define WITHIN_MS 10000
#define GOLDEN_STILL_NS (500 * MS) /* before a golden picture is made */

struct remote_waiter;
/* 1: it holds, and c->answer is filled. 0: not yet; *next may be made sooner. -1: failed. */
typedef int holds_fn(struct remote_waiter *w, struct remote_call *c, uint64_t now_ns,
		     uint64_t *next);

struct remote_waiter {
	struct remote_waiter *next;
	struct remote_client *client;
	json_t *request;
	holds_fn *holds;
	uint64_t since_ns, until_ns;
	uint64_t frames; /* of the desktop, at the last look */
	bool looked;
	char why[REMOTE_WHY_MAX]; /* at the last look */
	struct remote_picture golden;
};

static void free_waiter(struct remote_waiter *w)
{
	json_decref(w->request);
	free(w->golden.pixels);
	free(w);
}

void remote_wait_forget(struct desktop *d, const struct remote_client *client)
{
	struct remote *r = d->remote;
	struct remote_waiter **at = &r->waiters;

	while (*at) {
		struct remote_waiter *w = *at;

		if (client && w->client != client) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free_waiter(w);
	}
}

/* 1, as the op returns; or -1 with why. */
static int wait_for(struct remote_call *c, holds_fn *holds, struct remote_waiter **out)
{
	struct remote *r = c->desktop->remote;
	struct remote_waiter *w, **at = &r->waiters;
	int within = WITHIN_MS;

	if (remote_int_or(c, "within_ms", 0, 3600000, &within))
		return -1;
	w = calloc(1, sizeof(*w));
	if (!w)
		return remote_fail(c, "internal", "no memory");
	w->client = c->client;
	w->request = json_deep_copy(c->request);
	w->holds = holds;
	w->since_ns = desktop_now(c->desktop);
	w->until_ns = w->since_ns + (uint64_t)within * MS;
	w->frames = c->desktop->frames;
	while (*at)
		at = &(*at)->next;
	*at = w;
	if (out)
		*out = w;
	desktop_wake_at(c->desktop, w->since_ns);
	return 1;
}

uint64_t remote_wait_tick(struct desktop *d, uint64_t now_ns)
{
	struct remote *r = d->remote;
	struct remote_waiter **at = &r->waiters;
	uint64_t next = 0;

	while (*at) {
		struct remote_waiter *w = *at;
		struct remote_call c = {.desktop = d, .client = w->client, .request = w->request};
		uint64_t sooner = w->until_ns;
		int result;

		c.answer = json_object();
		result = w->holds(w, &c, now_ns, &sooner);
		if (!result && now_ns >= w->until_ns)
			result = remote_fail(&c, "timeout", "%s", *w->why ? w->why : "not in time");
		if (!result) {
			json_decref(c.answer);
			next = !next || sooner < next ? sooner : next;
			at = &w->next;
			continue;
		}
		*at = w->next;
		remote_answer(w->client, json_object_get(w->request, "id"), c.answer,
			      result < 0 ? c.code : NULL, c.why);
		free_waiter(w);
		at = &r->waiters; /* the list may have changed with its client */
	}
	/* The frame that this turn draws is looked at in the next. */
	if (r->waiters && hid_frame_due(d->hid, now_ns) <= now_ns)
		desktop_wake_at(d, now_ns + 1);
	return next;
}

/* Is all that happened before the request on the screen? */
static bool drawn(const struct remote_waiter *w, const struct desktop *d, uint64_t now_ns)
{
	return d->frames > w->frames || hid_frame_due(d->hid, now_ns) == UINT64_MAX;
}

/* ---- frames ------------------------------------------------------------------------------- */

static int frame_holds(struct remote_waiter *w, struct remote_call *c, uint64_t now_ns,
		       uint64_t *next)
{
	unsigned scanout = 0;
	struct dguest *g;
	int wanted = -1;
	uint32_t shown;
	hid_id id;

	snprintf(w->why, sizeof(w->why), "it has shown no such frame");
	if (remote_int_or(c, "sequence", 0, INT32_MAX, &wanted))
		return -1;
	if (remote_window_needed(c, &id)) {
		memcpy(w->why, c->why, sizeof(w->why));
		return 0;
	}
	g = guests_of_window(c->desktop, id, &scanout);
	if (!g)
		return drawn(w, c->desktop, now_ns);
	if (!g->screen || !screen_shown(g->screen, scanout, &shown) ||
	    (wanted >= 0 && (int32_t)(shown - (uint32_t)wanted) < 0))
		return 0;
	json_object_set_new(c->answer, "sequence", json_integer(shown));
	return drawn(w, c->desktop, now_ns);
}

static int op_wait_frame(struct remote_call *c)
{
	if (!remote_text(c, "guest") && !remote_text(c, "panel"))
		return remote_fail(c, "bad-request", "guest or panel is missing");
	return wait_for(c, frame_holds, NULL);
}

static int still_holds(struct remote_waiter *w, struct remote_call *c, uint64_t now_ns,
		       uint64_t *next)
{
	uint64_t since = c->desktop->presented_ns;
	int ms = 0;

	if (remote_int(c, "ms", 1, 600000, &ms))
		return -1;
	snprintf(w->why, sizeof(w->why), "something moves");
	since = since < w->since_ns ? w->since_ns : since;
	since += (uint64_t)ms * MS;
	if (hid_frame_due(c->desktop->hid, now_ns) != UINT64_MAX)
		return 0;
	if (now_ns >= since)
		return 1;
	*next = since < *next ? since : *next;
	return 0;
}

static int op_wait_still(struct remote_call *c)
{
	return wait_for(c, still_holds, NULL);
}

/* ---- pictures as they are ------------------------------------------------------------------- */

static int shot_holds(struct remote_waiter *w, struct remote_call *c, uint64_t now_ns,
		      uint64_t *next)
{
	const char *path = remote_text(c, "path");
	struct hid_rect part;
	int err;

	if (!drawn(w, c->desktop, now_ns))
		return 0;
	if (remote_part(c, &part))
		return -1;
	err = shot_write(c->desktop, path, &part);
	return err ? remote_fail(c, "invalid", "%.400s: %s", path, strerror(-err)) : 1;
}

static int op_screenshot(struct remote_call *c)
{
	const char *path = remote_text(c, "path");

	if (!path || *path != '/')
		return remote_fail(c, "bad-request", "path: an absolute path");
	return wait_for(c, shot_holds, NULL);
}

static int pixel_holds(struct remote_waiter *w, struct remote_call *c, uint64_t now_ns,
		       uint64_t *next)
{
	const struct canvas *screen;
	struct hid_rect part;
	char colour[16];
	int x, y;

	if (!drawn(w, c->desktop, now_ns))
		return 0;
	if (remote_int(c, "x", 0, 16383, &x) || remote_int(c, "y", 0, 16383, &y) ||
	    remote_part(c, &part))
		return -1;
	screen = desktop_screen(c->desktop);
	if (part.x < 0 || part.y < 0 || part.x >= screen->width || part.y >= screen->height)
		return remote_fail(c, "invalid", "not on the screen");
	snprintf(colour, sizeof(colour), "#%06x",
		 screen->pixels[(size_t)part.y * (size_t)screen->stride + (size_t)part.x] &
			 0xffffffu);
	json_object_set_new(c->answer, "colour", json_string(colour));
	return 1;
}

static int op_pixel(struct remote_call *c)
{
	return wait_for(c, pixel_holds, NULL);
}

/* ---- golden pictures ----------------------------------------------------------------------------
 */

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The pictures beside the failure; what it says of them. */
static void keep_failure(struct remote_waiter *w, struct remote_call *c,
			 const struct remote_picture *is)
{
	const char *folder = remote_text(c, "failures"), *base = base_of(remote_text(c, "path"));
	struct remote_picture difference;
	char path[512];
	size_t used = strlen(w->why);
	int tolerance = 0;

	if (!folder)
		return;
	remote_int_or(c, "tolerance", 0, 255, &tolerance);
	snprintf(path, sizeof(path), "%.300s/%.150s.actual.png", folder, base);
	if (remote_png_write(path, is))
		return;
	used += (size_t)snprintf(w->why + used, sizeof(w->why) - used, "; it is %.200s", path);
	if (is->width != w->golden.width || is->height != w->golden.height ||
	    remote_picture_difference(&w->golden, is, (unsigned)tolerance, &difference))
		return;
	snprintf(path, sizeof(path), "%.300s/%.150s.difference.png", folder, base);
	if (used < sizeof(w->why) && !remote_png_write(path, &difference))
		snprintf(w->why + used, sizeof(w->why) - used, ", the difference %.200s", path);
	free(difference.pixels);
}

/* 1: equal. 0 with w->why: not. */
static int compare(struct remote_waiter *w, struct remote_call *c, const struct remote_picture *is)
{
	int tolerance = 0;
	unsigned most;
	uint64_t differ;

	remote_int_or(c, "tolerance", 0, 255, &tolerance);
	if (is->width != w->golden.width || is->height != w->golden.height) {
		snprintf(w->why, sizeof(w->why), "the golden picture is %d x %d, this one %d x %d",
			 w->golden.width, w->golden.height, is->width, is->height);
		return 0;
	}
	differ = remote_picture_compare(&w->golden, is, (unsigned)tolerance, &most);
	snprintf(w->why, sizeof(w->why), "%llu of %llu pixels differ, by %u at most",
		 (unsigned long long)differ,
		 (unsigned long long)is->width * (unsigned long long)is->height, most);
	return differ == 0;
}

static int golden_holds(struct remote_waiter *w, struct remote_call *c, uint64_t now_ns,
			uint64_t *next)
{
	bool last = now_ns >= w->until_ns;
	struct remote_picture is;
	struct hid_rect part;
	int result;

	if (!drawn(w, c->desktop, now_ns) && !last)
		return 0;
	if (w->looked && w->frames == c->desktop->frames && !last)
		return 0;
	w->looked = true;
	w->frames = c->desktop->frames;
	if (remote_part(c, &part)) {
		snprintf(w->why, sizeof(w->why), "%s", c->why);
		return 0;
	}
	if (remote_picture_of(desktop_screen(c->desktop), &part, &is))
		return remote_fail(c, "internal", "no memory");
	result = compare(w, c, &is);
	if (!result && last)
		keep_failure(w, c, &is);
	free(is.pixels);
	return result;
}

/* The golden picture is made, when all is still or the time is over. */
static int made_holds(struct remote_waiter *w, struct remote_call *c, uint64_t now_ns,
		      uint64_t *next)
{
	uint64_t since = c->desktop->presented_ns;
	struct hid_rect part;
	int err;

	since = (since < w->since_ns ? w->since_ns : since) + GOLDEN_STILL_NS;
	if (now_ns < w->until_ns &&
	    (now_ns < since || hid_frame_due(c->desktop->hid, now_ns) != UINT64_MAX)) {
		*next = since < *next && since > now_ns ? since : *next;
		return 0;
	}
	if (remote_part(c, &part))
		return -1;
	err = shot_write(c->desktop, remote_text(c, "path"), &part);
	return err ? remote_fail(c, "invalid", "%.400s: %s", remote_text(c, "path"), strerror(-err))
		   : 1;
}

static int op_compare(struct remote_call *c)
{
	const char *path = remote_text(c, "path");
	bool make = json_is_true(json_object_get(c->request, "write"));
	struct remote_picture golden = {0};
	struct remote_waiter *w = NULL;
	int tolerance = 0, result;

	if (!path || *path != '/')
		return remote_fail(c, "bad-request", "path: an absolute path");
	if (remote_int_or(c, "tolerance", 0, 255, &tolerance))
		return -1;
	if (!make && remote_png_read(path, &golden, c->why)) {
		c->code = "not-found";
		return -1;
	}
	result = wait_for(c, make ? made_holds : golden_holds, &w);
	if (w)
		w->golden = golden;
	else
		free(golden.pixels);
	return result;
}

const struct remote_op remote_wait_ops[] = {
	{"wait-frame", op_wait_frame}, {"wait-still", op_wait_still}, {"screenshot", op_screenshot},
	{"pixel", op_pixel},           {"compare", op_compare},       {NULL, NULL},
};
