/* What has to be drawn again, and when. See hidmux.h. */
#include "hidmux_impl.h"

#include <string.h>

bool hid_clip(struct hid_rect *r, const struct hid_rect *to)
{
	int64_t x0 = r->x > to->x ? r->x : to->x, y0 = r->y > to->y ? r->y : to->y;
	int64_t x1 = (int64_t)r->x + r->width, y1 = (int64_t)r->y + r->height;
	int64_t tx = (int64_t)to->x + to->width, ty = (int64_t)to->y + to->height;

	x1 = x1 < tx ? x1 : tx;
	y1 = y1 < ty ? y1 : ty;
	if (x1 <= x0 || y1 <= y0) {
		*r = (struct hid_rect){0};
		return false;
	}
	*r = (struct hid_rect){(int)x0, (int)y0, (int)(x1 - x0), (int)(y1 - y0)};
	return true;
}

static int64_t area_of(const struct hid_rect *r)
{
	return (int64_t)r->width * r->height;
}

static bool touches(const struct hid_rect *a, const struct hid_rect *b)
{
	struct hid_rect r = *a;

	return hid_clip(&r, b);
}

static struct hid_rect around(const struct hid_rect *a, const struct hid_rect *b)
{
	int x0 = a->x < b->x ? a->x : b->x, y0 = a->y < b->y ? a->y : b->y;
	int ax = a->x + a->width, bx = b->x + b->width;
	int ay = a->y + a->height, by = b->y + b->height;

	return (struct hid_rect){x0, y0, (ax > bx ? ax : bx) - x0, (ay > by ? ay : by) - y0};
}

/* r without `hole`, which it touches: up to four parts; how many. */
static unsigned cut(const struct hid_rect *r, const struct hid_rect *hole, struct hid_rect out[4])
{
	struct hid_rect in = *r;
	unsigned n = 0;

	hid_clip(&in, hole);
	if (in.y > r->y)
		out[n++] = (struct hid_rect){r->x, r->y, r->width, in.y - r->y};
	if (in.y + in.height < r->y + r->height)
		out[n++] = (struct hid_rect){r->x, in.y + in.height, r->width,
					     r->y + r->height - in.y - in.height};
	if (in.x > r->x)
		out[n++] = (struct hid_rect){r->x, in.y, in.x - r->x, in.height};
	if (in.x + in.width < r->x + r->width)
		out[n++] = (struct hid_rect){in.x + in.width, in.y,
					     r->x + r->width - in.x - in.width, in.height};
	return n;
}

/* ---- the list ------------------------------------------------------------------------------ */

static void drop(struct hid *h, unsigned i)
{
	h->damage[i] = h->damage[--h->damage_count];
}

static unsigned touching(const struct hid *h, const struct hid_rect *r)
{
	unsigned i = 0;

	while (i < h->damage_count && !touches(&h->damage[i], r))
		i++;
	return i;
}

/* Which one would grow least if r joined it. */
static unsigned nearest(const struct hid *h, const struct hid_rect *r)
{
	int64_t least = INT64_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i < h->damage_count; i++) {
		struct hid_rect both = around(&h->damage[i], r);
		int64_t more = area_of(&both) - area_of(&h->damage[i]);

		if (more < least) {
			least = more;
			best = i;
		}
	}
	return best;
}

/* Joining costs little: at most an eighth more than both are. */
static bool worth(const struct hid_rect *a, const struct hid_rect *b)
{
	struct hid_rect both = around(a, b), common = *a;
	int64_t sum = area_of(a) + area_of(b);

	if (hid_clip(&common, b))
		sum -= area_of(&common);
	return area_of(&both) <= sum + sum / 8;
}

/*
 * What the list has in common with r is cut out of r or joined with it, so that no two overlap.
 * Once the list is full there is only joining, which ends: each makes it one less.
 */
void hid_add_damage(struct hid *h, struct hid_rect r)
{
	const struct hid_rect screen = {0, 0, h->config.width, h->config.height};
	struct hid_rect todo[HID_PIECES], e;
	unsigned n = 0, i;
	bool join = false;

	if (hid_clip(&r, &screen))
		todo[n++] = r;
	while (n) {
		r = todo[--n];
		i = touching(h, &r);
		if (i == h->damage_count && i < HID_RECTS_MAX) {
			h->damage[h->damage_count++] = r;
			continue;
		}
		if (i == h->damage_count) {
			join = true;
			i = nearest(h, &r);
		}
		e = h->damage[i];
		if (join || worth(&r, &e) || n + 4 > HID_PIECES) {
			drop(h, i);
			todo[n++] = around(&r, &e);
		} else {
			n += cut(&r, &e, todo + n);
		}
	}
}

/* ---- what is seen ---------------------------------------------------------------------------- */

/*
 * The parts of r that no window above w covers, in out; how many. There may be
 * said to be more to see than there is (too many parts), never less.
 */
static unsigned seen_parts(const struct hid *h, const struct hid_window *w, struct hid_rect r,
			   struct hid_rect out[HID_PIECES])
{
	const struct hid_rect below_strip = hid_work_area(h);
	unsigned n = 0, at = h->count;

	if (!hid_clip(&r, &below_strip))
		return 0;
	out[n++] = r;
	while (at && h->stack[at - 1] != w)
		at--;
	for (; at < h->count && n; at++) {
		const struct hid_rect *cover = &h->stack[at]->frame;
		struct hid_rect next[HID_PIECES];
		unsigned m = 0, i;

		if (!h->stack[at]->shown || !touches(&r, cover))
			continue;
		for (i = 0; i < n && m + 4 + (n - i) <= HID_PIECES; i++) {
			if (touches(&out[i], cover))
				m += cut(&out[i], cover, next + m);
			else
				next[m++] = out[i];
		}
		for (; i < n; i++)
			next[m++] = out[i];
		memcpy(out, next, m * sizeof(next[0]));
		n = m;
	}
	return n;
}

void hid_damage_seen(struct hid *h, const struct hid_window *w, const struct hid_rect *r)
{
	struct hid_rect part[HID_PIECES];
	unsigned n = seen_parts(h, w, *r, part);

	for (unsigned i = 0; i < n; i++)
		hid_add_damage(h, part[i]);
}

bool hid_seen(const struct hid *h, const struct hid_window *w, const struct hid_rect *r)
{
	struct hid_rect part[HID_PIECES];

	return seen_parts(h, w, *r, part) > 0;
}

void hid_damage(struct hid *h, hid_id id, const struct hid_rect *rect)
{
	const struct hid_window *w = hid_find(h, id);
	const struct hid_rect size = {0, 0, w ? w->content.width : 0, w ? w->content.height : 0};
	struct hid_rect r = *rect;

	if (!w || !w->shown || !hid_clip(&r, &size))
		return;
	r.x += w->content.x;
	r.y += w->content.y;
	hid_damage_seen(h, w, &r);
}

void hid_damage_frame(struct hid *h, hid_id id)
{
	const struct hid_window *w = hid_find(h, id);
	struct hid_rect part[4];
	unsigned n;

	if (!w || !w->shown || !hid_framed(w))
		return;
	n = cut(&w->frame, &w->content, part);
	for (unsigned i = 0; i < n; i++)
		hid_damage_seen(h, w, &part[i]);
}

void hid_damage_screen(struct hid *h, const struct hid_rect *rect)
{
	const struct hid_rect all = {0, 0, h->config.width, h->config.height};

	hid_add_damage(h, rect ? *rect : all);
}

/* ---- frames ------------------------------------------------------------------------------------
 */

uint64_t hid_frame_due(const struct hid *h, uint64_t now_ns)
{
	uint64_t next = h->frame_ns + HID_FRAME_NS;

	if (!h->damage_count)
		return UINT64_MAX;
	return h->framed && next > now_ns && h->frame_ns <= now_ns ? next : now_ns;
}

unsigned hid_frame_begin(struct hid *h, struct hid_rect rects[HID_RECTS_MAX], uint64_t now_ns)
{
	unsigned n = h->damage_count;

	memcpy(rects, h->damage, n * sizeof(rects[0]));
	h->damage_count = 0;
	h->frame_ns = now_ns;
	h->framed = true;
	return n;
}
