/* The policy in sentences; for people. Each is passed to say, and lives as long as the call. */
#ifndef POLICY_WORDS_H
#define POLICY_WORDS_H

#include "manifest.h"
#include "policy.h"

/*
 * Who can reach a service, or what a guest provides; for a guest also what that
 * can reach. There is always a sentence, also for a name that nobody knows.
 */
void policy_who_can_reach(const struct policy *p, const char *service_or_guest,
			  void (*say)(void *opaque, const char *sentence), void *opaque);

/* The manifest of the guest of that name, or NULL; valid until the caller returns. */
typedef const struct manifest *policy_manifest_fn(void *opaque, const char *guest);

/*
 * What a manifest's guest would get if it were started now, and what is in the
 * way: names that are taken, services that nobody provides, and a cycle of
 * required services, which is named. manifest_of is called with `opaque`, as say is.
 */
void policy_dry_run(const struct policy *p, const struct manifest *m,
		    policy_manifest_fn *manifest_of,
		    void (*say)(void *opaque, const char *sentence), void *opaque);

#endif
