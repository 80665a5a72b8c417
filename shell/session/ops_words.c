/* Operations that answer in sentences: reach, dry-run; docs/control.md. */
#include "control_impl.h"

#include "policy_words.h"

#include <errno.h>
#include <string.h>

static void add_sentence(void *opaque, const char *sentence)
{
	json_array_append_new(opaque, json_string(sentence));
}

struct dry_run {
	struct session *session;
	json_t *answer;
};

static void add_dry_sentence(void *opaque, const char *sentence)
{
	add_sentence(((struct dry_run *)opaque)->answer, sentence);
}

static const struct manifest *manifest_of(void *opaque, const char *guest)
{
	const struct machine *m = session_find(((struct dry_run *)opaque)->session, guest);

	return m ? m->manifest : NULL;
}

/* Does anybody provide it, or has a grant for it? */
static bool service_is_known(const struct policy *p, const char *service)
{
	struct policy_service_info info;
	struct policy_grant_info g = {0};

	if (!policy_service_info(p, service, &info))
		return true;
	while (policy_grant_next(p, g.id, &g)) {
		if (!strcmp(g.service, service))
			return true;
	}
	return false;
}

/* Is it there, or has a grant for when it is? */
static bool guest_is_known(struct session *s, const char *guest)
{
	struct policy_grant_info g = {0};

	if (session_find(s, guest))
		return true;
	while (policy_grant_next(s->policy, g.id, &g)) {
		if (!strcmp(g.grantee, guest))
			return true;
	}
	return false;
}

static void op_reach(struct request *r)
{
	struct session *s = request_session(r);
	const char *service = request_string(r, "service"), *guest = request_string(r, "guest");
	json_t *answer;

	if (!service == !guest)
		return request_fail(r, CONTROL_BAD_REQUEST, "reach: give service or guest");
	if (service ? !service_is_known(s->policy, service) : !guest_is_known(s, guest))
		return request_fail(r, CONTROL_NOT_FOUND, "no %s named %s",
				    service ? "service" : "guest", service ? service : guest);
	answer = json_array();
	policy_who_can_reach(s->policy, service ? service : guest, add_sentence, answer);
	request_ok(r, json_pack("{s:o}", "answer", answer));
}

static void op_dry_run(struct request *r)
{
	char why[MANIFEST_WHY_MAX] = "";
	struct manifest *manifest;
	int err = manifest_load(request_string(r, "manifest"), &manifest, why);
	struct dry_run run = {request_session(r), NULL};

	if (err)
		return request_fail(r, err == -ENOENT ? CONTROL_NOT_FOUND : CONTROL_INVALID, "%s",
				    why);
	run.answer = json_array();
	policy_dry_run(run.session->policy, manifest, manifest_of, add_dry_sentence, &run);
	manifest_free(manifest);
	request_ok(r, json_pack("{s:o}", "answer", run.answer));
}

static const struct field reach_fields[] = {
	{"service", FIELD_NAME, false, NULL}, {"guest", FIELD_NAME, false, NULL}, {NULL}};
static const struct field dry_run_fields[] = {{"manifest", FIELD_PATH, true, NULL}, {NULL}};

const struct op ops_words[] = {
	{"reach", reach_fields, op_reach, false},
	{"dry-run", dry_run_fields, op_dry_run, false},
	{NULL},
};
