/* The graph of a session: building it, and as text and DOT; see graph.h. */
#include "graph_priv.h"

#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---------------------------------------------------------------------- */

/* Its index; a new node when there is none. GRAPH_NODES_MAX: no room. */
static unsigned find_node(struct graph *g, const char *name)
{
	for (unsigned i = 0; i < g->nnodes; i++) {
		if (!strcmp(g->node[i].name, name))
			return i;
	}
	if (g->nnodes == GRAPH_NODES_MAX) {
		g->truncated = true;
		return GRAPH_NODES_MAX;
	}
	g->node[g->nnodes] = (struct graph_node){.name = name, .label = "", .colour = ""};
	return g->nnodes++;
}

static struct graph_edge *find_edge(struct graph *g, const char *from, const char *to,
				    const char *service)
{
	unsigned a = find_node(g, from), b = find_node(g, to);

	for (unsigned i = 0; i < g->nedges; i++) {
		struct graph_edge *e = &g->edge[i];

		if (e->from == a && e->to == b && !strcmp(e->service, service))
			return e;
	}
	if (g->nedges == GRAPH_EDGES_MAX || a == GRAPH_NODES_MAX || b == GRAPH_NODES_MAX) {
		g->truncated = true;
		return NULL;
	}
	g->edge[g->nedges] =
		(struct graph_edge){.from = a, .to = b, .service = service, .path = ""};
	return &g->edge[g->nedges++];
}

static const char *provider_of(const json_t *wires, const char *service)
{
	const json_t *s;
	size_t i;

	json_array_foreach(cli_list(wires, "services"), i, s)
	{
		if (!strcmp(cli_text(s, "name"), service))
			return cli_text(s, "provider");
	}
	return "?";
}

static void add_edges(struct graph *g, const json_t *wires)
{
	const json_t *c;
	struct graph_edge *e;
	size_t i;

	json_array_foreach(cli_list(wires, "connections"), i, c)
	{
		e = find_edge(g, cli_text(c, "from"), cli_text(c, "to"), cli_text(c, "service"));
		if (!e)
			continue;
		e->path = cli_text(c, "path");
		e->connections++;
		e->tx_bytes += (uint64_t)cli_int(c, "tx_bytes");
		e->rx_bytes += (uint64_t)cli_int(c, "rx_bytes");
		e->tx_messages += (uint64_t)cli_int(c, "tx_messages");
		e->rx_messages += (uint64_t)cli_int(c, "rx_messages");
	}
	json_array_foreach(cli_list(wires, "grants"), i, c)
	{
		const char *service = cli_text(c, "service");

		find_edge(g, cli_text(c, "guest"), provider_of(wires, service), service);
	}
}

/* Depth first; what leads back to where we come from closes a cycle. */
static void visit(struct graph *g, unsigned n, unsigned *order, unsigned *count)
{
	g->node[n].mark = GRAPH_ENTERED;
	for (unsigned i = 0; i < g->nedges; i++) {
		struct graph_edge *e = &g->edge[i];

		if (e->from != n)
			continue;
		e->back = g->node[e->to].mark == GRAPH_ENTERED;
		if (g->node[e->to].mark == GRAPH_NEW)
			visit(g, e->to, order, count);
	}
	g->node[n].mark = GRAPH_LEFT;
	order[(*count)++] = n;
}

/* A node stands right of all that use it, but for those that it uses in turn. */
static void set_columns(struct graph *g)
{
	unsigned order[GRAPH_NODES_MAX] = {0}, used[GRAPH_NODES_MAX] = {0}, count = 0;

	for (unsigned i = 0; i < g->nnodes; i++) {
		if (g->node[i].mark == GRAPH_NEW)
			visit(g, i, order, &count);
	}
	while (count--) { /* users first */
		unsigned right = g->node[order[count]].column + 1;

		for (unsigned i = 0; i < g->nedges; i++) {
			struct graph_edge *e = &g->edge[i];

			if (e->from == order[count] && !e->back && g->node[e->to].column < right)
				g->node[e->to].column = right;
		}
	}
	for (unsigned i = 0; i < g->nnodes; i++) {
		struct graph_node *n = &g->node[i];

		n->row = used[n->column]++;
		if (n->row >= g->rows)
			g->rows = n->row + 1;
		if (n->column >= g->columns)
			g->columns = n->column + 1;
	}
}

int graph_build(struct graph *g, const json_t *wires)
{
	const json_t *guest;
	size_t i;

	*g = (struct graph){0};
	g->node = calloc(GRAPH_NODES_MAX, sizeof(*g->node));
	g->edge = calloc(GRAPH_EDGES_MAX, sizeof(*g->edge));
	if (!g->node || !g->edge) {
		graph_finish(g);
		return -ENOMEM;
	}
	json_array_foreach(cli_list(wires, "guests"), i, guest)
	{
		unsigned n = find_node(g, cli_text(guest, "name"));
		const char *state = cli_text(guest, "state");

		if (n == GRAPH_NODES_MAX)
			continue;
		g->node[n].label = cli_text(guest, "label");
		g->node[n].colour = cli_text(guest, "colour");
		g->node[n].runs = !strcmp(state, "ready") || !strcmp(state, "running");
	}
	add_edges(g, wires);
	set_columns(g);
	return 0;
}

void graph_finish(struct graph *g)
{
	free(g->node);
	free(g->edge);
	*g = (struct graph){0};
}

void graph_describe(const struct graph_edge *e, char out[128])
{
	char tx[16], rx[16];

	if (!e->connections) {
		snprintf(out, 128, "%s", "");
		return;
	}
	snprintf(out, 128, "%u: %s/%llu > %s/%llu <", e->connections, common_bytes(e->tx_bytes, tx),
		 (unsigned long long)e->tx_messages, common_bytes(e->rx_bytes, rx),
		 (unsigned long long)e->rx_messages);
}

/* ---- text ------------------------------------------------------------------------------ */

static void add_services(const json_t *wires, struct text *out)
{
	static const char *const head[5] = {"SERVICE", "PROVIDER", "PORT", "TYPE", "STATE"};
	json_t *rows = json_array();
	const json_t *s;
	size_t i;

	common_row(rows, 5, head);
	json_array_foreach(cli_list(wires, "services"), i, s)
	{
		char port[16];
		const char *cells[5] = {cli_text(s, "name"), cli_text(s, "provider"), port,
					cli_text(s, "type"),
					cli_flag(s, "ready") ? "ready" : "not ready"};

		snprintf(port, sizeof(port), "%lld", (long long)cli_int(s, "port"));
		common_row(rows, 5, cells);
	}
	common_table(rows, out);
	json_decref(rows);
}

/* "delegate, lease 59m, 4 connections, 1M at once, 10M/s, port 514" */
static void describe_grant(const json_t *g, char out[160])
{
	char value[16];
	const json_t *right;
	int n = 0;
	size_t i;

	*out = '\0';
	json_array_foreach(cli_list(g, "rights"), i, right)
	{
		if (!strcmp(json_string_value(right) ? json_string_value(right) : "", "delegate"))
			n += snprintf(out + n, 160 - (size_t)n, "delegate, ");
	}
	if (cli_int(g, "lease_ms"))
		n += snprintf(out + n, 160 - (size_t)n, "lease %s, ",
			      common_duration((uint64_t)cli_int(g, "lease_ms"), value));
	if (cli_int(g, "max_conns"))
		n += snprintf(out + n, 160 - (size_t)n, "%lld connections, ",
			      (long long)cli_int(g, "max_conns"));
	if (cli_int(g, "max_buffer"))
		n += snprintf(out + n, 160 - (size_t)n, "%s at once, ",
			      common_bytes((uint64_t)cli_int(g, "max_buffer"), value));
	if (cli_int(g, "max_rate"))
		n += snprintf(out + n, 160 - (size_t)n, "%s/s, ",
			      common_bytes((uint64_t)cli_int(g, "max_rate"), value));
	if (cli_int(g, "port"))
		n += snprintf(out + n, 160 - (size_t)n, "port %lld, ",
			      (long long)cli_int(g, "port"));
	if (n >= 2)
		out[n - 2] = '\0';
}

static void add_grants(const json_t *wires, struct text *out)
{
	static const char *const head[7] = {"GRANT", "GUEST",   "SERVICE", "FROM",
					    "USES",  "REFUSED", "LIMITS"};
	json_t *rows = json_array();
	const json_t *g;
	size_t i;

	common_row(rows, 7, head);
	json_array_foreach(cli_list(wires, "grants"), i, g)
	{
		char id[24], uses[24], refusals[24], limits[160];
		const char *cells[7] = {id,
					cli_text(g, "guest"),
					cli_text(g, "service"),
					cli_text(g, "origin"),
					uses,
					refusals,
					limits};

		snprintf(id, sizeof(id), "%lld", (long long)cli_int(g, "grant"));
		snprintf(uses, sizeof(uses), "%lld", (long long)cli_int(g, "uses"));
		snprintf(refusals, sizeof(refusals), "%lld", (long long)cli_int(g, "refusals"));
		describe_grant(g, limits);
		common_row(rows, 7, cells);
	}
	common_table(rows, out);
	json_decref(rows);
}

static void add_connections(const json_t *wires, struct text *out)
{
	static const char *const head[7] = {"FROM", "SERVICE",   "TO",           "TYPE",
					    "PATH", "SENT/MSGS", "RECEIVED/MSGS"};
	json_t *rows = json_array();
	const json_t *c;
	size_t i;

	common_row(rows, 7, head);
	json_array_foreach(cli_list(wires, "connections"), i, c)
	{
		char tx[48], rx[48], bytes[16];
		const char *cells[7] = {cli_text(c, "from"),
					cli_text(c, "service"),
					cli_text(c, "to"),
					cli_text(c, "type"),
					cli_text(c, "path"),
					tx,
					rx};

		snprintf(tx, sizeof(tx), "%s/%lld",
			 common_bytes((uint64_t)cli_int(c, "tx_bytes"), bytes),
			 (long long)cli_int(c, "tx_messages"));
		snprintf(rx, sizeof(rx), "%s/%lld",
			 common_bytes((uint64_t)cli_int(c, "rx_bytes"), bytes),
			 (long long)cli_int(c, "rx_messages"));
		common_row(rows, 7, cells);
	}
	common_table(rows, out);
	json_decref(rows);
}

void graph_add_text(const json_t *wires, struct text *out)
{
	add_services(wires, out);
	text_add(out, "\n", 1);
	add_grants(wires, out);
	text_add(out, "\n", 1);
	add_connections(wires, out);
}

/* ---- DOT ---------------------------------------------------------------------------------- */

/* A quoted string of DOT is near enough to one of JSON: names are plain anyway. */
void graph_add_dot(const json_t *wires, struct text *out)
{
	struct graph g;
	char what[128];

	if (graph_build(&g, wires)) {
		out->truncated = true;
		return;
	}
	text_addf(out, "digraph exo {\n\trankdir=LR;\n\tnode [shape=box];\n");
	for (unsigned i = 0; i < g.nnodes; i++) {
		struct graph_node *n = &g.node[i];

		text_add(out, "\t", 1);
		text_add_json(out, n->name);
		text_addf(out, " [");
		if (*n->colour) {
			text_addf(out, "color=");
			text_add_json(out, n->colour);
			text_addf(out, ", ");
		}
		text_addf(out, "style=%s];\n", n->runs ? "solid" : "dashed");
	}
	for (unsigned i = 0; i < g.nedges; i++) {
		struct graph_edge *e = &g.edge[i];

		graph_describe(e, what);
		text_add(out, "\t", 1);
		text_add_json(out, g.node[e->from].name);
		text_addf(out, " -> ");
		text_add_json(out, g.node[e->to].name);
		text_addf(out, " [label=");
		text_add_json(out, e->service);
		text_addf(out, ", tooltip=");
		text_add_json(out, what);
		text_addf(out, ", style=%s];\n", e->connections ? "solid" : "dotted");
	}
	text_addf(out, "}\n");
	graph_finish(&g);
}
