/* See programs.h. */
#include "programs.h"

#include "manifest.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct program *)a)->name, ((const struct program *)b)->name);
}

const struct program *programs_find(const struct programs *p, const char *name)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (!strcmp(p->program[i].name, name))
			return &p->program[i];
	}
	return NULL;
}

static void describe(struct program *to, const struct manifest *m)
{
	snprintf(to->label, sizeof(to->label), "%s", m->label);
	to->colour = m->colour;
	if (m->description)
		snprintf(to->description, sizeof(to->description), "%s", m->description);
	if (access(m->file, R_OK) != 0)
		snprintf(to->wrong, sizeof(to->wrong), "its program %.200s: %s", m->file,
			 strerror(errno));
}

/* folder/name.tail; is it one of ours, and not known yet? */
static int add(struct programs *all, const char *folder, const char *file)
{
	size_t n = strlen(file), stem = n > 4 ? n - 4 : 0;
	bool manifest = stem && !strcmp(file + stem, ".exo");
	char name[sizeof(all->program[0].name)], path[PATH_BYTES], why[MANIFEST_WHY_MAX];
	struct program *more, *to;
	struct manifest *m = NULL;

	if (!stem || stem >= sizeof(name) || (!manifest && strcmp(file + stem, ".elf") != 0))
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)stem, file);
	if (programs_find(all, name) || all->n == PROGRAMS_MAX ||
	    (size_t)snprintf(path, sizeof(path), "%s/%s", folder, file) >= sizeof(path))
		return 0;
	more = realloc(all->program, (all->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	all->program = more;
	to = &more[all->n++];
	*to = (struct program){.colour = 0x808080, .label = "untrusted"};
	memcpy(to->name, name, sizeof(name));
	memcpy(to->path, path, sizeof(path));
	if (!manifest)
		return 0;
	if (manifest_load(path, &m, why))
		snprintf(to->wrong, sizeof(to->wrong), "%.255s", why);
	else
		describe(to, m);
	manifest_free(m);
	return 0;
}

/* Manifests first, so that a program with one is known by it. */
static int read_folder(struct programs *all, const char *folder)
{
	static const char *const tails[] = {".exo", ".elf"};
	int err = 0;

	for (unsigned t = 0; t < 2 && !err; t++) {
		DIR *dir = opendir(folder);
		const struct dirent *e;

		while (dir && !err && (e = readdir(dir)) != NULL) {
			size_t n = strlen(e->d_name);

			if (n > 4 && !strcmp(e->d_name + n - 4, tails[t]))
				err = add(all, folder, e->d_name);
		}
		if (dir)
			closedir(dir);
	}
	return err;
}

static int read_list(struct programs *all, const char *folders)
{
	char folder[PATH_BYTES];
	int err = 0;

	while (folders && *folders && !err) {
		size_t n = strcspn(folders, ":");

		if (n && n < sizeof(folder)) {
			snprintf(folder, sizeof(folder), "%.*s", (int)n, folders);
			err = read_folder(all, folder);
		}
		folders += n + (folders[n] == ':');
	}
	return err;
}

static int read_own(struct programs *all)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	char folder[PATH_BYTES];

	if (data && *data)
		snprintf(folder, sizeof(folder), "%s/exo/guests", data);
	else if (home && *home)
		snprintf(folder, sizeof(folder), "%s/.local/share/exo/guests", home);
	else
		return 0;
	return read_folder(all, folder);
}

static int read_beside_us(struct programs *all)
{
	static const char *const tails[] = {"../guests", "../lib/exo/guests"};
	char self[PATH_BYTES], folder[PATH_BYTES + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	int err = 0;

	if (n <= 0)
		return 0;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return 0;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]) && !err; i++) {
		snprintf(folder, sizeof(folder), "%s/%s", self, tails[i]);
		err = read_folder(all, folder);
	}
	return err;
}

int programs_read(struct programs *p)
{
	int err;

	*p = (struct programs){0};
	err = read_list(p, getenv("EXO_PATH"));
	if (!err)
		err = read_own(p);
	if (!err)
		err = read_beside_us(p);
	if (p->n)
		qsort(p->program, p->n, sizeof(*p->program), by_name);
	return err;
}

void programs_free(struct programs *p)
{
	free(p->program);
	*p = (struct programs){0};
}
