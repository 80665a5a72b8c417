/*
 * The service "desktop": what a guest and the desktop say to each other beyond
 * pictures and input. A seqpacket channel, opened by the guest; a message is one
 * struct below, its text or data behind it. The desktop knows by the connection
 * whose windows are meant, so nothing here names a guest.
 *
 * A guest can ask for nothing that the person does not answer: it never reads the
 * clipboard or a file by itself, and never takes the focus.
 *
 * Both sides decode strictly: a wrong size, an unknown type, text that is not
 * UTF-8 ends the connection. Little-endian; texts are not terminated.
 */
#ifndef EXO_DESKTOP_H
#define EXO_DESKTOP_H

#include <stdint.h>

#define EXO_DESK_SERVICE "desktop"
#define EXO_DESK_MSG_MAX 32768        /* bytes in one message */
#define EXO_DESK_TEXT_MAX 256         /* of titles, file names, filters */
#define EXO_DESK_DATA_MAX 30720       /* of one piece of clipboard data */
#define EXO_DESK_CLIP_TEXT (1u << 20) /* bytes: largest text… */
#define EXO_DESK_CLIP_PNG (16u << 20) /* …and image that is taken */

enum exo_desk_type {
	/* guest → desktop */
	EXO_DESK_TITLE = 1, /* scanout; text: what the window says of itself */
	EXO_DESK_ATTENTION, /* scanout: marks the window in the list, nothing more */
	EXO_DESK_CHOOSE,    /* id, rights, flags; text: proposed name; answered by CHOSEN */
	EXO_DESK_COPIED,    /* id of COPY, format, total, offset; data: the answer, in pieces */

	/* desktop → guest */
	EXO_DESK_SETTINGS = 64, /* scale, flags; text: keyboard layout. First, and when changed */
	EXO_DESK_FOCUS,         /* scanout; flags: 1: it has the keyboard now, 0: no more */
	EXO_DESK_CHOSEN,        /* id, status, port, rights; text: the file's name */
	EXO_DESK_DROPPED,       /* scanout, port, rights; text: the same for a file dropped on it */
	EXO_DESK_COPY,  /* id, scanout: the person copies; answer within 2 s or not at all */
	EXO_DESK_PASTE, /* scanout, format, total, offset; data: the person pastes */
};

#define EXO_DESK_DARK 1u /* SETTINGS: the person likes dark windows */

#define EXO_DESK_READ 1u  /* rights of a file */
#define EXO_DESK_WRITE 2u /* with READ: the file is made if there is none, with flag SAVE */
#define EXO_DESK_SAVE 1u  /* CHOOSE: a name to save under, else one that is there */

#define EXO_DESK_NONE 0u /* COPIED: nothing selected */
#define EXO_DESK_TEXT 1u /* UTF-8 */
#define EXO_DESK_PNG 2u

/* Fields that a type does not list are 0. */
struct exo_desk_msg {
	uint32_t type;  /* enum exo_desk_type */
	uint32_t bytes; /* of text or data behind this header */
	uint32_t id;
	uint32_t scanout;
	uint32_t flags;
	uint32_t rights;
	int32_t status; /* CHOSEN: 0, or -errno: -ECANCELED, the person said no */
	/*
	 * CHOSEN, DROPPED: a port of CID 2 that leads to a 9P2000.L server of a folder with just
	 * this file in it. The grant ends with the guest, or when the person revokes it.
	 */
	uint32_t port;
	uint32_t format; /* EXO_DESK_TEXT, EXO_DESK_PNG */
	uint32_t total;  /* bytes of all pieces */
	uint32_t offset; /* of this piece; pieces come in order */
	uint32_t scale;  /* 120ths */
};

_Static_assert(sizeof(struct exo_desk_msg) == 48, "wire size");
_Static_assert(sizeof(struct exo_desk_msg) + EXO_DESK_DATA_MAX <= EXO_DESK_MSG_MAX, "fits");

#endif
