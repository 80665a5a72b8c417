/*
 * virtio-gpu, 2D and blob resources (VIRTIO 1.2, 5.7), features EDID and
 * RESOURCE_BLOB. Pictures lie in the picture memory (exo/display.h), which is
 * also the device's shared memory region VIRTIO_GPU_SHM_ID_HOST_VISIBLE:
 *
 *	2D resources, and blobs of guest memory: the device finds a place for the host's copy;
 *	the damage is copied at TRANSFER_TO_HOST_2D, or at FLUSH for a blob.
 *	HOST3D blobs (context 0) with USE_MAPPABLE: lie where the driver maps them in the region
 *	(RESOURCE_MAP_BLOB; ERR if that is taken). Drawing there is drawing in the picture that the
 *	desktop shows: no copy, no exit.
 *
 * A RESOURCE_FLUSH is answered when the desktop has presented it (at once without a
 * desktop, and when the scanout shows nothing any more): a guest that waits for it draws as
 * many frames as can be seen. A blob of guest memory is seen from its first flush on.
 *
 * Limits: the places of all resources together at most the picture memory (H-22), 256
 * resources, 16384 pixels a side, 65536 backing entries in all. System calls after create:
 * madvise.
 */
#ifndef GPU_H
#define GPU_H

#include "desk.h"
#include "vdev.h"

struct gpu_resources {
	struct desk *desk;             /* not owned; outlives the device */
	unsigned scanouts;             /* 1 … EXO_DPY_SCANOUTS_MAX */
	uint32_t width, height, scale; /* of scanout 0 until the desktop says otherwise */
};

/* The device, or NULL with errno set. dev->shm_base is the owner's to set. */
struct vdev *gpu_create(const struct gmem *mem, const struct vdev_host *host,
			const struct gpu_resources *res);

#endif
