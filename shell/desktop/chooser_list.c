/* The file chooser's folders; see chooser_impl.h. */
#include "chooser_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

void chooser_list_free(struct chooser *c)
{
	for (unsigned i = 0; i < c->count; i++)
		free(c->entry[i].name);
	free(c->entry);
	c->entry = NULL;
	c->count = c->chosen = c->top = 0;
}

/* Folders first, then by name. */
static int compare(const void *a, const void *b)
{
	const struct chooser_entry *x = a, *y = b;
	int order = strcasecmp(x->name, y->name);

	if (x->folder != y->folder)
		return x->folder ? -1 : 1;
	return order ? order : strcmp(x->name, y->name);
}

/* Files and folders alone: a name that is no text could not be said to a guest. */
static void add(struct chooser *c, int dir, const char *name)
{
	struct chooser_entry *e = &c->entry[c->count];
	struct stat st;

	if (!strcmp(name, ".") || !strcmp(name, "..") || (*name == '.' && !c->hidden))
		return;
	if (!desk_text_valid(name, strlen(name)) || fstatat(dir, name, &st, 0) ||
	    !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return;
	e->name = strdup(name);
	e->folder = S_ISDIR(st.st_mode);
	e->bytes = (uint64_t)st.st_size;
	c->count += e->name != NULL;
}

void chooser_list(struct chooser *c)
{
	DIR *dir = opendir(c->folder);
	const struct dirent *e;

	chooser_list_free(c);
	c->why[0] = c->replace[0] = '\0';
	c->entry = calloc(CHOOSER_ENTRIES_MAX, sizeof(*c->entry));
	if (!dir || !c->entry)
		snprintf(c->why, sizeof(c->why), "%.180s: %s", c->folder,
			 dir ? "no memory" : strerror(errno));
	while (dir && c->entry && c->count < CHOOSER_ENTRIES_MAX && (e = readdir(dir)))
		add(c, dirfd(dir), e->d_name);
	if (dir)
		closedir(dir);
	if (c->count)
		qsort(c->entry, c->count, sizeof(*c->entry), compare);
	c->chosen = c->count;
}

bool chooser_path(const char *folder, const char *typed, char out[CHOOSER_PATH_MAX])
{
	const char *home = getenv("HOME");
	int n;

	if (*typed == '/')
		n = snprintf(out, CHOOSER_PATH_MAX, "%s", typed);
	else if (typed[0] == '~' && typed[1] == '/' && home)
		n = snprintf(out, CHOOSER_PATH_MAX, "%s%s", home, typed + 1);
	else
		n = snprintf(out, CHOOSER_PATH_MAX, "%s/%s", strcmp(folder, "/") ? folder : "",
			     typed);
	return n < CHOOSER_PATH_MAX;
}

void chooser_parent(char path[CHOOSER_PATH_MAX])
{
	char *slash = strrchr(path, '/');

	if (slash)
		slash[slash == path] = '\0';
}
