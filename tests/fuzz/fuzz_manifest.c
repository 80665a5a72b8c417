/*
 * Fuzzes the reader of manifests: the input is the file (H-30).
 *
 * Oracles: a refusal is one line that names the file; what is accepted keeps the
 * promises of manifest.h (names, ports, lists, absolute paths), can be explained,
 * and is read the same a second time.
 */
#include "manifest.h"

#include <stdlib.h>
#include <string.h>

#define PATH "/dir/fuzz.exo"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

static void check_sentence(void *opaque, const char *sentence)
{
	must(*sentence && !strchr(sentence, '\n'));
	++*(unsigned *)opaque;
}

static void check_channels(const struct manifest *m)
{
	must(m->nprovides <= MANIFEST_LIST_MAX && m->nuses <= MANIFEST_LIST_MAX);
	must(m->nmounts <= MANIFEST_LIST_MAX && m->ndisks <= 8);
	for (unsigned i = 0; i < m->nprovides; i++) {
		must(policy_name_is_valid(m->provides[i].name) && m->provides[i].port);
		for (unsigned k = 0; k < i; k++)
			must(strcmp(m->provides[i].name, m->provides[k].name) != 0);
	}
	for (unsigned i = 0; i < m->nuses; i++) {
		const struct manifest_uses *u = &m->uses[i];

		must(policy_name_is_valid(u->name) && (u->rights & EXO_CAP_CONNECT));
		must(u->port < EXO_SLOT_PORT(0, 0) && u->port != EXO_PORT_BROKER);
		for (unsigned k = 0; k < i; k++)
			must(strcmp(u->name, m->uses[k].name) != 0);
	}
	for (unsigned i = 0; i < m->nmounts; i++) {
		const struct manifest_mount *t = &m->mount[i];

		must(*t->path == '/' && !strstr(t->path, "/../") && !strstr(t->path, "//"));
		must(t->service ? policy_name_is_valid(t->service) : *t->source == '/');
	}
	must(m->vsock || (!m->nuses && !m->nprovides && !m->nmounts));
}

static void check_promises(const struct manifest *m)
{
	unsigned sentences = 0, n = 0;

	must(policy_name_is_valid(m->name) && strcmp(m->name, "host") != 0);
	must(*m->label && *m->file == '/' && !strcmp(m->path, PATH));
	must(m->colour <= 0xffffff && m->cpus >= 1 && m->cpus <= 16);
	must(m->memory_bytes % 4096 == 0 && m->window_bytes % (2 << 20) == 0);
	for (unsigned i = 0; i < m->ndisks; i++)
		must(*m->disk[i].path == '/');
	while (m->args[n])
		n++;
	must(n <= MANIFEST_LIST_MAX);
	for (n = 0; m->env[n]; n++)
		must(strchr(m->env[n], '=') > m->env[n]);
	must(n <= MANIFEST_LIST_MAX);
	check_channels(m);
	manifest_explain(m, check_sentence, &sentences);
	must(sentences >= 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[MANIFEST_WHY_MAX], again[MANIFEST_WHY_MAX];
	struct manifest *m, *second;
	int err;

	memset(why, 'x', sizeof(why));
	err = manifest_parse((const char *)data, size, PATH, &m, why);
	if (err) {
		must(err < 0 && !m && memchr(why, '\0', sizeof(why)) != NULL);
		must(!strncmp(why, PATH ":", sizeof(PATH)) && !strchr(why, '\n'));
		return 0;
	}
	check_promises(m);
	must(!manifest_parse((const char *)data, size, PATH, &second, again));
	must(!strcmp(m->name, second->name) && m->nuses == second->nuses);
	manifest_free(second);
	manifest_free(m);
	return 0;
}
