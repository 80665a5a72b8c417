/*
 * The names of one client of the store as files (9P2000.L): "a/b" is file b in
 * folder a. An empty folder is kept by an object named FOLDER/.folder, which
 * listings leave out. Writing makes a new version of the name when the file is
 * synced or closed; who reads has the version that was there at open.
 *
 * Changes are durable at the caller's next disklog_commit: it commits before it
 * sends what the server has to say.
 */
#ifndef STORE_FILES_H
#define STORE_FILES_H

#include "disklog.h"

#include <exo_9p.h>

#define FILES_BYTES_MAX (16u << 20) /* of a file that is written; it is in memory meanwhile */
#define FILES_OPEN_MAX (24u << 20)  /* of all of them together */

/* One connection's. `space` is the client's, "" for all; both live as long. */
struct files {
	struct disklog *log;
	const char *space;
};

extern const struct p9_backend files_backend; /* its fs: a struct files */

#endif
