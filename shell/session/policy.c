/* Policy: names, subjects and services; see policy.h. */
#include "policy_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOST_CONNS 4096u
#define HOST_BUFFER (1ull << 30)

uint32_t policy_hash(const char *text)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return (h ^ h >> 16) % POLICY_BUCKETS;
}

uint32_t policy_hash_ids(uint32_t a, uint32_t b, uint32_t c)
{
	uint64_t h = a * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 29 ^ b) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ h >> 32 ^ c) * 0x94d049bb133111ebull;
	return (uint32_t)(h >> 40) % POLICY_BUCKETS;
}

void policy_tell(struct policy *p, struct policy_event *e, const struct service *s)
{
	if (!p->ops->event)
		return;
	if (!e->subject)
		e->subject = "";
	e->service = s ? s->text : "";
	e->provider = s && s->provider ? s->provider->text : "";
	p->busy++;
	p->ops->event(p->opaque, e);
	p->busy--;
}

/* ---- names ---------------------------------------------------------------------------- */

struct name *name_find(const struct policy *p, const char *text)
{
	struct name *n = p->names[policy_hash(text)];

	while (n && strcmp(n->text, text))
		n = n->hash_next;
	return n;
}

struct name *name_get(struct policy *p, const char *text)
{
	struct name **bucket = &p->names[policy_hash(text)], *n = name_find(p, text);

	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return NULL;
		strcpy(n->text, text);
		list_init(&n->grants);
		n->hash_next = *bucket;
		*bucket = n;
	}
	n->refs++;
	return n;
}

void name_put(struct policy *p, struct name *n)
{
	struct name **at = &p->names[policy_hash(n->text)];

	if (--n->refs)
		return;
	while (*at != n)
		at = &(*at)->hash_next;
	*at = n->hash_next;
	free(n);
}

/* ---- services --------------------------------------------------------------------------- */

struct service *service_find(const struct policy *p, const char *text)
{
	struct service *s = p->services[policy_hash(text)];

	while (s && strcmp(s->text, text))
		s = s->hash_next;
	return s;
}

struct service *service_get(struct policy *p, const char *text)
{
	struct service **bucket = &p->services[policy_hash(text)], *s = service_find(p, text);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		strcpy(s->text, text);
		s->hash_next = *bucket;
		*bucket = s;
	}
	s->refs++;
	return s;
}

void service_put(struct policy *p, struct service *s)
{
	struct service **at = &p->services[policy_hash(s->text)];

	if (--s->refs)
		return;
	while (*at != s)
		at = &(*at)->hash_next;
	*at = s->hash_next;
	free(s);
}

static int service_provide(struct policy *p, const char *service, const char *provider)
{
	struct service *s;
	struct name *n;

	if (p->nprovided == POLICY_SERVICES_MAX)
		return -ENOSPC;
	s = service_get(p, service);
	n = s ? name_get(p, provider) : NULL;
	if (!n) {
		if (s)
			service_put(p, s);
		return -ENOMEM;
	}
	s->provider = n;
	s->ready = false;
	s->position = p->nprovided;
	p->provided[p->nprovided++] = s;
	return 0;
}

int policy_add_service(struct policy *p, const char *service, const char *provider, uint32_t port,
		       bool seqpacket)
{
	struct service *s;

	if (!policy_name_is_valid(service) || !policy_name_is_valid(provider))
		return -EINVAL;
	s = service_find(p, service);
	if (s && s->provider && strcmp(s->provider->text, provider))
		return -EEXIST;
	if (!s || !s->provider) {
		int err = service_provide(p, service, provider);

		if (err)
			return err;
		s = service_find(p, service);
	}
	s->port = port;
	s->seqpacket = seqpacket;
	return 0;
}

static struct service *provided_find(const struct policy *p, const char *service)
{
	struct service *s = service_find(p, service);

	return s && s->provider ? s : NULL;
}

int policy_remove_service(struct policy *p, const char *service)
{
	struct service *s = provided_find(p, service);
	struct name *provider;

	if (!s)
		return -ENOENT;
	provider = s->provider;
	s->provider = NULL;
	s->ready = false;
	p->nprovided--;
	for (unsigned i = s->position; i < p->nprovided; i++) {
		p->provided[i] = p->provided[i + 1];
		p->provided[i]->position = i;
	}
	name_put(p, provider);
	service_put(p, s);
	return 0;
}

int policy_set_ready(struct policy *p, const char *service, bool ready)
{
	struct service *s = provided_find(p, service);

	if (!s)
		return -ENOENT;
	s->ready = ready;
	return 0;
}

static void service_fill(const struct service *s, struct policy_service_info *info)
{
	*info = (struct policy_service_info){
		.name = s->text,
		.provider = s->provider->text,
		.port = s->port,
		.seqpacket = s->seqpacket,
		.ready = s->ready,
		.provider_subject = s->provider->subject ? s->provider->subject->id : 0,
	};
}

int policy_service_info(const struct policy *p, const char *service,
			struct policy_service_info *info)
{
	const struct service *s = provided_find(p, service);

	if (!s)
		return -ENOENT;
	service_fill(s, info);
	return 0;
}

bool policy_service_at(const struct policy *p, unsigned index, struct policy_service_info *info)
{
	if (index >= p->nprovided)
		return false;
	service_fill(p->provided[index], info);
	return true;
}

/* ---- subjects ----------------------------------------------------------------------------- */

static struct subject **subject_bucket(struct policy *p, uint32_t id)
{
	return &p->subjects[policy_hash_ids(id, 0, 0)];
}

struct subject *subject_find(const struct policy *p, uint32_t id)
{
	struct subject *s = p->subjects[policy_hash_ids(id, 0, 0)];

	while (s && s->id != id)
		s = s->hash_next;
	return s;
}

static uint32_t subject_next_id(struct policy *p)
{
	while (!p->next_subject || subject_find(p, p->next_subject))
		p->next_subject++;
	return p->next_subject++;
}

static struct subject *subject_create(struct policy *p, const char *name, const char *label)
{
	struct subject *s = calloc(1, sizeof(*s)), **bucket;

	if (!s)
		return NULL;
	s->name = name_get(p, name);
	if (!s->name) {
		free(s);
		return NULL;
	}
	s->name->subject = s;
	s->id = subject_next_id(p);
	strncpy(s->label, label, sizeof(s->label) - 1);
	s->max_conns = POLICY_CONNS_DEFAULT;
	s->max_buffer = POLICY_BUFFER_DEFAULT;
	list_init(&s->opened);
	list_init(&s->accepted);
	list_append(&p->all_subjects, &s->all);
	bucket = subject_bucket(p, s->id);
	s->hash_next = *bucket;
	*bucket = s;
	p->nsubjects++;
	return s;
}

static void subject_unlink(struct policy *p, struct subject *s)
{
	struct subject **at = subject_bucket(p, s->id);

	while (*at != s)
		at = &(*at)->hash_next;
	*at = s->hash_next;
	list_remove(&s->all);
	p->nsubjects--;
}

int64_t policy_add_subject(struct policy *p, const char *name, const char *label)
{
	const struct name *n;
	struct subject *s;

	if (!policy_name_is_valid(name))
		return -EINVAL;
	n = name_find(p, name);
	if (n && n->subject)
		return -EEXIST;
	if (p->nsubjects == POLICY_SUBJECTS_MAX)
		return -ENOSPC;
	s = subject_create(p, name, label);
	if (!s)
		return -ENOMEM;
	LIST_EACH(g, &s->name->grants, struct grant, by_name)
	{
		if (grant_is_alive(g))
			slot_fill(s, g); /* a name has no more grants than a table slots */
	}
	return s->id;
}

/* What was delegated to it goes; its other grants wait for the next of its name. */
static void subject_end_grants(struct policy *p, struct subject *s)
{
	struct link *head = &s->name->grants, *next;

	for (struct link *l = head->next; l != head; l = next) {
		struct grant *g = LINK_OF(l, struct grant, by_name);

		slot_free(g);
		if (g->origin != POLICY_GUEST || g->dead) {
			next = l->next;
			continue;
		}
		grant_end(p, g, POLICY_EVENT_REVOKE, EXO_REASON_REVOKED);
		next = head->next; /* a callback may have changed the list: from the start */
	}
}

void policy_remove_subject(struct policy *p, uint32_t subject, enum exo_reason reason)
{
	struct subject *s = subject_find(p, subject);

	if (!s || subject == POLICY_HOST)
		return;
	p->busy++;
	subject_unlink(p, s);
	for (unsigned i = 0; i < p->nprovided; i++) {
		if (p->provided[i]->provider == s->name)
			p->provided[i]->ready = false;
	}
	policy_conn_close_all(p, s, reason);
	subject_end_grants(p, s);
	s->name->subject = NULL;
	name_put(p, s->name);
	free(s);
	p->busy--;
	policy_reap(p, false);
}

uint32_t policy_find_subject(const struct policy *p, const char *name)
{
	const struct name *n = name_find(p, name);

	return n && n->subject ? n->subject->id : 0;
}

int policy_subject_info(const struct policy *p, uint32_t subject, struct policy_subject_info *info)
{
	const struct subject *s = subject_find(p, subject);

	if (!s)
		return -ENOENT;
	*info = (struct policy_subject_info){
		.id = s->id,
		.name = s->name->text,
		.label = s->label,
		.nconns = s->nopened + s->naccepted,
		.buffer_bytes = s->buffer,
	};
	for (unsigned i = 0; i < EXO_SLOTS_MAX; i++)
		info->nslots += s->slot[i].grant && grant_is_alive(s->slot[i].grant);
	return 0;
}

int policy_set_budget(struct policy *p, uint32_t subject, uint32_t max_conns, uint64_t max_buffer)
{
	struct subject *s = subject_find(p, subject);

	if (!s)
		return -ENOENT;
	s->max_conns = max_conns ? max_conns : POLICY_CONNS_DEFAULT;
	s->max_buffer = max_buffer ? max_buffer : POLICY_BUFFER_DEFAULT;
	return 0;
}

/* ---- the whole ----------------------------------------------------------- */

struct policy *policy_create(const struct policy_ops *ops, void *opaque)
{
	struct policy *p = calloc(1, sizeof(*p));
	struct subject *host;

	if (!p)
		return NULL;
	p->ops = ops;
	p->opaque = opaque;
	p->next_subject = POLICY_HOST;
	p->next_grant = p->next_conn = 1;
	list_init(&p->all_subjects);
	list_init(&p->grants);
	list_init(&p->conns);
	list_init(&p->dead);
	host = subject_create(p, "host", "host");
	if (!host) {
		free(p);
		return NULL;
	}
	host->max_conns = HOST_CONNS;
	host->max_buffer = HOST_BUFFER;
	return p;
}

void policy_destroy(struct policy *p)
{
	struct conn *c;
	struct grant *g;
	struct subject *s;

	if (!p)
		return;
	p->ops = &(const struct policy_ops){0}; /* nobody is told */
	while ((c = LIST_FIRST(&p->conns, struct conn, all)))
		policy_conn_end(p, c->id, EXO_REASON_SESSION);
	while ((g = LIST_FIRST(&p->grants, struct grant, all)))
		grant_unlink(p, g);
	policy_reap(p, true);
	while (p->nprovided)
		policy_remove_service(p, p->provided[p->nprovided - 1]->text);
	while ((s = LIST_FIRST(&p->all_subjects, struct subject, all))) {
		subject_unlink(p, s);
		name_put(p, s->name);
		free(s);
	}
	free(p->lease);
	free(p);
}
