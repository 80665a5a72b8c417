/*
 * virtio-gpu: what scanouts show, and saying it to the desktop (exo/display.h). Lock
 * held, see gpu_impl.h.
 *
 * A desktop may be slow, a guest as quick as it likes: what is to be said is kept as
 * state (a picture, a cursor, one rectangle of damage) and said when there is room,
 * which PRESENTED makes. So a guest can't fill the socket, on which the
 * desktop would be lost to it, but by switching scanouts off.
 */
#include "gpu_impl.h"

#include <string.h>

/* Messages on the way to the desktop: of one scanout, and so of all. */
#define SPOKEN_MAX 128u

static unsigned index_of(const struct gpu *g, const struct gpu_scanout *s)
{
	return (unsigned)(s - g->scanout);
}

static uint32_t limit(const struct gpu *g)
{
	uint32_t share = SPOKEN_MAX / g->nscanouts;

	return share < EXO_DPY_FLUSHES_MAX ? share : EXO_DPY_FLUSHES_MAX;
}

/* The smallest box around both; one of width 0 is empty. */
static struct gpu_box around(struct gpu_box a, struct gpu_box b)
{
	struct gpu_box u = a;
	uint32_t right, bottom;

	if (!a.width || !b.width)
		return a.width ? a : b;
	u.x = a.x < b.x ? a.x : b.x;
	u.y = a.y < b.y ? a.y : b.y;
	right = a.x + a.width > b.x + b.width ? a.x + a.width : b.x + b.width;
	bottom = a.y + a.height > b.y + b.height ? a.y + a.height : b.y + b.height;
	u.width = right - u.x;
	u.height = bottom - u.y;
	return u;
}

/* What of [at, at + len) lies in [from, from + size); 0 if nothing. */
static uint32_t clip(uint32_t at, uint32_t len, uint32_t from, uint32_t size, uint32_t *begin)
{
	uint64_t end = (uint64_t)at + len, limit = (uint64_t)from + size;

	*begin = at > from ? at : from;
	end = end < limit ? end : limit;
	return end > *begin ? (uint32_t)(end - *begin) : 0;
}

/* The part of the rectangle that is in the box; of width 0 if there is none. */
static struct gpu_box part(const struct virtio_gpu_rect *r, const struct gpu_box *in)
{
	struct gpu_box b;

	b.width = clip(r->x, r->width, in->x, in->width, &b.x);
	b.height = clip(r->y, r->height, in->y, in->height, &b.y);
	return b.width && b.height ? b : (struct gpu_box){0};
}

/* ---- saying it ---------------------------------------------------------------------- */

/* NULL: that nothing is shown. */
static void say_picture(struct gpu *g, struct gpu_scanout *s, struct gpu_resource *res)
{
	struct exo_dpy_scanout m = {.scanout = index_of(g, s), .sequence = s->flushed};

	if (res) {
		m.offset = res->place + s->view.offset + (uint64_t)s->view.box.y * s->view.stride +
			   4ull * s->view.box.x;
		m.stride = s->view.stride;
		m.width = s->view.box.width;
		m.height = s->view.box.height;
		m.format = s->view.format;
	}
	desk_send(g->desk, EXO_DPY_SCANOUT, &m, sizeof(m));
	s->spoken = res ? s->spoken + 1 : 0;
	s->told = res;
	s->say_cursor |= s->cursor && !res; /* together with the next picture */
}

static void say_cursor(struct gpu *g, struct gpu_scanout *s)
{
	struct exo_dpy_cursor m = {.scanout = index_of(g, s)};

	if (s->cursor) {
		m.visible = 1;
		m.offset = s->cursor->place;
		m.hot_x = s->hot_x;
		m.hot_y = s->hot_y;
	}
	desk_send(g->desk, EXO_DPY_CURSOR, &m, sizeof(m));
	s->spoken++;
	s->say_cursor = false;
}

static void say_flush(struct gpu *g, struct gpu_scanout *s, struct gpu_box b)
{
	struct exo_dpy_flush m = {
		.scanout = index_of(g, s),
		.sequence = ++s->flushed,
		.x = b.x,
		.y = b.y,
		.width = b.width,
		.height = b.height,
	};

	desk_send(g->desk, EXO_DPY_FLUSH, &m, sizeof(m));
	s->spoken++;
	s->late.width = 0;
}

/*
 * Says what is to be said, as far as there is room; the last of it is a FLUSH's, so that there
 * will be room again. A cursor, or damage, of no picture can wait.
 */
static void speak(struct gpu *g, struct gpu_scanout *s)
{
	uint32_t max = limit(g);

	if (!g->there)
		return;
	if (s->say_picture && (!s->res || s->spoken + 1 < max)) {
		say_picture(g, s, s->res);
		s->say_picture = false;
	}
	if (!s->told || s->say_picture)
		return;
	if (s->say_cursor && s->spoken + 1 < max)
		say_cursor(g, s);
	if (s->late.width && !s->stale && s->spoken < max && s->flushed - s->presented < max)
		say_flush(g, s, s->late);
	if (s->spoken + 1 == max && s->flushed == s->presented)
		say_flush(g, s, (struct gpu_box){0, 0, 1, 1});
}

/* ---- flushes that wait ---------------------------------------------------------------- */

/* What waits for the scanout's flushes up to this one waits no more. */
static void release(struct gpu *g, const struct gpu_scanout *s, uint32_t sequence)
{
	unsigned i = index_of(g, s);

	for (unsigned n = 0; n < GPU_PENDING_MAX; n++) {
		struct gpu_pending *p = &g->pending[n];

		if (!(p->waits & 1u << i) || (int32_t)(sequence - p->sequence[i]) < 0)
			continue;
		p->waits &= ~(1u << i);
		if (!p->waits)
			vq_complete(&g->dev.vq[0], p->head, p->len);
	}
}

static struct gpu_pending *pending_get(struct gpu *g)
{
	for (unsigned n = 0; n < GPU_PENDING_MAX; n++) {
		if (!g->pending[n].waits)
			return &g->pending[n];
	}
	return NULL;
}

void gpu_presented(struct gpu *g, const struct exo_dpy_presented *p)
{
	struct gpu_scanout *s = &g->scanout[p->scanout];

	if (!g->there || p->sequence - s->presented > s->flushed - s->presented)
		return; /* of an earlier desktop's, or never said */
	s->presented = p->sequence;
	s->spoken = 0;
	release(g, s, p->sequence);
	speak(g, s);
}

void gpu_attached(struct gpu *g, bool there)
{
	g->there = there;
	for (unsigned i = 0; i < g->nscanouts; i++) {
		struct gpu_scanout *s = &g->scanout[i];

		release(g, s, s->flushed);
		s->presented = s->flushed;
		s->spoken = 0;
		s->told = NULL;
		s->late.width = 0;
		s->say_picture = s->res && !s->stale;
		s->say_cursor = s->cursor;
		speak(g, s);
	}
}

/* ---- what is shown ------------------------------------------------------------------------ */

/*
 * In a picture of the same size only that is new which was not said yet; one of another size is
 * new to the desktop as a whole, but not if it never heard of the one between.
 */
static void keep_late(struct gpu_scanout *s, const struct gpu_view *view)
{
	const struct gpu_box *from = &s->view.box;

	if (s->res && view && view->box.width == from->width && view->box.height == from->height &&
	    view->format == s->view.format)
		return;
	s->late = (struct gpu_box){0};
	if (s->res && view && s->say_picture)
		s->late = (struct gpu_box){0, 0, view->box.width, view->box.height};
}

/*
 * From now on s shows res, or nothing: then what waits, waits no more. A flush of the picture
 * before still waits for the desktop, which may be reading that one yet.
 */
static void show(struct gpu *g, struct gpu_scanout *s, struct gpu_resource *res,
		 const struct gpu_view *view)
{
	/* Linux says a picture again with the first damage after it. */
	if (s->res == res && (!res || !memcmp(&s->view, view, sizeof(*view))))
		return;
	keep_late(s, res ? view : NULL);
	s->res = res;
	if (res)
		s->view = *view;
	s->stale = res && res->kind == GPU_BLOB_GUEST;
	s->say_picture = res ? !s->stale : s->told != NULL;
	if (!res)
		release(g, s, s->flushed);
	speak(g, s);
}

void gpu_hide(struct gpu *g, const struct gpu_resource *res)
{
	for (unsigned i = 0; i < g->nscanouts; i++) {
		struct gpu_scanout *s = &g->scanout[i];

		if (s->cursor == res) {
			s->cursor = NULL;
			s->say_cursor = true;
			speak(g, s);
		}
		if (s->res == res)
			show(g, s, NULL, NULL);
		else if (s->told == res && g->there)
			say_picture(g, s, NULL); /* the next one is stale still */
	}
}

static bool box_of(const struct virtio_gpu_rect *r, uint32_t width, uint32_t height,
		   struct gpu_box *box)
{
	*box = (struct gpu_box){r->x, r->y, r->width, r->height};
	return r->width && r->height && r->x < width && r->width <= width - r->x && r->y < height &&
	       r->height <= height - r->y;
}

uint32_t gpu_set_scanout(struct gpu *g)
{
	const struct virtio_gpu_set_scanout *c = &g->cmd.set_scanout;
	struct gpu_resource *res = gpu_find(g, c->resource_id);
	struct gpu_scanout *s = &g->scanout[c->scanout_id % EXO_DPY_SCANOUTS_MAX];
	struct gpu_view view = {0};

	if (c->scanout_id >= g->nscanouts)
		return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
	if (c->resource_id) {
		if (!res)
			return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
		if (res->kind != GPU_2D || !box_of(&c->r, res->width, res->height, &view.box))
			return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
		view.stride = 4 * res->width;
		view.format = res->format;
	}
	show(g, s, res, &view);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* Does the picture lie in a blob of that many bytes? One plane: all our formats have one. */
static bool lies_in(const struct virtio_gpu_set_scanout_blob *c, uint64_t bytes)
{
	return c->width && c->width <= EXO_DPY_SIZE_MAX && c->height &&
	       c->height <= EXO_DPY_SIZE_MAX && c->strides[0] % 4 == 0 && c->offsets[0] % 4 == 0 &&
	       c->strides[0] >= 4 * c->width &&
	       c->offsets[0] + (uint64_t)(c->height - 1) * c->strides[0] + 4ull * c->width <= bytes;
}

uint32_t gpu_set_scanout_blob(struct gpu *g)
{
	const struct virtio_gpu_set_scanout_blob *c = &g->cmd.set_scanout_blob;
	struct gpu_resource *res = gpu_find(g, c->resource_id);
	struct gpu_scanout *s = &g->scanout[c->scanout_id % EXO_DPY_SCANOUTS_MAX];
	struct gpu_view view = {0};

	if (c->scanout_id >= g->nscanouts)
		return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
	if (c->resource_id) {
		if (!res)
			return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
		if (res->kind == GPU_2D || !gpu_format(c->format) || !lies_in(c, res->bytes) ||
		    !box_of(&c->r, c->width, c->height, &view.box) ||
		    (res->kind == GPU_BLOB_HOST && res->place == GPU_NO_PLACE))
			return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
		if (!gpu_place(g, res))
			return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
		view.offset = c->offsets[0];
		view.stride = c->strides[0];
		view.format = gpu_format(c->format);
	}
	show(g, s, res, &view);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- damage ------------------------------------------------------------------------------------
 */

/* False: the backing is gone. */
static bool copy_damage(struct gpu *g, struct gpu_scanout *s, const struct gpu_box *b)
{
	uint64_t at = s->view.offset + (uint64_t)b->y * s->view.stride + 4ull * b->x;

	if (!gpu_copy(g, s->res, at, at, s->view.stride, 4ull * b->width, b->height))
		return false;
	s->say_picture |= s->stale;
	s->stale = false;
	return true;
}

/* The command waits until this has been presented, if it could be said at once. */
static void damage(struct gpu *g, struct gpu_scanout *s, struct gpu_box b)
{
	uint32_t before = s->flushed;

	b.x -= s->view.box.x;
	b.y -= s->view.box.y;
	s->late = around(s->late, b);
	speak(g, s);
	if (s->flushed == before)
		return;
	if (!g->waiting)
		g->waiting = pending_get(g);
	if (g->waiting) {
		g->waiting->waits |= 1u << index_of(g, s);
		g->waiting->sequence[index_of(g, s)] = s->flushed;
	}
}

/* Of a blob nothing was copied before the first flush that meets what is shown: then all is. */
uint32_t gpu_flush(struct gpu *g)
{
	const struct virtio_gpu_resource_flush *c = &g->cmd.flush;
	struct gpu_resource *res = gpu_find(g, c->resource_id);

	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (res->kind == GPU_2D && (c->r.x > res->width || c->r.width > res->width - c->r.x ||
				    c->r.y > res->height || c->r.height > res->height - c->r.y))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	for (unsigned i = 0; i < g->nscanouts; i++) {
		struct gpu_scanout *s = &g->scanout[i];
		struct gpu_box b = part(&c->r, &s->view.box);

		if (s->res != res || !b.width)
			continue;
		if (s->stale)
			b = s->view.box;
		if (res->kind == GPU_BLOB_GUEST && !copy_damage(g, s, &b))
			return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
		damage(g, s, b);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- the cursor
 * ---------------------------------------------------------------------------------- */

/* Sees to it that the cursor's picture is in a place of its resource: 0, or the error. */
static uint32_t prepare_cursor(struct gpu *g, struct gpu_resource *res)
{
	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (res->kind == GPU_2D
		    ? res->width != EXO_DPY_CURSOR_SIZE || res->height != EXO_DPY_CURSOR_SIZE ||
			      res->format == EXO_DPY_FORMAT_XBGR
		    : res->bytes < GPU_CURSOR_BYTES)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (res->kind == GPU_BLOB_HOST && res->place == GPU_NO_PLACE)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (!gpu_place(g, res))
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	if (res->kind == GPU_BLOB_GUEST &&
	    !gpu_copy(g, res, 0, 0, GPU_CURSOR_BYTES, GPU_CURSOR_BYTES, 1))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	return 0;
}

/* 5.7.6.10. Where it is, the desktop knows better: MOVE_CURSOR is only checked. */
uint32_t gpu_cursor(struct gpu *g)
{
	const struct virtio_gpu_update_cursor *c = &g->cmd.cursor;
	struct gpu_resource *res = gpu_find(g, c->resource_id);
	struct gpu_scanout *s = &g->scanout[c->pos.scanout_id % EXO_DPY_SCANOUTS_MAX];
	uint32_t error;

	if (c->pos.scanout_id >= g->nscanouts)
		return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
	if (c->hdr.type == VIRTIO_GPU_CMD_MOVE_CURSOR)
		return VIRTIO_GPU_RESP_OK_NODATA;
	error = c->resource_id ? prepare_cursor(g, res) : 0;
	if (error)
		return error;
	s->cursor = res;
	s->hot_x = c->hot_x < EXO_DPY_CURSOR_SIZE ? c->hot_x : EXO_DPY_CURSOR_SIZE - 1;
	s->hot_y = c->hot_y < EXO_DPY_CURSOR_SIZE ? c->hot_y : EXO_DPY_CURSOR_SIZE - 1;
	s->say_cursor = true;
	speak(g, s);
	return VIRTIO_GPU_RESP_OK_NODATA;
}
