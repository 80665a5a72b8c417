/*
 * The live graph: guests in a circle, a line for each grant between them, thick where a
 * connection is open, with what has gone over it. Clicking a line explains it; then it
 * can be revoked. Asked for once a second, while the window is open.
 */
#include "desktop.h"

#include <linux/input-event-codes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 720
#define HEIGHT 520
#define FOOT 48
#define NODE_WIDTH 116
#define NODE_HEIGHT 40
#define NODES_MAX 64 /* Limit: what is beyond is not drawn, and said to be missing */
#define EDGES_MAX 256
#define REFRESH_NS 1000000000ull
#define NEAR 8 /* pixels from a line that count as on it, at scale 1 */

struct node {
	char name[64];
	uint32_t colour;
	int x, y;
};

struct edge {
	unsigned from, to;
	json_int_t grant;
	char service[64], rights[64], origin[16];
	unsigned connections;
	uint64_t bytes, messages;
	char path[16];
};

struct graph {
	struct panel *panel;
	struct node node[NODES_MAX];
	struct edge edge[EDGES_MAX];
	unsigned nnodes, nedges, missing;
	json_int_t chosen; /* grant, 0: none */
	bool asked;
};

static const struct panel_class cls;

/* ---- what there is ---------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

/* Its index; NODES_MAX: there is no room. */
static unsigned node_of(struct graph *g, const char *name)
{
	const struct dguest *guest = guests_find(g->panel->desktop, name);
	struct node *n;

	for (unsigned i = 0; i < g->nnodes; i++) {
		if (!strcmp(g->node[i].name, name))
			return i;
	}
	if (g->nnodes == NODES_MAX) {
		g->missing++;
		return NODES_MAX;
	}
	n = &g->node[g->nnodes];
	*n = (struct node){.colour = guest ? guest->colour : 0x808080};
	snprintf(n->name, sizeof(n->name), "%s", name);
	return g->nnodes++;
}

static const char *provider_of(const json_t *answer, const char *service)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(answer, "services"), i, one)
	{
		if (!strcmp(text_of(one, "name"), service))
			return text_of(one, "provider");
	}
	return "";
}

static void add_rights(struct edge *e, const json_t *grant)
{
	const json_t *one;
	size_t i, n = 0;

	json_array_foreach(json_object_get(grant, "rights"), i, one)
	{
		const char *word = json_string_value(one);

		if (word && n < sizeof(e->rights))
			n += (size_t)snprintf(e->rights + n, sizeof(e->rights) - n, "%s%s",
					      n ? ", " : "", word);
	}
}

static void add_grant(struct graph *g, const json_t *answer, const json_t *grant)
{
	const char *service = text_of(grant, "service"), *to = provider_of(answer, service);
	unsigned a, b;
	struct edge *e;

	if (!*to)
		return; /* nobody provides it now */
	a = node_of(g, text_of(grant, "guest"));
	b = node_of(g, to);
	if (a == NODES_MAX || b == NODES_MAX || g->nedges == EDGES_MAX) {
		g->missing++;
		return;
	}
	e = &g->edge[g->nedges++];
	*e = (struct edge){.from = a, .to = b};
	e->grant = json_integer_value(json_object_get(grant, "grant"));
	snprintf(e->service, sizeof(e->service), "%s", service);
	snprintf(e->origin, sizeof(e->origin), "%s", text_of(grant, "origin"));
	add_rights(e, grant);
}

static uint64_t sum_of(const json_t *o, const char *a, const char *b)
{
	return (uint64_t)json_integer_value(json_object_get(o, a)) +
	       (uint64_t)json_integer_value(json_object_get(o, b));
}

static void add_connection(struct graph *g, const json_t *conn)
{
	json_int_t grant = json_integer_value(json_object_get(conn, "grant"));

	for (unsigned i = 0; i < g->nedges; i++) {
		struct edge *e = &g->edge[i];

		if (e->grant != grant || !grant)
			continue;
		e->connections++;
		e->bytes += sum_of(conn, "tx_bytes", "rx_bytes");
		e->messages += sum_of(conn, "tx_messages", "rx_messages");
		snprintf(e->path, sizeof(e->path), "%s", text_of(conn, "path"));
	}
}

/* In a circle, in the order in which they are named. */
static void place(struct graph *g)
{
	const struct panel *p = g->panel;
	int foot = desktop_px(p->desktop, FOOT), cx = p->width / 2, cy = (p->height - foot) / 2;
	double rx = cx - desktop_px(p->desktop, NODE_WIDTH) * 0.6;
	double ry = cy - desktop_px(p->desktop, NODE_HEIGHT) * 0.8;

	for (unsigned i = 0; i < g->nnodes; i++) {
		double turn = 2 * M_PI * i / g->nnodes - M_PI / 2;

		g->node[i].x = cx + (int)lround(rx * cos(turn));
		g->node[i].y = cy + (int)lround(ry * sin(turn));
	}
}

static void on_wires(void *opaque, json_t *answer, int fd)
{
	struct graph *g = opaque;
	const json_t *one;
	size_t i;

	g->asked = false;
	if (link_error(answer))
		return;
	g->nnodes = g->nedges = g->missing = 0;
	for (const struct dguest *k = g->panel->desktop->guests; k; k = k->next)
		(void)node_of(g, k->name);
	json_array_foreach(json_object_get(answer, "grants"), i, one)
	{
		add_grant(g, answer, one);
	}
	json_array_foreach(json_object_get(answer, "connections"), i, one)
	{
		add_connection(g, one);
	}
	place(g);
	panel_redraw(g->panel);
}

static uint64_t tick(struct panel *p, uint64_t now_ns)
{
	struct graph *g = p->data;

	if (!g->asked) {
		g->asked = true;
		link_request(p->desktop, json_pack("{s:s}", "op", "wires"), NULL, 0, on_wires, g);
	}
	return now_ns + REFRESH_NS;
}

/* ---- drawing ------------------------------------------------------------------------------ */

static const struct edge *chosen_edge(const struct graph *g)
{
	for (unsigned i = 0; i < g->nedges; i++) {
		if (g->edge[i].grant == g->chosen)
			return &g->edge[i];
	}
	return NULL;
}

/* Lines between the same two are drawn beside each other. */
static void ends(const struct graph *g, unsigned index, int *x0, int *y0, int *x1, int *y1)
{
	const struct edge *e = &g->edge[index];
	const struct node *a = &g->node[e->from], *b = &g->node[e->to];
	double dx = b->x - a->x, dy = b->y - a->y, length = hypot(dx, dy);
	int beside = 0, gap = desktop_px(g->panel->desktop, 14);

	for (unsigned i = 0; i < index; i++) {
		const struct edge *o = &g->edge[i];

		if ((o->from == e->from && o->to == e->to) ||
		    (o->from == e->to && o->to == e->from))
			beside++;
	}
	beside = (beside + 1) / 2 * (beside % 2 ? gap : -gap);
	*x0 = a->x;
	*y0 = a->y;
	*x1 = b->x;
	*y1 = b->y;
	if (length < 1)
		return;
	*x0 += (int)(-dy / length * beside);
	*x1 += (int)(-dy / length * beside);
	*y0 += (int)(dx / length * beside);
	*y1 += (int)(dx / length * beside);
}

static void draw_edge(const struct graph *g, const struct canvas *c, unsigned index)
{
	const struct edge *e = &g->edge[index];
	struct desktop *d = g->panel->desktop;
	const struct theme *t = &d->theme;
	uint32_t colour = e->grant == g->chosen ? t->accent
			  : e->connections      ? t->panel_text
						: t->border;
	int x0, y0, x1, y1, size = desktop_px(d, 11), mx, my;
	char words[128], bytes[24];

	ends(g, index, &x0, &y0, &x1, &y1);
	paint_line(c, x0, y0, x1, y1, desktop_px(d, e->connections ? 3 : 1), colour);
	/* Nearer to the one who may open it. */
	mx = x0 + (x1 - x0) * 2 / 5;
	my = y0 + (y1 - y0) * 2 / 5;
	paint_size_words(e->bytes, bytes);
	snprintf(words, sizeof(words), e->connections ? "%s: %s" : "%s", e->service, bytes);
	paint_rect(c, mx - 2, my - size, paint_text_width(FACE_SANS, size, words, -1) + 4, size + 4,
		   t->panel);
	paint_text(c, FACE_SANS, size, mx, my, words, -1, colour);
	paint_round(c, x1 - (x1 - x0) / 8 - 4, y1 - (y1 - y0) / 8 - 4, 8, 8, 4, colour);
}

static void draw_node(const struct graph *g, const struct canvas *c, const struct node *n)
{
	struct desktop *d = g->panel->desktop;
	int w = desktop_px(d, NODE_WIDTH), h = desktop_px(d, NODE_HEIGHT);
	int size = desktop_px(d, 12), x = n->x - w / 2, y = n->y - h / 2;
	uint32_t colour = 0xff000000u | n->colour;

	paint_round(c, x, y, w, h, desktop_px(d, 6), colour);
	paint_text_within(c, FACE_BOLD, size, x + desktop_px(d, 8), n->y + size / 3,
			  w - desktop_px(d, 16), n->name, paint_contrast(colour));
}

static int button_left(const struct panel *p)
{
	return p->width - desktop_px(p->desktop, 96);
}

static void draw_foot(const struct graph *g, const struct canvas *c)
{
	const struct panel *p = g->panel;
	struct desktop *d = p->desktop;
	const struct edge *e = chosen_edge(g);
	int foot = desktop_px(d, FOOT), y = p->height - foot, size = desktop_px(d, 12);
	char words[512];

	paint_rect(c, 0, y, p->width, foot, d->theme.field);
	if (!e) {
		snprintf(words, sizeof(words),
			 g->missing ? "Click a line. (%u more are not drawn: see exo wires)"
				    : "Click a line to see what it is, and to revoke it.",
			 g->missing);
	} else {
		snprintf(words, sizeof(words),
			 "%s may reach %s of %s (%s; granted by the %s). %u open%s%s, %llu "
			 "messages.",
			 g->node[e->from].name, e->service, g->node[e->to].name, e->rights,
			 e->origin, e->connections, e->path[0] ? ", " : "", e->path,
			 (unsigned long long)e->messages);
		paint_round(c, button_left(p), y + foot / 6, desktop_px(d, 84), foot * 2 / 3,
			    desktop_px(d, 4), d->theme.danger);
		paint_text(c, FACE_BOLD, size, button_left(p) + desktop_px(d, 18),
			   y + foot / 2 + size / 3, "Revoke", -1, paint_contrast(d->theme.danger));
	}
	paint_text_within(c, FACE_SANS, size, desktop_px(d, 12), y + foot / 2 + size / 3,
			  button_left(p) - desktop_px(d, 24), words, d->theme.panel_text);
}

static void draw(struct panel *p, const struct canvas *c)
{
	const struct graph *g = p->data;

	paint_fill(c, p->desktop->theme.panel);
	for (unsigned i = 0; i < g->nedges; i++)
		draw_edge(g, c, i);
	for (unsigned i = 0; i < g->nnodes; i++)
		draw_node(g, c, &g->node[i]);
	draw_foot(g, c);
}

/* ---- input --------------------------------------------------------------------------------------
 */

static double distance(int x, int y, int x0, int y0, int x1, int y1)
{
	double dx = x1 - x0, dy = y1 - y0, all = dx * dx + dy * dy;
	double t = all > 0 ? ((x - x0) * dx + (y - y0) * dy) / all : 0;

	t = t < 0 ? 0 : t > 1 ? 1 : t;
	return hypot(x - x0 - t * dx, y - y0 - t * dy);
}

static void revoke(struct graph *g)
{
	struct panel *p = g->panel;

	if (!chosen_edge(g))
		return;
	link_request(p->desktop, json_pack("{s:s, s:I}", "op", "revoke", "grant", g->chosen), NULL,
		     0, link_tell, p->desktop);
	g->chosen = 0;
	panel_wake_at(p, desktop_now(p->desktop));
}

static void button(struct panel *p, int x, int y, uint16_t code, bool down)
{
	struct graph *g = p->data;
	double near = desktop_px(p->desktop, NEAR);
	int foot = p->height - desktop_px(p->desktop, FOOT);

	if (!down || code != BTN_LEFT)
		return;
	if (y >= foot) {
		if (x >= button_left(p))
			revoke(g);
		return;
	}
	g->chosen = 0;
	for (unsigned i = 0; i < g->nedges; i++) {
		int x0, y0, x1, y1;
		double far;

		ends(g, i, &x0, &y0, &x1, &y1);
		far = distance(x, y, x0, y0, x1, y1);
		if (far <= near) {
			near = far;
			g->chosen = g->edge[i].grant;
		}
	}
	panel_redraw(p);
}

/* The next line, for who has no mouse. */
static void choose_next(struct graph *g)
{
	unsigned next = 0;

	for (unsigned i = 0; i < g->nedges; i++) {
		if (g->edge[i].grant == g->chosen)
			next = i + 1;
	}
	g->chosen = next < g->nedges ? g->edge[next].grant : 0;
	panel_redraw(g->panel);
}

static void key(struct panel *p, const struct panel_event_key *e)
{
	if (!e->down)
		return;
	if (e->code == KEY_ESC)
		panel_close(p);
	else if (e->code == KEY_TAB)
		choose_next(p->data);
	else if (e->code == KEY_DELETE)
		revoke(p->data);
}

static void resized(struct panel *p)
{
	struct graph *g = p->data;

	if (g->panel)
		place(g);
}

static void destroy(struct panel *p)
{
	link_forget(p->desktop, p->data);
	free(p->data);
}

static const struct panel_class cls = {
	.name = "graph",
	.draw = draw,
	.key = key,
	.button = button,
	.resized = resized,
	.tick = tick,
	.destroy = destroy,
};

void panel_graph(struct desktop *d)
{
	struct panel *open = panel_find(d, &cls);
	struct hid_window_setup setup = {
		.width = desktop_px(d, WIDTH),
		.height = desktop_px(d, HEIGHT),
		.min_width = desktop_px(d, 320),
		.min_height = desktop_px(d, 200),
		.panel = true,
	};
	struct graph *g;
	struct panel *p;

	if (open) {
		panel_close(open);
		return;
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return;
	p = panel_open(d, &cls, "Who talks to whom", &setup, g);
	if (!p) {
		free(g);
		return;
	}
	g->panel = p;
	panel_wake_at(p, desktop_now(d));
}
