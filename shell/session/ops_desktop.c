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

/* ---- files --------------------------------------------------------------------------- */

static void refuse_file(struct request *r, int err)
{
	const char *path = request_string(r, "path");
	enum control_error code = err == -ENOENT   ? CONTROL_NOT_FOUND
				  : err == -ENOSPC ? CONTROL_LIMIT
				  : err == -ENOMEM ? CONTROL_INTERNAL
				  : err == -EMFILE ? CONTROL_INTERNAL
						   : CONTROL_INVALID;

	request_fail(r, code, "%s: %s", path,
		     err == -EINVAL ? "not a regular file" : strerror(-err));
}

static void op_offer_file(struct request *r)
{
	const char *path = request_string(r, "path"), *rights = request_string(r, "rights");
	bool writable = rights && !strcmp(rights, "rw"), create = request_bool(r, "create");
	uint32_t grant, port;
	struct machine *m;
	int err;

	if (request_session(r)->desktop != r->client)
		return request_fail(r, CONTROL_REFUSED, "offer-file: only the desktop may");
	if (rights && !writable && strcmp(rights, "r") != 0)
		return request_fail(r, CONTROL_BAD_REQUEST, "rights: must be \"r\" or \"rw\"");
	if (create && !writable)
		return request_fail(r, CONTROL_BAD_REQUEST, "create: needs the rights \"rw\"");
	m = request_machine(r);
	if (!m)
		return;
	if (!machine_runs(m) || !m->subject)
		return request_fail(r, CONTROL_ENDED, "%s does not run", m->name);
	err = mounts_offer(m, path, writable, create, &grant, &port);
	if (err)
		return refuse_file(r, err);
	request_ok(r, json_pack("{s:I, s:I, s:s}", "port", (json_int_t)port, "grant",
				(json_int_t)grant, "name", strrchr(path, '/') + 1));
}

/* ---- table --------------------------------------------------------------------------- */

static const struct field offer_fields[] = {{"guest", FIELD_NAME, true, NULL},
					    {"path", FIELD_PATH, true, NULL},
					    {"rights", FIELD_STRING, false, NULL},
					    {"create", FIELD_BOOL, false, NULL},
					    {NULL}};

const struct op ops_desktop[] = {
	{"desktop", NULL, op_desktop, false},
	{"offer-file", offer_fields, op_offer_file, false},
	{NULL},
};
