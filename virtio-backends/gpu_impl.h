/*
 * Private to gpu.c (the device, its queues), gpu_resource.c (resources, their
 * places in the picture memory, their backing), gpu_scanout.c (what is shown) and
 * gpu_edid.c. Called with the device's lock held.
 */
#ifndef GPU_IMPL_H
#define GPU_IMPL_H

#include "gpu.h"

#include <linux/virtio_gpu.h>

#define GPU_QUEUE_SIZE 256
#define GPU_CURSOR_BYTES (EXO_DPY_CURSOR_SIZE * EXO_DPY_CURSOR_SIZE * 4)
#define GPU_PAGE 4096u
#define GPU_NO_PLACE UINT64_MAX
#define GPU_EDID_BYTES 128
#define GPU_EDID_OF(scanout) (1u << (scanout))
#define GPU_INFO (1u << 31)

/* What GET_DISPLAY_INFO and GET_EDID say of a scanout; width 0: not plugged in. */
struct gpu_mode {
	uint32_t width, height;
	uint32_t scale; /* 120ths */
	uint32_t refresh_mhz;
};

enum gpu_kind {
	GPU_2D,         /* the place holds what was transferred */
	GPU_BLOB_GUEST, /* the place holds a copy of the backing, once it is shown */
	GPU_BLOB_HOST,  /* the place is where the driver maps it */
};

struct gpu_resource {
	uint32_t id; /* 0: free */
	enum gpu_kind kind;
	uint32_t width, height, format; /* 2D; EXO_DPY_FORMAT_* */
	uint64_t bytes;
	uint64_t place;          /* in picture memory, or GPU_NO_PLACE */
	uint32_t first, entries; /* of the backing, in gpu.entry */
	uint64_t backed;         /* bytes of it */
};

struct gpu_entry {
	gpa_t gpa;
	uint32_t len; /* not 0 */
};

struct gpu_box {
	uint32_t x, y, width, height;
};

/* A part of a picture that lies in a resource. */
struct gpu_view {
	uint64_t offset; /* of the picture's first pixel in the resource */
	uint32_t stride, format;
	struct gpu_box box; /* the part */
};

struct gpu_scanout {
	struct gpu_mode mode;

	struct gpu_resource *res; /* what is shown, or NULL */
	struct gpu_view view;
	bool stale; /* a blob of the guest's memory, of which no copy was made yet */

	uint32_t flushed, presented; /* sequence numbers: last one sent, last one answered */
	uint32_t spoken;             /* messages since the desktop last answered one */
	struct gpu_resource *told;   /* what the desktop thinks that is shown */
	bool say_picture, say_cursor;
	struct gpu_box late; /* damage that is to be said; of the part's own coordinates */

	struct gpu_resource *cursor; /* NULL: hidden */
	uint32_t hot_x, hot_y;
};

/* A flush that the desktop has not presented yet: its answer is written, not yet given. */
struct gpu_pending {
	uint32_t waits; /* bits: scanouts; 0: free */
	uint16_t head;
	uint32_t len;
	uint32_t sequence[EXO_DPY_SCANOUTS_MAX];
};

union gpu_command {
	struct virtio_gpu_ctrl_hdr hdr;
	struct virtio_gpu_cmd_get_edid get_edid;
	struct virtio_gpu_resource_create_2d create_2d;
	struct virtio_gpu_resource_unref unref;
	struct virtio_gpu_resource_attach_backing attach;
	struct virtio_gpu_resource_detach_backing detach;
	struct virtio_gpu_transfer_to_host_2d transfer;
	struct virtio_gpu_set_scanout set_scanout;
	struct virtio_gpu_set_scanout_blob set_scanout_blob;
	struct virtio_gpu_resource_flush flush;
	struct virtio_gpu_resource_create_blob create_blob;
	struct virtio_gpu_resource_map_blob map;
	struct virtio_gpu_resource_unmap_blob unmap;
	struct virtio_gpu_update_cursor cursor;
};

union gpu_response {
	struct virtio_gpu_ctrl_hdr hdr;
	struct virtio_gpu_resp_display_info display_info;
	struct virtio_gpu_resp_edid edid;
	struct virtio_gpu_resp_map_info map_info;
};

/* Bounds of what a guest can make us keep; see also gpu.h. */
#define GPU_RESOURCES_MAX 256
#define GPU_ENTRIES_MAX 65536u /* of all resources together: 256 MiB in single pages */
#define GPU_PENDING_MAX 128    /* half of the queue: a driver always finds room for others */

struct gpu {
	struct vdev dev;
	struct virtio_gpu_config config;
	struct desk *desk;
	bool there; /* a desktop, which has been told all */
	uint8_t *picture;
	uint64_t picture_bytes;
	unsigned nscanouts;
	/* Of the event that is raised: bits GPU_EDID_OF(scanout) and GPU_INFO. */
	uint32_t answered; /* what the driver has asked since */
	uint32_t stale;    /* what of this has changed after it was answered */
	struct gpu_scanout scanout[EXO_DPY_SCANOUTS_MAX];
	struct gpu_resource resource[GPU_RESOURCES_MAX];
	struct gpu_resource *placed[GPU_RESOURCES_MAX]; /* in the order of their places */
	unsigned nplaced;
	struct gpu_pending pending[GPU_PENDING_MAX];
	struct gpu_pending *waiting; /* the command being run becomes this one */
	uint64_t work;               /* of this turn, as if bytes copied */

	union gpu_command cmd;
	union gpu_response resp;
	struct vq_chain chain; /* the one being decoded */
	uint32_t nentries;
	struct gpu_entry entry[GPU_ENTRIES_MAX]; /* pages of it come into being when used */
};

/* ---- gpu_edid.c --------------------------------------------------------------- */

/* VESA E-EDID 1.4 of a display with that mode as its preferred one. */
void gpu_edid(uint8_t edid[GPU_EDID_BYTES], const struct gpu_mode *m, unsigned scanout);

/* ---- gpu_resource.c: commands give VIRTIO_GPU_RESP_* ---------------------------- */

uint32_t gpu_create_2d(struct gpu *g);
uint32_t gpu_create_blob(struct gpu *g);
uint32_t gpu_unref(struct gpu *g);
uint32_t gpu_attach_backing(struct gpu *g);
uint32_t gpu_detach_backing(struct gpu *g);
uint32_t gpu_transfer(struct gpu *g);
uint32_t gpu_map_blob(struct gpu *g);
uint32_t gpu_unmap_blob(struct gpu *g);

/* NULL if there is none. */
struct gpu_resource *gpu_find(struct gpu *g, uint32_t id);
/* Finds a place for it, if it has none. False: the picture memory is full. */
bool gpu_place(struct gpu *g, struct gpu_resource *res);
/*
 * Copies rows of the backing, from src on, to the place, from dst on; rows are
 * `stride` apart in both. The caller has checked that dst lies in the place. False: not
 * all of it is backed by RAM.
 */
bool gpu_copy(struct gpu *g, const struct gpu_resource *res, uint64_t src, uint64_t dst,
	      uint64_t stride, uint64_t row_bytes, uint32_t rows);
/* EXO_DPY_FORMAT_*, or 0: not known. */
uint32_t gpu_format(uint32_t virtio_format);
void gpu_forget_resources(struct gpu *g);

/* ---- gpu_scanout.c --------------------------------------------------------------- */

uint32_t gpu_set_scanout(struct gpu *g);
uint32_t gpu_set_scanout_blob(struct gpu *g);
uint32_t gpu_flush(struct gpu *g);
uint32_t gpu_cursor(struct gpu *g);

/* Nothing shows this resource any more. */
void gpu_hide(struct gpu *g, const struct gpu_resource *res);
void gpu_presented(struct gpu *g, const struct exo_dpy_presented *p);
/* A desktop is there and hears all that holds, or none is. */
void gpu_attached(struct gpu *g, bool there);

#endif
