// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Stops one thread of another process, says so, and lets it go on when this one ends: freeze THREAD */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t thread = argc > 1 ? atoi(argv[1]) : 0;
	int status;

	if (ptrace(PTRACE_SEIZE, thread, 0, 0) || ptrace(PTRACE_INTERRUPT, thread, 0, 0)) {
		perror("ptrace");
		return 1;
	}
	if (waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status)) {
		perror("waitpid");
		return 1;
	}
	puts("frozen");
	fflush(stdout);
	/* A thread that is killed while it is stopped stays until its tracer has heard of it. */
	while (waitpid(thread, &status, __WALL) == thread && !WIFEXITED(status) && !WIFSIGNALED(status))
		;
	return 0;
}
