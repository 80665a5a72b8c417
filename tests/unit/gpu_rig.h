/*
 * A gpu, a driver for it and a desktop at the other end of its socket, for the
 * gpu's tests.
 */
#ifndef GPU_RIG_H
#define GPU_RIG_H

#include "desk.h"
#include "drv.h"
#include "gpu.h"

#include <linux/virtio_gpu.h>

#define GPU_RIG_PICTURE (2u << 20)
#define GPU_RIG_FB 0x100000ull /* guest memory for pictures: the upper half of the low region */
#define GPU_RIG_FB_BYTES 0x100000u

union gpu_rig_message {
	struct exo_dpy_header h;
	struct exo_dpy_hello hello;
	struct exo_dpy_scanout scanout;
	struct exo_dpy_flush flush;
	struct exo_dpy_cursor cursor;
	uint8_t bytes[EXO_DPY_MSG_MAX];
};

struct gpu_rig {
	struct drv d;
	struct desk *desk;
	uint8_t *picture; /* as the desktop sees it */
	int fd;           /* of the picture memory: our own */
	int peer;         /* the desktop's end, or -1 */
	gpa_t scratch;    /* commands and answers are built here, again and again */
	uint32_t len;     /* used length of the last answer */
	union {
		struct virtio_gpu_ctrl_hdr hdr;
		struct virtio_gpu_resp_display_info info;
		struct virtio_gpu_resp_edid edid;
		struct virtio_gpu_resp_map_info map;
	} resp; /* the last answer */
};

/* Started; without a desktop. 640 x 480 on scanout 0. */
void gpu_rig_init(struct gpu_rig *r, unsigned scanouts, uint64_t features);
void gpu_rig_finish(struct gpu_rig *r);

/* A desktop comes; its HELLO is taken. */
void gpu_rig_desktop(struct gpu_rig *r);
/* The next message to it; false if there is none. */
bool gpu_rig_hear(struct gpu_rig *r, union gpu_rig_message *m);
/* The next message, which must be of this type. */
void gpu_rig_expect(struct gpu_rig *r, enum exo_dpy_type type, union gpu_rig_message *m);
bool gpu_rig_silent(struct gpu_rig *r);
/* It says something; the device has heard it. */
void gpu_rig_mode(struct gpu_rig *r, uint32_t scanout, uint32_t width, uint32_t height,
		  uint32_t scale);
void gpu_rig_presented(struct gpu_rig *r, uint32_t scanout, uint32_t sequence);

/* Offers a command of len bytes with room for an answer, and rings; the head. */
uint16_t gpu_rig_offer(struct gpu_rig *r, unsigned q, const void *cmd, uint32_t len, uint32_t room);
/* The same, and there is an answer at once: its type, or 0 if it was left out. */
uint32_t gpu_rig_say(struct gpu_rig *r, const void *cmd, uint32_t len, uint32_t room);
uint32_t gpu_rig_cursor(struct gpu_rig *r, uint32_t type, uint32_t scanout, uint32_t id,
			uint32_t hot_x, uint32_t hot_y);

/* Commands on the control queue: the answer's type. */
uint32_t gpu_rig_create(struct gpu_rig *r, uint32_t id, uint32_t format, uint32_t width,
			uint32_t height);
uint32_t gpu_rig_unref(struct gpu_rig *r, uint32_t id);
uint32_t gpu_rig_attach(struct gpu_rig *r, uint32_t id, const struct virtio_gpu_mem_entry *e,
			uint32_t n);
uint32_t gpu_rig_detach(struct gpu_rig *r, uint32_t id);
uint32_t gpu_rig_transfer(struct gpu_rig *r, uint32_t id, struct virtio_gpu_rect rect,
			  uint64_t offset);
uint32_t gpu_rig_scanout(struct gpu_rig *r, uint32_t scanout, uint32_t id,
			 struct virtio_gpu_rect rect);
uint32_t gpu_rig_flush(struct gpu_rig *r, uint32_t id, struct virtio_gpu_rect rect);
/* Offers a flush that is not answered at once; its head. */
uint16_t gpu_rig_flush_late(struct gpu_rig *r, uint32_t id, struct virtio_gpu_rect rect);
uint32_t gpu_rig_blob(struct gpu_rig *r, uint32_t id, uint32_t mem, uint32_t flags, uint64_t size,
		      const struct virtio_gpu_mem_entry *e, uint32_t n);
uint32_t gpu_rig_scanout_blob(struct gpu_rig *r, uint32_t scanout, uint32_t id, uint32_t width,
			      uint32_t height, uint32_t stride, uint32_t offset);
uint32_t gpu_rig_map(struct gpu_rig *r, uint32_t id, uint64_t offset);
uint32_t gpu_rig_unmap(struct gpu_rig *r, uint32_t id);

/* Is the head answered by now? */
bool gpu_rig_answered(struct gpu_rig *r, uint16_t head);

#endif
