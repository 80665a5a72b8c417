/*
 * System calls on names of mounts, one function each; treetable.c has their numbers.
 * Results as the calls': 0 or more, or -errno. Paths are as programs give them.
 */
#ifndef POSIX_TREECALLS_H
#define POSIX_TREECALLS_H

#include "tree.h"

#include <sys/statfs.h>

int tree_open(int dirfd, const char *path, int flags, unsigned mode, struct file **out);
int tree_stat_at(int dirfd, const char *path, struct stat *st, int flags);
int tree_access(int dirfd, const char *path, int mode, int flags);
long tree_readlink(int dirfd, const char *path, char *buf, size_t len);
/* Also of an open folder, by "" */
int tree_chdir(int dirfd, const char *path);
int tree_statfs(const struct p9_ref *ref, struct statfs *out);
int tree_statfs_at(const char *path, struct statfs *out);
int tree_setattr_at(int dirfd, const char *path, bool follow, const struct p9_setattr *attr);
int tree_setattr_fd(int fd, const struct p9_setattr *attr);
/* Sets it; the one before. */
unsigned tree_umask(unsigned set);
unsigned tree_umask_now(void);

/* treenames.c */
int tree_mkdir(int dirfd, const char *path, unsigned mode);
int tree_symlink(const char *target, int dirfd, const char *path);
int tree_link(int fromfd, const char *from, int dirfd, const char *path, bool follow);
int tree_unlink(int dirfd, const char *path, bool want_dir);
int tree_rename(int fromfd, const char *from, int tofd, const char *to);

#endif
