// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The command that a tool is told to run: it says when it was started, which is when the tool is
 * live, and ends, and the tool with it, when its standard input does.
 *
 * Prints "live NANOSECONDS" of CLOCK_MONOTONIC.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	struct timespec ts;
	char byte;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	printf("live %lld\n", ts.tv_sec * 1000000000LL + ts.tv_nsec);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
