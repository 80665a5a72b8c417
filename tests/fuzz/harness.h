/*
 * Fuzzing a virtio device: the input is a program of operations (build a chain,
 * ring a doorbell, collect, access registers and configuration, change memory,
 * change memory between two looks of the device, reset, an event on the host's
 * side). Operations are what a good driver does; corruption is rare, so that
 * runs reach deep.
 *
 * Oracles, after each operation that entered the device:
 *   guest memory is as it was, except for the used rings and what the writable
 *   descriptors say that the device itself fetched, of chains in flight;
 *   a used element names a chain in flight, once, with no more bytes than that;
 *   a device that fetched what is malformed has stopped;
 *   whatever is used is published, unless the device stopped;
 *   an interrupt is raised if and only if the driver asked for one;
 *   status moves only as VIRTIO 1.2, 2.1 allows;
 *   fetches of one operation are bounded; the sanitizers and guard pages agree.
 *
 * A target defines LLVMFuzzerTestOneInput as fuzz_run of its struct.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "drv.h"

#define FUZZ_DATA_MAX 4096
#define FUZZ_TABLES 32
#define FUZZ_RANGES (2 * VQ_SEGMENTS_MAX)

/* What a good driver would offer: the harness cuts it into descriptors. */
struct fuzz_chain {
	uint8_t data[FUZZ_DATA_MAX]; /* for the device to read */
	uint32_t data_len;
	uint32_t write_len; /* room for the device to write */
};

struct fuzz;

struct fuzz_target {
	/* A fresh device on f->d.mem and f->d.host. Required. */
	struct vdev *(*create)(struct fuzz *f);
	/* Fills in *c (zeroed lengths) for queue q, from the input. Required. */
	void (*chain)(struct fuzz *f, unsigned q, struct fuzz_chain *c);
	/* Something happens on the host's side. Optional. */
	void (*event)(struct fuzz *f);
	/*
	 * The input is at its end and was that of a good driver throughout
	 * (f->hostile is false): may abort() when something is missing. Optional.
	 */
	void (*settle)(struct fuzz *f);
	/* After the device is destroyed. Optional. */
	void (*cleanup)(struct fuzz *f);
};

/* A chain that the device took, seen through its own fetches. */
struct fuzz_taken {
	bool inflight;
	uint64_t write_len; /* writable bytes */
	unsigned nranges;
	struct {
		gpa_t gpa;
		uint32_t len;
	} range[FUZZ_RANGES]; /* writable, of this operation if no longer in flight */
};

/* An indirect table and the chain that it was last used for. */
struct fuzz_table {
	bool used;
	unsigned q;
	uint16_t head;
};

struct fuzz {
	struct drv d;
	const struct fuzz_target *target;
	const uint8_t *in;
	size_t left;
	bool hostile; /* the program did what no good driver does, since the start */
	bool blind;   /* rings and buffers overlap: the memory oracles cannot tell, until reset */
	void *priv;   /* the target's */

	/* The model. */
	uint8_t *shadow[2];                  /* of the regions */
	uint64_t fetches;                    /* of this operation */
	uint16_t used[VDEV_QUEUES_MAX];      /* used index seen */
	uint16_t checked[VDEV_QUEUES_MAX];   /* used elements looked at */
	unsigned notified[VDEV_QUEUES_MAX];  /* interrupts seen */
	uint16_t avail_idx[VDEV_QUEUES_MAX]; /* as the device last fetched it */
	bool refuse;                         /* this operation fetched what must stop the device */
	uint64_t features;                   /* as written by the driver */
	unsigned cur_q, cur_head;            /* chain being walked */
	gpa_t table, table_end;              /* its indirect table */
	struct fuzz_taken taken[VDEV_QUEUES_MAX][64];
	struct fuzz_table tables[FUZZ_TABLES];
	struct {
		unsigned after; /* fetches to go; 0: not armed */
		gpa_t gpa;
		unsigned len;
		uint8_t bytes[16];
	} race;
};

int fuzz_run(const struct fuzz_target *target, const uint8_t *data, size_t size);

/* The next bytes of the input; 0 at its end. */
uint8_t fuzz_u8(struct fuzz *f);
uint16_t fuzz_u16(struct fuzz *f);
uint32_t fuzz_u32(struct fuzz *f);
uint64_t fuzz_u64(struct fuzz *f);
void fuzz_bytes(struct fuzz *f, void *dst, size_t len);
/* True about once in 256 on random input; then the run counts as hostile. */
bool fuzz_rare(struct fuzz *f);

/* Aborts with a message unless ok. */
void fuzz_check(bool ok, const char *what);

/* libFuzzer's entry; each target defines it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
