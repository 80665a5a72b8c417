/* Shared by graph*.c, not for anybody else. */
#ifndef GRAPH_PRIV_H
#define GRAPH_PRIV_H

#include "graph.h"

#include <stdbool.h>
#include <stdint.h>

#define GRAPH_NODES_MAX 1024
#define GRAPH_EDGES_MAX 4096 /* Limit: more are left out of drawings, and a note says so */

/* Somebody: a guest, the host's programs, or the absent provider of a service. */
struct graph_node {
	const char *name, *label, *colour; /* of the answer; "" */
	bool runs;
	enum { GRAPH_NEW, GRAPH_ENTERED, GRAPH_LEFT } mark;
	unsigned column, row;
	int x, y; /* of the box's upper left corner */
};

/* All connections of a kind: same ends, same service. No connection: a grant that is not used. */
struct graph_edge {
	unsigned from, to;
	const char *service, *path;
	unsigned connections;
	bool back; /* closes a cycle */
	uint64_t tx_bytes, rx_bytes, tx_messages, rx_messages;
};

struct graph {
	struct graph_node *node;
	struct graph_edge *edge;
	unsigned nnodes, nedges, columns, rows;
	bool truncated;
};

/* 0 (graph_finish) or -ENOMEM. Strings stay those of `wires`. */
int graph_build(struct graph *g, const json_t *wires);
void graph_finish(struct graph *g);
/* "2 × 1.5M/12 > 3K/4": what went there and back. */
void graph_describe(const struct graph_edge *e, char out[128]);

#endif
