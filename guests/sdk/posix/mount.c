/* The table of mounts, made from the environment when a path is first looked at. */
#include "tree.h"

#include <exo_devices.h>
#include <fcntl.h>

static APART struct mount_point mounts[MOUNTS_MAX];
static unsigned nmounts;
static bool looked;

static const char *variable(const char *name)
{
	const char *p = (const char *)boot + (boot ? boot->env_off : 0);
	size_t len = strlen(name);

	for (uint32_t i = 0; boot && i < boot->envc; i++, p += strlen(p) + 1)
		if (!strncmp(p, name, len) && p[len] == '=')
			return p + len + 1;
	return NULL;
}

static bool number(const char **p, uint32_t *out)
{
	uint64_t v = 0;
	const char *from = *p;

	for (; **p >= '0' && **p <= '9' && v <= UINT32_MAX; ++*p)
		v = 10 * v + (uint64_t)(**p - '0');
	*out = (uint32_t)v;
	return *p != from && v <= UINT32_MAX;
}

static struct mount_point *at_path(const char *path, size_t len)
{
	for (unsigned i = 0; i < nmounts; i++)
		if (mounts[i].len == len && !memcmp(mounts[i].path, path, len))
			return &mounts[i];
	if (nmounts == MOUNTS_MAX)
		return NULL;
	mounts[nmounts] = (struct mount_point){.path = path, .len = len};
	return &mounts[nmounts++];
}

/* "/path=port[,ro]"; true: it is one. */
static bool add(const char *p, const char *end)
{
	const char *path = p, *equals = NULL;
	struct mount_point *m;
	uint32_t port;
	bool read_only;

	for (; p < end; p++) /* the last one: paths may have any other character */
		equals = *p == '=' ? p : equals;
	if (*path != '/' || !equals)
		return false;
	p = equals + 1;
	if (!number(&p, &port))
		return false;
	read_only = end - p == 3 && !memcmp(p, ",ro", 3);
	if (p != end && !read_only)
		return false;
	while (equals > path && equals[-1] == '/')
		equals--;
	m = at_path(path, (size_t)(equals - path));
	if (!m || m->nlayers == LAYERS_MAX)
		return false;
	if (m->nlayers == 0)
		m->read_only = read_only;
	m->layer[m->nlayers++].port = port;
	return true;
}

static void look(void)
{
	static const char complaint[] = "exo: EXO_MOUNTS: not /path=port[,ro];…\n";
	const char *p = looked ? NULL : variable("EXO_MOUNTS");

	looked = true;
	while (p && *p) {
		const char *end = p;

		while (*end && *end != ';')
			end++;
		if (end > p && !add(p, end))
			tty_report(complaint, sizeof(complaint) - 1);
		p = *end ? end + 1 : end;
	}
}

bool mount_any(void)
{
	look();
	return nmounts;
}

struct mount_point *mount_find(const char *path)
{
	struct mount_point *best = NULL;

	look();
	for (unsigned i = 0; i < nmounts; i++) {
		struct mount_point *m = &mounts[i];

		if (strncmp(path, m->path, m->len) != 0 || (path[m->len] && path[m->len] != '/'))
			continue;
		if (!best || m->len > best->len)
			best = m;
	}
	return best;
}

/* Is the mount below the path? What is left of its own. */
static const char *rest_of(const struct mount_point *m, const char *path)
{
	size_t len = strlen(path);

	if (m->len < len || memcmp(m->path, path, len) != 0)
		return NULL;
	return m->len == len || m->path[len] == '/' ? m->path + len : NULL;
}

bool mount_below(const char *path, bool here)
{
	look();
	for (unsigned i = 0; i < nmounts; i++) {
		const char *rest = rest_of(&mounts[i], path);

		if (rest && (here || rest < mounts[i].path + mounts[i].len))
			return true;
	}
	return false;
}

size_t mount_name(const char *path, unsigned index, const char **name)
{
	look();
	for (unsigned i = 0; i < nmounts; i++) {
		const char *end = mounts[i].path + mounts[i].len;
		const char *rest = rest_of(&mounts[i], path);
		size_t len = 0;

		if (!rest || rest == end || index-- > 0)
			continue;
		*name = rest + 1;
		while (*name + len < end && (*name)[len] != '/')
			len++;
		return len;
	}
	return 0;
}

/* EXO_SYS_MOUNT: for files that the person hands over while the program runs. */
long mount_add(const char *path, uint32_t port, unsigned flags)
{
	char clean[TREE_PATH_MAX], *kept;
	struct mount_point *m;
	bool is_dir;
	size_t len;
	int err = *path == '/' ? tree_clean(AT_FDCWD, path, clean, &is_dir) : -EINVAL;

	if (err < 0 || flags & ~EXO_MOUNT_READ_ONLY)
		return err < 0 ? err : -EINVAL;
	look();
	len = strlen(clean);
	for (unsigned i = 0; i < nmounts; i++)
		if (mounts[i].len == len && !memcmp(mounts[i].path, clean, len))
			return -EBUSY;
	if (nmounts == MOUNTS_MAX)
		return -ENOSPC;
	kept = mem_alloc(len + 1);
	if (!kept)
		return -ENOMEM;
	memcpy(kept, clean, len + 1);
	m = at_path(kept, len);
	m->read_only = flags & EXO_MOUNT_READ_ONLY;
	m->layer[m->nlayers++].port = port;
	return 0;
}
