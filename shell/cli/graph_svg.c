/*
 * The graph of a session as SVG 1.1, without help: guests are boxes in columns,
 * arrows go from users to providers. Colours are those of the guests' labels.
 */
#include "graph_priv.h"

#include <string.h>

#define BOX_WIDTH 150
#define BOX_HEIGHT 46
#define COLUMN_STEP 370
#define GAP (COLUMN_STEP - BOX_WIDTH)
#define ROW_STEP 105
#define MARGIN 30

/* "#rrggbb" and nothing else gets into an attribute. */
static const char *colour(const struct graph_node *n)
{
	if (n->colour[0] != '#' || strlen(n->colour) != 7 ||
	    strspn(n->colour + 1, "0123456789abcdefABCDEF") != 6)
		return "#808080";
	return n->colour;
}

static void add_box(const struct graph_node *n, struct text *out)
{
	text_addf(out,
		  "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\" fill=\"white\" "
		  "stroke=\"%s\" stroke-width=\"3\"%s/>\n",
		  n->x, n->y, BOX_WIDTH, BOX_HEIGHT, colour(n),
		  n->runs ? "" : " stroke-dasharray=\"6 4\"");
	text_addf(out, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", n->x + BOX_WIDTH / 2,
		  n->y + 20);
	text_add_xml(out, n->name);
	text_addf(out, "</text>\n<text x=\"%d\" y=\"%d\" fill=\"#606060\">", n->x + BOX_WIDTH / 2,
		  n->y + 37);
	text_add_xml(out, n->label);
	text_addf(out, "</text>\n");
}

/* How many edges before this one go between the same two. */
static int lane(const struct graph *g, unsigned index)
{
	const struct graph_edge *e = &g->edge[index];
	int n = 0;

	for (unsigned i = 0; i < index; i++) {
		const struct graph_edge *o = &g->edge[i];

		n += (o->from == e->from && o->to == e->to) ||
		     (o->from == e->to && o->to == e->from);
	}
	return n;
}

/*
 * Forward: from the right side to the left side of a column further right.
 * Backward, or within a column: a bow from the right side to the right side.
 */
static void add_edge(const struct graph *g, unsigned index, struct text *out)
{
	const struct graph_edge *e = &g->edge[index];
	const struct graph_node *from = &g->node[e->from], *to = &g->node[e->to];
	int shift = lane(g, index) * 14;
	int x1 = from->x + BOX_WIDTH, y1 = from->y + BOX_HEIGHT / 2 + shift;
	bool forward = to->column > from->column;
	int x2 = forward ? to->x : to->x + BOX_WIDTH, y2 = to->y + BOX_HEIGHT / 2 + shift;
	int bend = forward ? (x2 - x1) / 2 : 60 + shift;
	char what[128];

	if (from == to)
		y2 = y1 + BOX_HEIGHT / 3;
	text_addf(out,
		  "<path d=\"M %d %d C %d %d, %d %d, %d %d\" fill=\"none\" stroke=\"%s\"%s "
		  "marker-end=\"url(#arrow)\"/>\n",
		  x1, y1, x1 + bend, y1, forward ? x2 - bend : x2 + bend, y2, x2, y2, colour(from),
		  e->connections ? "" : " stroke-dasharray=\"2 4\"");
	graph_describe(e, what);
	/* In the gap beside an end, where no box can be. */
	text_addf(out, "<text x=\"%d\" y=\"%d\" font-size=\"11\">",
		  forward ? x1 + GAP / 2 : x2 + GAP / 2,
		  forward && x2 - x1 > GAP ? y1 - 4
		  : forward                ? (y1 + y2) / 2 - 4
					   : y2 + 12);
	text_add_xml(out, e->service);
	if (*what) {
		text_add(out, " ", 1);
		text_add_xml(out, what);
	}
	text_addf(out, "</text>\n");
}

void graph_add_svg(const json_t *wires, struct text *out)
{
	struct graph g;
	int width, height;

	if (graph_build(&g, wires)) {
		out->truncated = true;
		return;
	}
	width = 2 * MARGIN + BOX_WIDTH + (g.columns ? (int)g.columns - 1 : 0) * COLUMN_STEP + 120;
	height = 2 * MARGIN + (int)g.rows * ROW_STEP + ROW_STEP * 2 / 3;
	text_addf(out,
		  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		  "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\" "
		  "text-anchor=\"middle\">\n",
		  width, height, width, height);
	text_addf(out, "<defs><marker id=\"arrow\" markerWidth=\"10\" markerHeight=\"8\" "
		       "refX=\"9\" refY=\"4\" orient=\"auto\">"
		       "<path d=\"M 0 0 L 10 4 L 0 8 z\"/></marker></defs>\n"
		       "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
	for (unsigned i = 0; i < g.nnodes; i++) {
		g.node[i].x = MARGIN + (int)g.node[i].column * COLUMN_STEP;
		/* Not in line, so that few arrows run through boxes between their ends. */
		g.node[i].y = MARGIN + (int)g.node[i].row * ROW_STEP +
			      (int)(g.node[i].column % 3) * ROW_STEP / 3;
	}
	for (unsigned i = 0; i < g.nedges; i++)
		add_edge(&g, i, out);
	for (unsigned i = 0; i < g.nnodes; i++)
		add_box(&g.node[i], out);
	if (g.truncated)
		text_addf(out,
			  "<text x=\"%d\" y=\"%d\">more than can be drawn is left out</text>\n",
			  width / 2, height - 8);
	text_addf(out, "</svg>\n");
	graph_finish(&g);
}
