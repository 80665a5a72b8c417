/* What the person hands over: clipboard data in pieces, files as mounts (exo/desktop.h). */
#include "window_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_FOLDER "/exo/files"

/* Well-formed (RFC 3629), without control characters. */
bool gui_utf8(const char *text, size_t bytes)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + bytes;

	while (p < end) {
		unsigned more = *p < 0x80 ? 0 : *p >> 5 == 6 ? 1 : *p >> 4 == 14 ? 2 : 3;
		uint32_t c = *p;

		if ((more == 0 && (c < 0x20 || c == 0x7f)) || (more == 3 && *p >> 3 != 30) ||
		    (size_t)(end - p) <= more)
			return false;
		c &= more ? 0x3fu >> more : 0x7f;
		for (unsigned i = 1; i <= more; i++) {
			if (p[i] >> 6 != 2)
				return false;
			c = c << 6 | (p[i] & 0x3f);
		}
		if ((more == 1 && c < 0x80) || (more == 2 && c < 0x800) ||
		    (more == 3 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
		p += more + 1;
	}
	return true;
}

/* ---- clipboard ----------------------------------------------------------------------------- */

static size_t clip_max(uint32_t format)
{
	return format == EXO_DESK_TEXT  ? EXO_DESK_CLIP_TEXT
	       : format == EXO_DESK_PNG ? EXO_DESK_CLIP_PNG
					: 0;
}

void gui_clip_reset(void)
{
	free(gui.paste.data);
	memset(&gui.paste, 0, sizeof(gui.paste));
}

static void pasted(void)
{
	struct exo_event e = {
		.type = EXO_EVENT_PASTE, .scanout = gui.paste.scanout, .time_ns = gui_now()};

	e.paste.format = gui.paste.format;
	e.paste.data = gui.paste.data;
	e.paste.bytes = gui.paste.total;
	if (gui.window[e.scanout] && gui.paste.data) {
		gui.paste.data = NULL; /* the event's */
		gui_push(&e);
	}
	gui_clip_reset();
}

bool gui_take_paste(const struct exo_desk_msg *h, const uint8_t *data)
{
	if (!h->total || h->total > clip_max(h->format) || !h->bytes ||
	    h->bytes > EXO_DESK_DATA_MAX)
		return false;
	if (h->offset == 0) { /* an unfinished one before it will not come any more */
		gui_clip_reset();
		gui.paste.format = h->format;
		gui.paste.total = h->total;
		gui.paste.scanout = h->scanout;
		gui.paste.data = calloc(1, h->total + 1); /* NULL: it is lost */
	}
	if (h->offset != gui.paste.got || h->total != gui.paste.total ||
	    h->format != gui.paste.format || h->scanout != gui.paste.scanout ||
	    h->bytes > h->total - h->offset)
		return false;
	if (gui.paste.data)
		memcpy(gui.paste.data + h->offset, data, h->bytes);
	gui.paste.got += h->bytes;
	if (gui.paste.got == gui.paste.total)
		pasted();
	return true;
}

int exo_window_copy(struct exo_window *w, uint32_t id, uint32_t format, const void *data,
		    size_t bytes)
{
	struct exo_desk_msg h = {.type = EXO_DESK_COPIED,
				 .id = id,
				 .format = bytes ? format : EXO_DESK_NONE,
				 .total = (uint32_t)bytes};
	const uint8_t *p = data;

	if (bytes > clip_max(format) || (bytes && !data)) {
		errno = EINVAL;
		return -1;
	}
	do {
		size_t n = bytes - h.offset;

		n = n < EXO_DESK_DATA_MAX ? n : EXO_DESK_DATA_MAX;
		if (gui_desk_send(&h, n ? p + h.offset : NULL, n))
			return -1;
		h.offset += (uint32_t)n;
	} while (h.offset < bytes);
	return 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

static bool valid_name(const char *name, size_t bytes)
{
	return bytes && !memchr(name, '/', bytes) && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/* Where the file is from now on, for ever; NULL with errno. */
static char *mount_file(uint32_t port, uint32_t rights, const char *name)
{
	size_t room = sizeof(FILE_FOLDER) + 12 + strlen(name) + 2;
	char *path = malloc(room);
	int err = 0, end;

	if (!path)
		return NULL;
	end = snprintf(path, room, FILE_FOLDER "/%u", ++gui.files);
	if (syscall(EXO_SYS_MOUNT, path, port, rights & EXO_DESK_WRITE ? 0 : EXO_MOUNT_READ_ONLY)) {
		err = errno;
		free(path);
		errno = err;
		return NULL;
	}
	snprintf(path + end, room - (size_t)end, "/%s", name);
	return path;
}

bool gui_take_file(const struct exo_desk_msg *h, const char *name)
{
	bool chosen = h->type == EXO_DESK_CHOSEN;
	struct exo_event e = {.type = chosen ? EXO_EVENT_CHOSEN : EXO_EVENT_DROPPED,
			      .scanout = h->scanout,
			      .time_ns = gui_now()};
	char *path;

	if (h->status > 0 || h->rights & ~(EXO_DESK_READ | EXO_DESK_WRITE) ||
	    (!chosen && h->status) || (h->status == 0 && (!valid_name(name, h->bytes) || !h->port)))
		return false;
	e.file.id = h->id;
	e.file.error = -h->status;
	if (h->status == 0) {
		path = mount_file(h->port, h->rights, name);
		if (!path) {
			e.file.error = errno;
		} else {
			e.file.path = path;
			e.file.name = strrchr(path, '/') + 1;
			e.file.rights = h->rights;
		}
	}
	if (gui.window[h->scanout])
		gui_push(&e);
	return true;
}

int exo_window_choose(struct exo_window *w, uint32_t rights, bool save, const char *name)
{
	struct exo_desk_msg h = {.type = EXO_DESK_CHOOSE,
				 .id = gui.last_id + 1,
				 .flags = save ? EXO_DESK_SAVE : 0,
				 .rights = rights};
	size_t len = name ? strlen(name) : 0;

	if (!(rights & EXO_DESK_READ) || rights & ~(EXO_DESK_READ | EXO_DESK_WRITE) ||
	    (save && !(rights & EXO_DESK_WRITE)) || len > EXO_DESK_TEXT_MAX ||
	    !gui_utf8(name, len)) {
		errno = EINVAL;
		return -1;
	}
	if (gui_desk_send(&h, name, len))
		return -1;
	gui.last_id = h.id & 0x7fffffff;
	return (int)gui.last_id;
}
