/*
 * exo-fs: serves one folder of the host, or one file, by 9P2000.L. A process of its own for
 * each mount, in a sandbox (fs_sandbox.c), because what it decodes comes from a
 * guest. fd 3 is a SEQPACKET socket over which connected stream sockets come, one
 * a packet of one byte; fd 4 is the folder, or the open file. One thread; no state but the open
 * connections. It ends when fd 3 has hung up and the last connection too: a
 * session that died takes no mounts away from guests that live on.
 */
#ifndef FS_H
#define FS_H

#include "p9_server.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define FS_CONTROL_FD 3
#define FS_ROOT_FD 4
#define FS_PROC_FD 5      /* /proc/self/fd: an O_PATH fd is opened through it */
#define FS_CONNS_MAX 16   /* Limit: a connection more is closed at once */
#define FS_FILES_MAX 8192 /* Limit: fds of the process; then EMFILE for the guest */

/* A file, folder or whatever has the name, without having it opened: an O_PATH fd. */
struct fs_node {
	unsigned refs;
	int fd;
	mode_t type; /* S_IFMT */
};

/* An open file or folder. */
struct fs_file {
	int fd;
	uint64_t pos; /* of a folder: where its fd is, unless it was moved on */
	bool moved;
	bool append; /* fs_file.c: each write goes to its end */
};

/* fs_backend.c, over FS_ROOT_FD. `fs` of its functions is not used: NULL. */
extern const struct p9_backend fs_backend;

/* fs_names.c: the part of it that changes folders. */
int fs_walk(void *fs, void *dir, const char *name, void **node, struct p9_qid *qid);
int fs_create(void *fs, void *dir, const char *name, uint32_t flags, uint32_t mode, void **node,
	      void **file, struct p9_qid *qid);
int fs_mkdir(void *fs, void *dir, const char *name, uint32_t mode, struct p9_qid *qid);
int fs_symlink(void *fs, void *dir, const char *name, const char *target, struct p9_qid *qid);
int fs_link(void *fs, void *dir, const char *name, void *node);
int fs_unlink(void *fs, void *dir, const char *name, bool is_dir, void *node);
int fs_rename(void *fs, void *dir, const char *name, void *to_dir, const char *to_name, void *node);
long fs_readdir(void *fs, void *file, uint64_t off, void *buf, uint32_t n);

/* fs_file.c: a folder with just the open file FS_ROOT_FD in it, by this name. */
extern const char *fs_file_name;
void fs_file_backend(struct p9_backend *b);

struct p9_qid fs_qid(const struct stat *st);
/* A node for the fd, which it owns from then on; also when it fails. */
int fs_node_new(int fd, struct fs_node **node, struct p9_qid *qid);
/* The name of a node's fd in FS_PROC_FD. */
struct fs_fd_name {
	char s[12];
};
struct fs_fd_name fs_fd_name(const struct fs_node *node);

/* Those that are valid, of what the fd is. 0 or -errno. */
int fs_set_times(int fd, const struct p9_setattr *a);

/*
 * In this order, as the first things in the process: begin (one thread, fds 0 to
 * 4), then seal before anything is read from fd 3. 0 or -errno, with *what the
 * step that failed. one_file: fd 4 is a file.
 */
int fs_sandbox_begin(bool one_file, const char **what);
int fs_sandbox_seal(bool one_file, const char **what);

#endif
