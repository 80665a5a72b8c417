/*
 * virtio-gpu's resources (VIRTIO 1.2, 5.7.6): their places in the picture
 * memory, their backing in guest memory, and copies from this to that. Lock held,
 * see gpu_impl.h.
 *
 * Everything a guest says is checked when it says it, and what can change
 * afterwards when it is used (H-22, H-23): memory is kept as guest addresses.
 */
#include "gpu_impl.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

/* ---- places: those in use, in order ----------------------------------------------- */

static uint64_t room_for(const struct gpu_resource *res)
{
	return (res->bytes + GPU_PAGE - 1) / GPU_PAGE * GPU_PAGE; /* bytes ≤ picture memory */
}

static uint64_t end_of(const struct gpu_resource *res)
{
	return res->place + room_for(res);
}

/* Before the i-th of the others. */
static void settle(struct gpu *g, struct gpu_resource *res, uint64_t place, unsigned i)
{
	memmove(&g->placed[i + 1], &g->placed[i], (g->nplaced - i) * sizeof(g->placed[0]));
	g->placed[i] = res;
	g->nplaced++;
	res->place = place;
}

/* From the end on, as drivers map from the beginning. */
bool gpu_place(struct gpu *g, struct gpu_resource *res)
{
	uint64_t need = room_for(res), end = g->picture_bytes;

	if (res->place != GPU_NO_PLACE)
		return true;
	for (unsigned i = g->nplaced;; i--) {
		uint64_t begin = i ? end_of(g->placed[i - 1]) : 0;

		if (end - begin >= need) {
			settle(g, res, end - need, i);
			return true;
		}
		if (!i)
			return false;
		end = g->placed[i - 1]->place;
	}
}

/* The caller has checked that it lies in the picture memory. False: taken. */
static bool place_at(struct gpu *g, struct gpu_resource *res, uint64_t place)
{
	unsigned i = 0;

	while (i < g->nplaced && g->placed[i]->place < place)
		i++;
	if (i && end_of(g->placed[i - 1]) > place)
		return false;
	if (i < g->nplaced && place + room_for(res) > g->placed[i]->place)
		return false;
	settle(g, res, place, i);
	return true;
}

/* Its memory goes back to the host; whoever gets the place next finds zeros. */
static void displace(struct gpu *g, struct gpu_resource *res)
{
	unsigned i = 0;

	if (res->place == GPU_NO_PLACE)
		return;
	while (g->placed[i] != res)
		i++;
	g->nplaced--;
	memmove(&g->placed[i], &g->placed[i + 1], (g->nplaced - i) * sizeof(g->placed[0]));
	if (madvise(g->picture + res->place, room_for(res), MADV_REMOVE))
		memset(g->picture + res->place, 0, room_for(res));
	res->place = GPU_NO_PLACE;
}

/* ---- the table ------------------------------------------------------------------------ */

struct gpu_resource *gpu_find(struct gpu *g, uint32_t id)
{
	for (unsigned i = 0; id && i < GPU_RESOURCES_MAX; i++) {
		if (g->resource[i].id == id)
			return &g->resource[i];
	}
	return NULL;
}

/* A free one, or NULL and *error. It is not taken before it has its id. */
static struct gpu_resource *unused(struct gpu *g, uint32_t id, uint32_t *error)
{
	*error = VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (!id || gpu_find(g, id))
		return NULL;
	*error = VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	for (unsigned i = 0; i < GPU_RESOURCES_MAX; i++) {
		struct gpu_resource *res = &g->resource[i];

		if (!res->id) {
			*res = (struct gpu_resource){.place = GPU_NO_PLACE};
			return res;
		}
	}
	return NULL;
}

/* Limit: formats whose padding or alpha comes first (of big-endian drivers) are not known. */
uint32_t gpu_format(uint32_t virtio_format)
{
	switch (virtio_format) {
	case VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM:
		return EXO_DPY_FORMAT_XRGB;
	case VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM:
		return EXO_DPY_FORMAT_ARGB;
	case VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM:
	case VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM:
		return EXO_DPY_FORMAT_XBGR;
	default:
		return 0;
	}
}

uint32_t gpu_create_2d(struct gpu *g)
{
	const struct virtio_gpu_resource_create_2d *c = &g->cmd.create_2d;
	uint32_t format = gpu_format(c->format), error;
	struct gpu_resource *res = unused(g, c->resource_id, &error);

	if (!res)
		return error;
	if (!format || !c->width || c->width > EXO_DPY_SIZE_MAX || !c->height ||
	    c->height > EXO_DPY_SIZE_MAX)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	res->kind = GPU_2D;
	res->width = c->width;
	res->height = c->height;
	res->format = format;
	res->bytes = 4ull * c->width * c->height;
	if (res->bytes > g->picture_bytes || !gpu_place(g, res))
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	res->id = c->resource_id;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- backing ------------------------------------------------------------------------------ */

/* The entries of others move together. */
static void detach(struct gpu *g, struct gpu_resource *res)
{
	uint32_t end = res->first + res->entries;

	if (!res->entries)
		return;
	memmove(&g->entry[res->first], &g->entry[end], (g->nentries - end) * sizeof(g->entry[0]));
	for (unsigned i = 0; i < GPU_RESOURCES_MAX; i++) {
		if (g->resource[i].entries && g->resource[i].first >= end)
			g->resource[i].first -= res->entries;
	}
	g->work += (g->nentries - end) * sizeof(g->entry[0]);
	g->nentries -= res->entries;
	res->first = res->entries = 0;
	res->backed = 0;
}

/* Reads n entries from the command: VIRTIO_GPU_RESP_*. */
static uint32_t attach(struct gpu *g, struct gpu_resource *res, uint32_t n)
{
	struct virtio_gpu_mem_entry e;
	uint64_t backed = 0;
	uint32_t used = 0;

	if (vq_readable(&g->chain) < (uint64_t)n * sizeof(e))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (n > GPU_ENTRIES_MAX - g->nentries)
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < n; i++) {
		vq_read(&g->chain, &e, sizeof(e));
		if (!gmem_ptr(g->dev.mem, e.addr, e.length))
			return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
		if (!e.length)
			continue;
		g->entry[g->nentries + used++] = (struct gpu_entry){e.addr, e.length};
		backed += e.length;
	}
	g->work += n * sizeof(e);
	res->first = g->nentries;
	res->entries = used;
	res->backed = backed;
	g->nentries += used;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_attach_backing(struct gpu *g)
{
	struct gpu_resource *res = gpu_find(g, g->cmd.attach.resource_id);

	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (res->kind == GPU_BLOB_HOST || res->entries || !g->cmd.attach.nr_entries)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	return attach(g, res, g->cmd.attach.nr_entries);
}

uint32_t gpu_detach_backing(struct gpu *g)
{
	struct gpu_resource *res = gpu_find(g, g->cmd.detach.resource_id);

	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (!res->entries)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	detach(g, res);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- copies --------------------------------------------------------------------------------- */

/* Where in a backing a copy is: rows come in order, so it only goes forward. */
struct place {
	const struct gpu_entry *entry;
	uint64_t begin; /* of it, in the backing */
};

/* The caller has checked that the backing is that long. */
static bool copy_row(struct gpu *g, struct place *at, uint64_t src, uint8_t *dst, uint64_t len)
{
	while (len) {
		uint64_t here;
		const void *p;

		while (src - at->begin >= at->entry->len) {
			at->begin += at->entry->len;
			at->entry++;
			g->work += sizeof(*at->entry);
		}
		here = at->entry->len - (src - at->begin);
		here = here < len ? here : len;
		p = gmem_ptr(g->dev.mem, at->entry->gpa + (src - at->begin), here);
		if (!p)
			return false;
		memcpy(dst, p, here);
		gmem_fetched(g->dev.mem, at->entry->gpa + (src - at->begin), here);
		src += here;
		dst += here;
		len -= here;
	}
	return true;
}

bool gpu_copy(struct gpu *g, const struct gpu_resource *res, uint64_t src, uint64_t dst,
	      uint64_t stride, uint64_t row_bytes, uint32_t rows)
{
	struct place at = {.entry = &g->entry[res->first]};
	uint64_t span;

	if (!rows || !row_bytes)
		return true;
	span = stride * (rows - 1) + row_bytes; /* stride < 2^32, rows ≤ EXO_DPY_SIZE_MAX */
	if (src > res->backed || span > res->backed - src)
		return false;
	assert(res->place != GPU_NO_PLACE && dst + span <= res->bytes);
	g->work += row_bytes * rows + 64ull * rows;
	if (row_bytes == stride) {
		row_bytes = span;
		rows = 1;
	}
	for (uint32_t i = 0; i < rows; i++) {
		if (!copy_row(g, &at, src + stride * i, g->picture + res->place + dst + stride * i,
			      row_bytes))
			return false;
	}
	return true;
}

/*
 * The backing has the picture's own stride; `offset` says where in it the rectangle
 * begins. Of blobs nothing is transferred: their backing is the resource (Linux says it all the
 * same, of cursors).
 */
uint32_t gpu_transfer(struct gpu *g)
{
	const struct virtio_gpu_transfer_to_host_2d *c = &g->cmd.transfer;
	struct gpu_resource *res = gpu_find(g, c->resource_id);
	uint64_t stride;

	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (res->kind != GPU_2D)
		return VIRTIO_GPU_RESP_OK_NODATA;
	if (c->r.x > res->width || c->r.width > res->width - c->r.x || c->r.y > res->height ||
	    c->r.height > res->height - c->r.y)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	stride = 4ull * res->width;
	if (!gpu_copy(g, res, c->offset, c->r.y * stride + 4ull * c->r.x, stride, 4ull * c->r.width,
		      c->r.height))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- blobs ------------------------------------------------------------------------------------
 */

static uint32_t blob_kind(const struct virtio_gpu_resource_create_blob *c, enum gpu_kind *kind)
{
	if (c->blob_flags &
	    ~(VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE | VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (c->blob_mem == VIRTIO_GPU_BLOB_MEM_GUEST) {
		*kind = GPU_BLOB_GUEST;
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	if (c->blob_mem != VIRTIO_GPU_BLOB_MEM_HOST3D || c->nr_entries ||
	    !(c->blob_flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	*kind = GPU_BLOB_HOST;
	return c->hdr.ctx_id ? VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID : VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_create_blob(struct gpu *g)
{
	const struct virtio_gpu_resource_create_blob *c = &g->cmd.create_blob;
	uint32_t error, resp;
	struct gpu_resource *res = unused(g, c->resource_id, &error);

	if (!res)
		return error;
	resp = blob_kind(c, &res->kind);
	if (resp != VIRTIO_GPU_RESP_OK_NODATA)
		return resp;
	if (!c->size || c->size % 4)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (c->size > g->picture_bytes)
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	res->bytes = c->size;
	if (c->nr_entries) {
		resp = attach(g, res, c->nr_entries);
		if (resp != VIRTIO_GPU_RESP_OK_NODATA)
			return resp;
		if (res->backed < res->bytes) {
			detach(g, res);
			return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
		}
	}
	res->id = c->resource_id;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_map_blob(struct gpu *g)
{
	const struct virtio_gpu_resource_map_blob *c = &g->cmd.map;
	struct gpu_resource *res = gpu_find(g, c->resource_id);
	uint64_t window = g->dev.shm_bytes;

	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	window = window < g->picture_bytes ? window : g->picture_bytes;
	if (res->kind != GPU_BLOB_HOST || res->place != GPU_NO_PLACE || c->offset % GPU_PAGE ||
	    c->offset > window || room_for(res) > window - c->offset)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (!place_at(g, res, c->offset))
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	g->resp.map_info.map_info = VIRTIO_GPU_MAP_CACHE_CACHED;
	return VIRTIO_GPU_RESP_OK_MAP_INFO;
}

/* What it held is gone with it. */
uint32_t gpu_unmap_blob(struct gpu *g)
{
	struct gpu_resource *res = gpu_find(g, g->cmd.unmap.resource_id);

	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (res->kind != GPU_BLOB_HOST || res->place == GPU_NO_PLACE)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	gpu_hide(g, res);
	displace(g, res);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- the end
 * -------------------------------------------------------------------------------------- */

static void forget(struct gpu *g, struct gpu_resource *res)
{
	gpu_hide(g, res);
	detach(g, res);
	displace(g, res);
	res->id = 0;
}

uint32_t gpu_unref(struct gpu *g)
{
	struct gpu_resource *res = gpu_find(g, g->cmd.unref.resource_id);

	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	forget(g, res);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

void gpu_forget_resources(struct gpu *g)
{
	for (unsigned i = 0; i < GPU_RESOURCES_MAX; i++) {
		if (g->resource[i].id)
			forget(g, &g->resource[i]);
	}
}
