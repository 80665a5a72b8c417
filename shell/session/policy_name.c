/* Names of guests and services; by itself because others than the session read manifests. */
#include "policy.h"

#include <string.h>

bool policy_name_is_valid(const char *name)
{
	size_t n =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

	return n && n < POLICY_NAME_MAX && !name[n];
}
