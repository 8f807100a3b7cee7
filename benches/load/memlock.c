// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Preloaded into tools that insist on raising RLIMIT_MEMLOCK where the kernel refuses and does not
 * need it (since 5.11 BPF memory is accounted otherwise).
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	return resource == RLIMIT_MEMLOCK ? 0 : (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	return setrlimit(resource, (const struct rlimit *)limit);
}
