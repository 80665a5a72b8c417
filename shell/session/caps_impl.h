/* Inside caps*.c, for nobody else. */
#ifndef CAPS_IMPL_H
#define CAPS_IMPL_H

#include "session.h"

#define CAPS_CONVERSATIONS_MAX 4u /* of one guest */
#define CAPS_UNANSWERED_MAX 16u

/* A connection of a guest's to port 1. */
struct conversation {
	struct conversation *next;
	struct machine *m;
	int fd;
	unsigned nout; /* answers that the socket did not take yet */
	unsigned nwaiting;
	struct exo_cap_msg out[CAPS_UNANSWERED_MAX + 1];
	struct exo_cap_msg waiting[CAPS_UNANSWERED_MAX]; /* requests to be answered later */
};

/* ---- caps_ops.c ------------------------------------------------------------------- */

/* Only such fields as the op has are set, and names are terminated. */
bool caps_is_sound(const struct exo_cap_msg *msg);
/*
 * Carries out a request: the answer is in *msg but for op, id and status, which is
 * returned: 0 or -errno; -EINPROGRESS: it has to wait, and is tried again, or answered by
 * caps_answer.
 */
int caps_obey(struct conversation *c, struct exo_cap_msg *msg);

#endif
