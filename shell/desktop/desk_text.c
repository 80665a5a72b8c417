/*
 * Text: what a guest says on the service "desktop", before anybody believes it (see
 * services_impl.h), and the one line that a person types in a panel.
 */
#include "services_impl.h"

#include <linux/input-event-codes.h>
#include <errno.h>
#include <string.h>

/* ---- UTF-8 (Unicode 15, 3.9, table 3-7) ------------------------------------------------- */

/* The code point at text, and its bytes; 0: not well-formed. */
static size_t decode(const unsigned char *t, size_t left, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = t[0] < 0x80             ? 1
		   : (t[0] & 0xe0) == 0xc0 ? 2
		   : (t[0] & 0xf0) == 0xe0 ? 3
		   : (t[0] & 0xf8) == 0xf0 ? 4
					   : 0;

	if (!n || n > left)
		return 0;
	*c = n == 1 ? t[0] : t[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((t[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (t[i] & 0x3fu);
	}
	if (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return 0;
	return n;
}

bool desk_text_valid(const char *text, size_t bytes)
{
	const unsigned char *t = (const unsigned char *)text;
	uint32_t c;

	while (bytes) {
		size_t n = decode(t, bytes, &c);

		if (!n || !c)
			return false;
		t += n;
		bytes -= n;
	}
	return true;
}

/* Controls, directions, joiners, tags, private use, specials: what is not seen, or deceives. */
static bool is_shown(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} hidden[] = {
		{0x0000, 0x001f}, {0x007f, 0x009f}, {0x00ad, 0x00ad},    {0x034f, 0x034f},
		{0x061c, 0x061c}, {0x115f, 0x1160}, {0x17b4, 0x17b5},    {0x180b, 0x180f},
		{0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},    {0x3164, 0x3164},
		{0xe000, 0xf8ff}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},    {0xffa0, 0xffa0},
		{0xfff0, 0xfffc}, {0xfffe, 0xffff}, {0xe0000, 0x10ffff},
	};

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if (c >= hidden[i].first && c <= hidden[i].last)
			return false;
	}
	return true;
}

void desk_text_clean(char *out, size_t cap, const char *text, size_t bytes)
{
	const unsigned char *t = (const unsigned char *)text;
	size_t used = 0, n;
	uint32_t c;

	for (; bytes; t += n, bytes -= n) {
		n = decode(t, bytes, &c);
		if (!n) {
			n = 1;
			continue;
		}
		if (!is_shown(c))
			continue;
		if (used + n >= cap)
			break;
		memcpy(out + used, t, n);
		used += n;
	}
	out[used] = '\0';
}

void desk_text_name(char *out, size_t cap, const char *text, size_t bytes)
{
	char *to = out;

	desk_text_clean(out, cap, text, bytes);
	for (const char *from = out; *from; from++) {
		if (*from != '/' && (*from != '.' || to != out))
			*to++ = *from;
	}
	*to = '\0';
}

/* ---- messages ------------------------------------------------------------------------------- */

#define FIELD(name) (1u << (__builtin_offsetof(struct exo_desk_msg, name) / 4))

/* Fields that a type has; the others are 0. 0: not a guest's type. */
static uint32_t fields_of(uint32_t type)
{
	switch (type) {
	case EXO_DESK_TITLE:
		return FIELD(scanout) | FIELD(bytes);
	case EXO_DESK_ATTENTION:
		return FIELD(scanout);
	case EXO_DESK_CHOOSE:
		return FIELD(id) | FIELD(rights) | FIELD(flags) | FIELD(bytes);
	case EXO_DESK_COPIED:
		return FIELD(id) | FIELD(format) | FIELD(total) | FIELD(offset) | FIELD(bytes);
	default:
		return 0;
	}
}

static bool good_text(const struct exo_desk_msg *m, const char *data)
{
	return m->bytes <= EXO_DESK_TEXT_MAX && desk_text_valid(data, m->bytes);
}

static bool good_piece(const struct exo_desk_msg *m)
{
	uint32_t most = m->format == EXO_DESK_TEXT  ? EXO_DESK_CLIP_TEXT
			: m->format == EXO_DESK_PNG ? EXO_DESK_CLIP_PNG
						    : 0;

	return m->format <= EXO_DESK_PNG && m->total <= most && m->bytes <= EXO_DESK_DATA_MAX &&
	       m->offset <= m->total && m->bytes <= m->total - m->offset && (m->bytes || !m->total);
}

int desk_decode(const void *message, size_t size, struct exo_desk_msg *m, const char **data)
{
	uint32_t fields, word;

	if (size < sizeof(*m))
		return -EPROTO;
	memcpy(m, message, sizeof(*m));
	*data = (const char *)message + sizeof(*m);
	if (m->bytes != size - sizeof(*m))
		return -EPROTO;
	fields = fields_of(m->type) | FIELD(type);
	for (size_t i = 0; i < sizeof(*m) / 4; i++) {
		memcpy(&word, (const char *)m + 4 * i, 4);
		if (word && !(fields & 1u << i))
			return -EPROTO;
	}
	if (m->scanout >= EXO_DPY_SCANOUTS_MAX)
		return -EPROTO;
	switch (m->type) {
	case EXO_DESK_TITLE:
		return good_text(m, *data) ? 0 : -EPROTO;
	case EXO_DESK_ATTENTION:
		return 0;
	case EXO_DESK_CHOOSE:
		if (m->flags > EXO_DESK_SAVE ||
		    (m->rights != EXO_DESK_READ && m->rights != (EXO_DESK_READ | EXO_DESK_WRITE)) ||
		    (m->flags == EXO_DESK_SAVE && !(m->rights & EXO_DESK_WRITE)))
			return -EPROTO;
		return good_text(m, *data) ? 0 : -EPROTO;
	case EXO_DESK_COPIED:
		return good_piece(m) ? 0 : -EPROTO;
	default:
		return -EPROTO;
	}
}

/* PNG (third edition), 5.2 and 11.2.1. */
bool desk_is_png(const void *data, size_t bytes)
{
	static const unsigned char begin[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
					      0,    0,   0,   13,  'I',  'H',  'D',  'R'};
	const unsigned char *at = data;
	uint32_t width, height;

	if (bytes < 33 || memcmp(data, begin, sizeof(begin)) != 0)
		return false;
	width = (uint32_t)at[16] << 24 | (uint32_t)at[17] << 16 | (uint32_t)at[18] << 8 | at[19];
	height = (uint32_t)at[20] << 24 | (uint32_t)at[21] << 16 | (uint32_t)at[22] << 8 | at[23];
	return width && height && width <= EXO_DPY_SIZE_MAX && height <= EXO_DPY_SIZE_MAX;
}

/* ---- a line that is typed in a panel ------------------------------------------------------ */

bool panel_edit(char *text, size_t size, const struct panel_event_key *e)
{
	size_t n = strlen(text);

	if (e->code == KEY_BACKSPACE) {
		while (n && (text[n - 1] & 0xc0) == 0x80)
			n--;
		if (n)
			text[n - 1] = '\0';
		return true;
	}
	if ((unsigned char)e->text[0] < ' ' || n + strlen(e->text) >= size)
		return false;
	strcat(text, e->text);
	return true;
}
