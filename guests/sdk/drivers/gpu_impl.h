/* What the files of the gpu driver share: commands, and where flushes go. Ring 3. */
#ifndef DRIVERS_GPU_IMPL_H
#define DRIVERS_GPU_IMPL_H

#include "gpu.h"
#include "virtio.h"

#include "../posix/posix.h"

#include <linux/virtio_gpu.h>

#define GPU_SCANOUTS_MAX VIRTIO_GPU_MAX_SCANOUTS
#define GPU_SIZE_MAX 16384u /* pixels a side */
#define GPU_REQUEST_MAX 128

_Static_assert(sizeof(struct virtio_gpu_set_scanout_blob) <= GPU_REQUEST_MAX, "fits");

enum gpu_kind {
	GPU_WAITED, /* somebody sleeps for it */
	GPU_QUIET,  /* whether it failed shows in the scanout's next flush */
	GPU_FLUSH,
	GPU_INFO,
	GPU_EDID,
};

struct gpu_scanout {
	uint32_t shown;  /* picture; 0: none */
	uint32_t seen;   /* sequence of the last flush that was answered… */
	bool seen_fresh; /* …and nobody was told yet */
	unsigned flying; /* flushes that were not answered */
	int32_t error;
	uint32_t cursor; /* resource of its pointer; 0: none yet */
	uint32_t *cursor_pixels;
	struct exo_display_mode mode;
};

struct gpu_command {
	enum gpu_kind kind;
	uint32_t scanout;  /* QUIET, FLUSH, EDID */
	uint32_t sequence; /* FLUSH */
};

extern struct gpu_scanout gpu_scanout[GPU_SCANOUTS_MAX];
extern unsigned gpu_scanouts;
extern uint64_t gpu_region, gpu_region_bytes; /* shared memory; 0: none that can be used */

/* So many commands could be queued at once. */
unsigned gpu_room(void);
/* Queues one, which is copied; gpu_kick shows it. There must be room. */
void gpu_queue(struct gpu_command c, const void *request, uint32_t bytes);
void gpu_kick(void);
/* Sends one and waits for its answer. 0, -ENOMEM, -EINVAL, -EIO. */
int gpu_run(const void *request, uint32_t bytes);
/* A command of the cursor's queue; not waited for. False: no room. */
bool gpu_send_cursor(const struct virtio_gpu_update_cursor *c);
bool gpu_broken(void);

/* gpu_edid.c: scale and refresh rate; the mode is untouched where it says nothing. */
void gpu_read_edid(const uint8_t *edid, uint32_t bytes, struct exo_display_mode *mode);

#endif
