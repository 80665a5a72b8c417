/*
 * The clipboard: the person copies out of one guest with the shell's own key and pastes into
 * another. Explicit (no guest can read or fill it by itself), typed, one-shot: wiped when it
 * is pasted, after 60 s, and when something else is copied. Pictures are never decoded here.
 */
#include "services_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_NS 2000000000ull
#define KEPT_NS 60000000000ull
#define RED 0xd03030

struct clip {
	/* What is there to be pasted. */
	char *data; /* or NULL */
	uint32_t format, bytes, colour;
	char from[64];
	uint64_t until_ns;
	char words[160];

	/* Who was asked, and what has come of it. */
	struct dguest *asked; /* or NULL */
	uint32_t id;
	uint64_t ask_until_ns;
	char *coming; /* total bytes; or NULL: nothing yet */
	uint32_t total, have, coming_format;
};

static const char *format_words(uint32_t format)
{
	return format == EXO_DESK_PNG ? "picture" : "text";
}

static void wipe(struct clip *c)
{
	if (c->data)
		explicit_bzero(c->data, c->bytes);
	free(c->data);
	c->data = NULL;
	c->format = EXO_DESK_NONE;
	c->bytes = 0;
	c->until_ns = 0;
}

static void drop_coming(struct clip *c)
{
	if (c->coming)
		explicit_bzero(c->coming, c->total);
	free(c->coming);
	c->coming = NULL;
	c->asked = NULL;
	c->ask_until_ns = 0;
}

const char *clip_words(const struct desktop *d)
{
	const struct clip *c = d->clip;

	return c && c->data ? c->words : NULL;
}

void clip_state(const struct desktop *d, struct clip_state *s)
{
	const struct clip *c = d->clip;

	*s = (struct clip_state){.format = c->format, .bytes = c->bytes};
	if (c->data)
		memcpy(s->from, c->from, sizeof(s->from));
}

/* ---- copying ------------------------------------------------------------------------------ */

void clip_copy(struct desktop *d, struct dguest *g, unsigned scanout)
{
	struct clip *c = d->clip;
	struct exo_desk_msg m = {.type = EXO_DESK_COPY, .scanout = scanout};

	drop_coming(c);
	m.id = ++c->id;
	if (!service_send(g, &m, NULL)) {
		notice(d, g->colour, "%s has nothing to copy: it does not speak with the desktop",
		       g->name);
		return;
	}
	c->asked = g;
	c->ask_until_ns = desktop_now(d) + ANSWER_NS;
	desktop_wake_at(d, c->ask_until_ns);
}

static void keep(struct desktop *d, struct dguest *g)
{
	struct clip *c = d->clip;
	char size[24];
	bool good = c->coming_format == EXO_DESK_PNG ? desk_is_png(c->coming, c->total)
						     : desk_text_valid(c->coming, c->total);

	if (!good) {
		notice(d, RED, "%s copied what is no %s", g->name, format_words(c->coming_format));
		drop_coming(c);
		return;
	}
	wipe(c);
	c->data = c->coming;
	c->bytes = c->total;
	c->format = c->coming_format;
	c->colour = g->colour;
	c->until_ns = desktop_now(d) + KEPT_NS;
	snprintf(c->from, sizeof(c->from), "%s", g->name);
	c->coming = NULL;
	drop_coming(c);
	paint_size_words(c->bytes, size);
	snprintf(c->words, sizeof(c->words), "%s, %s, of %s", format_words(c->format), size,
		 c->from);
	desktop_wake_at(d, c->until_ns);
	notice(d, c->colour, "copied: %s", c->words);
}

/* What comes late is of a copy that nobody waits for any more. */
bool clip_copied(struct dguest *g, const struct exo_desk_msg *m, const char *data)
{
	struct desktop *d = g->desktop;
	struct clip *c = d->clip;

	if (c->asked != g || m->id != c->id)
		return true;
	if (m->format == EXO_DESK_NONE || !m->total) {
		drop_coming(c);
		notice(d, g->colour, "%s has nothing selected", g->name);
		return true;
	}
	if (!c->coming) {
		c->coming = malloc(m->total);
		c->total = m->total;
		c->have = 0;
		c->coming_format = m->format;
		if (!c->coming) {
			drop_coming(c);
			return true;
		}
	}
	if (m->total != c->total || m->format != c->coming_format || m->offset != c->have) {
		drop_coming(c);
		return false;
	}
	memcpy(c->coming + c->have, data, m->bytes);
	c->have += m->bytes;
	if (c->have == c->total)
		keep(d, g);
	return true;
}

/* ---- pasting ------------------------------------------------------------------------------- */

void clip_paste(struct desktop *d, struct dguest *g, unsigned scanout)
{
	struct clip *c = d->clip;
	char *data = c->data;

	if (!data) {
		notice(d, g->colour, "there is nothing to paste");
		return;
	}
	if (!g->service) {
		notice(d, g->colour, "%s takes no pasting: it does not speak with the desktop",
		       g->name);
		return;
	}
	notice(d, g->colour, "pasted into %s: %s", g->name, c->words);
	c->data = NULL; /* the service's now, which wipes it */
	service_paste(g, scanout, c->format, data, c->bytes);
	wipe(c);
}

/* ---- life ------------------------------------------------------------------------------------ */

void clip_guest_gone(struct dguest *g)
{
	struct clip *c = g->desktop->clip;

	if (c && c->asked == g)
		drop_coming(c);
}

uint64_t clip_tick(struct desktop *d, uint64_t now_ns)
{
	struct clip *c = d->clip;
	uint64_t next;

	if (c->asked && now_ns >= c->ask_until_ns) {
		notice(d, c->asked->colour, "%s did not answer: nothing was copied",
		       c->asked->name);
		drop_coming(c);
	}
	if (c->data && now_ns >= c->until_ns) {
		wipe(c);
		notice(d, d->theme.accent, "the clipboard was wiped: nobody pasted for a minute");
	}
	next = c->asked ? c->ask_until_ns : 0;
	return c->data && (!next || c->until_ns < next) ? c->until_ns : next;
}

int clip_open(struct desktop *d)
{
	d->clip = calloc(1, sizeof(struct clip));
	return d->clip ? 0 : -ENOMEM;
}

void clip_close(struct desktop *d)
{
	struct clip *c = d->clip;

	if (!c)
		return;
	wipe(c);
	drop_coming(c);
	free(c);
	d->clip = NULL;
}
