/*
 * The desktop as a client: who it is, what it is told, and displays of guests that
 * have no manifest; docs/control.md.
 */
#include "control_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- a guest's display --------------------------------------------------------------- */

const struct field ops_display_fields[] = {
	{"width", FIELD_U32, false, NULL},
	{"height", FIELD_U32, false, NULL},
	{"windows", FIELD_U32, false, NULL},
	{"memory", FIELD_U63, false, NULL},
	{"input", FIELD_STRINGS, false, NULL},
	{"sound", FIELD_STRINGS, false, NULL},
	{NULL},
};

static void take_number(const json_t *o, const char *field, uint32_t *number)
{
	const json_t *value = json_object_get(o, field);

	if (value)
		*number = (uint32_t)json_integer_value(value);
}

/* Words in place of those of `all`. */
static int take_words(const json_t *o, const char *field, uint32_t (*bit_of)(const char *word),
		      uint32_t all, uint32_t *inputs, char why[512])
{
	const json_t *list = json_object_get(o, field), *item;
	size_t i;

	if (list)
		*inputs &= ~all;
	json_array_foreach(list, i, item)
	{
		uint32_t bit = bit_of(json_string_value(item));

		if (!bit) {
			snprintf(why, 512, "display: %s: there is no \"%.40s\"", field,
				 json_string_value(item));
			return -EINVAL;
		}
		*inputs |= bit;
	}
	return 0;
}

int control_display(const struct machine *m, struct guest_display *d, char why[512])
{
	const uint32_t sounds = EXO_DPY_HAS_PLAYBACK | EXO_DPY_HAS_CAPTURE;
	const json_t *o = json_object_get(m->options, "display"), *memory;
	char wrong[GUEST_DISPLAY_WHY_MAX];
	int err;

	*d = m->manifest ? m->manifest->display : (struct guest_display){0};
	if (!o)
		return 0;
	if (!d->windows)
		guest_display_default(d);
	take_number(o, "width", &d->width);
	take_number(o, "height", &d->height);
	take_number(o, "windows", &d->windows);
	memory = json_object_get(o, "memory");
	if (memory)
		d->picture_bytes = (uint64_t)json_integer_value(memory);
	err = take_words(o, "input", guest_display_input, ~sounds, &d->inputs, why);
	if (!err)
		err = take_words(o, "sound", guest_display_sound, sounds, &d->inputs, why);
	if (!err && guest_display_check(d, wrong)) {
		snprintf(why, 512, "display: %s", wrong);
		err = -EINVAL;
	}
	return err;
}

void control_colour(const struct machine *m, char colour[8])
{
	snprintf(colour, 8, "#%06x", m->manifest ? m->manifest->colour & 0xffffff : 0);
}

/* ---- the desktop --------------------------------------------------------------------- */

void control_desktop_event(struct session *s, json_t *json, int fd)
{
	if (s->desktop)
		control_send(s->desktop, json, &fd, 1);
	else
		json_decref(json);
}

static void op_desktop(struct request *r)
{
	struct session *s = request_session(r);
	struct client *c = r->client;

	if (s->desktop && !s->desktop->gone)
		return request_fail(r, CONTROL_BUSY, "a desktop is there already");
	s->desktop = c;
	request_done(r);
	for (struct machine *m = s->machines; m && !c->gone; m = m->next)
		display_give(m);
}

const struct op ops_desktop[] = {
	{"desktop", NULL, op_desktop, false},
	{NULL},
};
