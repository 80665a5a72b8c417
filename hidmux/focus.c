/* Who has the keyboard. See hidmux.h. */
#include "hidmux_impl.h"

static void use(struct hid *h, hid_id id)
{
	struct hid_window *w = hid_find(h, id);

	if (w)
		w->used = ++h->uses;
}

void hid_set_focus(struct hid *h, hid_id to, bool asked, uint64_t now_ns)
{
	const struct hid_window *modal = hid_modal(h);
	hid_id from = h->focused;
	struct hid_rect strip = hid_strip(h);

	if (modal && to != modal->id) {
		use(h, to); /* it is next when the panel is gone */
		to = modal->id;
	}
	if (!h->cycle_count)
		use(h, to);
	h->held_until = asked ? 0 : now_ns + HID_HOLD_NS;
	if (from == to)
		return;
	h->focused = to;
	hid_damage_frame(h, from);
	hid_damage_frame(h, to);
	hid_damage_screen(h, &strip);
	hid_set_attention(h, to, false);
	h->ops->focus(h->opaque, from, to, asked);
}

/* Windows that never had it do not get it: they did not ask the person. */
void hid_focus_last(struct hid *h, bool asked, uint64_t now_ns)
{
	const struct hid_window *modal = hid_modal(h), *last = NULL;

	for (unsigned i = 0; i < h->count; i++) {
		const struct hid_window *w = h->stack[i];

		if (!w->minimized && w->used && (!last || w->used > last->used))
			last = w;
	}
	last = modal ? modal : last;
	hid_set_focus(h, last ? last->id : 0, asked, now_ns);
}

/* ---- one after the other --------------------------------------------------------------------- */

/* All that may have it: the last used first, then as they came. */
static void begin_cycle(struct hid *h)
{
	for (unsigned i = 0; i < h->count; i++) {
		const struct hid_window *w = h->stack[i];
		unsigned at = h->cycle_count;

		if (w->setup.passive)
			continue;
		for (h->cycle_count++; at; at--) {
			const struct hid_window *before = hid_find(h, h->cycle[at - 1]);

			if (before->used > w->used ||
			    (before->used == w->used && before->id < w->id))
				break;
			h->cycle[at] = before->id;
		}
		h->cycle[at] = w->id;
	}
	/* Nobody has the focus: the first of the list is the next. */
	h->cycle_at = h->focused || !h->cycle_count ? 0 : h->cycle_count - 1;
}

void hid_next(struct hid *h, bool forward, uint64_t now_ns)
{
	unsigned turns;

	if (hid_modal(h) || !h->count)
		return;
	if (!h->cycle_count)
		begin_cycle(h);
	turns = h->cycle_count;
	if (!turns)
		return;
	do {
		h->cycle_at = (h->cycle_at + (forward ? 1 : h->cycle_count - 1)) % h->cycle_count;
	} while (!h->cycle[h->cycle_at] && --turns);
	hid_focus(h, h->cycle[h->cycle_at], now_ns);
	if (!(hid_modifiers(h) & HID_MOD_SUPER))
		hid_cycle_end(h);
}

void hid_cycle_end(struct hid *h)
{
	if (!h->cycle_count)
		return;
	h->cycle_count = 0;
	use(h, h->focused);
}
