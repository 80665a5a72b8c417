/*
 * A program's manifest (docs/manifest.md), read with inih. Pure: opens nothing but
 * the manifest itself.
 */
#ifndef SESSION_MANIFEST_H
#define SESSION_MANIFEST_H

#include "guest_display.h"
#include "policy.h"

#include <stdbool.h>
#include <stdint.h>

#define MANIFEST_LIST_MAX 64 /* of each kind */
#define MANIFEST_WHY_MAX 256

enum manifest_ready { MANIFEST_READY_NOTIFY, MANIFEST_READY_START };
enum manifest_restart { MANIFEST_RESTART_NO, MANIFEST_RESTART_ON_FAILURE, MANIFEST_RESTART_ALWAYS };

struct manifest_disk {
	char *path; /* absolute */
	bool read_only, direct;
};

struct manifest_provides {
	char name[POLICY_NAME_MAX];
	uint32_t port;
	bool seqpacket;
};

struct manifest_uses {
	char name[POLICY_NAME_MAX];
	uint32_t rights; /* EXO_CAP_CONNECT, EXO_CAP_GRANT */
	uint32_t port;   /* 0: none besides the slot's */
	bool required;
	struct policy_limits limits;
};

struct manifest_mount {
	char *path;    /* in the guest, absolute */
	char *source;  /* "service:NAME" gives service, else a folder of the host, absolute */
	char *service; /* or NULL */
	bool read_only;
};

struct manifest {
	char *path; /* of the manifest, absolute */
	char *file; /* of the program, absolute */
	char name[POLICY_NAME_MAX], label[POLICY_LABEL_MAX];
	uint32_t colour; /* 0xRRGGBB */
	char *description;
	char **args;           /* NULL-terminated, without the program */
	char **env;            /* NULL-terminated, "NAME=value" */
	uint64_t memory_bytes; /* 0: default */
	uint32_t cpus;
	bool rng, vsock; /* vsock: also implied */
	struct manifest_disk disk[MANIFEST_LIST_MAX];
	struct manifest_provides provides[MANIFEST_LIST_MAX];
	struct manifest_uses uses[MANIFEST_LIST_MAX]; /* also of what is mounted */
	struct manifest_mount mount[MANIFEST_LIST_MAX];
	unsigned ndisks, nprovides, nuses, nmounts;
	struct guest_display display; /* windows 0: it has no [display] */
	uint32_t max_conns;           /* budgets; 0: default */
	uint64_t max_buffer, max_grants, window_bytes;
	enum manifest_ready ready;
	enum manifest_restart restart;
	bool on_demand;
	uint64_t backoff_ns, stop_timeout_ns, watchdog_ns, start_timeout_ns; /* watchdog 0: none */
	unsigned max_restarts;
};

/* 0 and *m (manifest_free), or -errno with why: "FILE:LINE: …", one line. */
int manifest_load(const char *path, struct manifest **m, char why[MANIFEST_WHY_MAX]);
/* The same from memory; relative paths begin at path's folder. Opens nothing. */
int manifest_parse(const char *text, size_t bytes, const char *path, struct manifest **m,
		   char why[MANIFEST_WHY_MAX]);
/* The manifest beside a program: prog.exo for prog.elf. -ENOENT: there is none. */
int manifest_beside(const char *program, struct manifest **m, char why[MANIFEST_WHY_MAX]);
/* NULL-safe. */
void manifest_free(struct manifest *m);

/* What it says, in words: one sentence a call. */
void manifest_explain(const struct manifest *m, void (*say)(void *opaque, const char *sentence),
		      void *opaque);

/* 8192 as "8 KiB", 90 s as "90 seconds", limits as "; at most 4 connections at once; …" or "". */
#define MANIFEST_LIMITS_MAX 256
void manifest_size_words(uint64_t bytes, char out[32]);
void manifest_time_words(uint64_t ns, char out[32]);
void manifest_limit_words(const struct policy_limits *l, char out[MANIFEST_LIMITS_MAX]);

#endif
