/*
 * desktop.sock: scripts that do what a person does (docs/desktop.md). In the session's directory,
 * so whoever can connect is the person. JSON lines as those of docs/control.md: one
 * request, one answer.
 *
 *	remote.c        clients, lines, answers, the child that runs a scenario
 *	remote_ops.c    what can be asked
 *	remote_input.c  keys, text, pointer
 *	remote_wait.c   what is answered later: frames, stillness, pictures
 *	remote_png.c    golden pictures
 */
#ifndef REMOTE_IMPL_H
#define REMOTE_IMPL_H

#include "desktop.h"

#include <sys/types.h>

#define REMOTE_WHY_MAX 600
#define REMOTE_LINE_MAX 65536u
#define REMOTE_OUT_MAX (1u << 20) /* a client that does not read is hung up on */
#define REMOTE_CLIENTS_MAX 8

struct remote_client;
struct remote_waiter;

struct remote {
	int fd;
	char path[108];
	struct remote_client *clients;
	unsigned nclients;
	struct remote_waiter *waiters; /* of remote_wait.c */
	pid_t child;                   /* exo script, 0: none */
	int child_fd;
};

struct remote_client {
	struct remote_client *next;
	struct desktop *desktop;
	int fd;
	bool gone; /* freed when nobody is in it */
	char *in, *out;
	size_t in_bytes, out_bytes;
};

/* One request that is being carried out. */
struct remote_call {
	struct desktop *desktop;
	struct remote_client *client;
	const json_t *request;
	json_t *answer;   /* the op adds its fields; ok and id are added later */
	const char *code; /* of the error, when the op fails; NULL: bad-request */
	char why[REMOTE_WHY_MAX];
};

/* 0: done. -1: failed with why. 1: answered later, by remote_wait.c. */
typedef int remote_op_fn(struct remote_call *c);

struct remote_op {
	const char *name;
	remote_op_fn *run;
};

extern const struct remote_op remote_ops[], remote_input_ops[], remote_wait_ops[];

/* Formats why; returns -1. */
int remote_fail(struct remote_call *c, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Sends an answer, which is taken over; id: the request's. */
void remote_answer(struct remote_client *client, const json_t *id, json_t *answer, const char *code,
		   const char *why);

/* Fields of the request: -1 with why if it is not there, or not a whole number in these limits. */
int remote_int(struct remote_call *c, const char *name, int least, int most, int *value);
/* The same; if it is absent *value stays. */
int remote_int_or(struct remote_call *c, const char *name, int least, int most, int *value);
const char *remote_text(struct remote_call *c, const char *name); /* NULL: not there */

/*
 * The window that guest (with scanout) or panel names; 0 with why: none. *id 0 and
 * success if neither is there.
 */
int remote_window(struct remote_call *c, hid_id *id);
int remote_window_needed(struct remote_call *c, hid_id *id);
/* The part of the screen that is meant: a window's content, x, y, width, height, or all. */
int remote_part(struct remote_call *c, struct hid_rect *part);

/* remote_wait.c */
/* client NULL: all. */
void remote_wait_forget(struct desktop *d, const struct remote_client *client);
uint64_t remote_wait_tick(struct desktop *d, uint64_t now_ns);

/* remote_png.c */
struct remote_picture {
	uint32_t *pixels; /* 0xffRRGGBB; free() */
	int width, height;
};

/* 0 with the caller's pixels, or -1 with why. */
int remote_png_read(const char *path, struct remote_picture *p, char why[REMOTE_WHY_MAX]);
/* 0 or -errno. */
int remote_png_write(const char *path, const struct remote_picture *p);
/* A copy of a part of the canvas, which lies in it. 0 or -ENOMEM. */
int remote_picture_of(const struct canvas *c, const struct hid_rect *part,
		      struct remote_picture *p);
/* How many pixels differ by more than `tolerance` in some colour; *most: the largest. */
uint64_t remote_picture_compare(const struct remote_picture *a, const struct remote_picture *b,
				unsigned tolerance, unsigned *most);
/* What differs in red over a pale copy of a. 0 or -ENOMEM. */
int remote_picture_difference(const struct remote_picture *a, const struct remote_picture *b,
			      unsigned tolerance, struct remote_picture *out);

#endif
