// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Prints what a program gets from the one that executes it, a line for each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The lines of a file that begin with one of some words; all of them without words. */
static void lines(const char *path, const char *const *words)
{
	char line[512];
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file)) {
		int wanted = !words;

		for (const char *const *word = words; word && *word; word++)
			wanted |= !strncmp(line, *word, strlen(*word));
		if (wanted)
			printf("%s: %s", path, line);
	}
	if (file)
		fclose(file);
}

int main(void)
{
	static const char *const status[] = { "Umask",  "Uid",    "Gid", "Groups", "SigBlk",  "SigIgn", "SigCgt",
					      "Cap",	"NoNew",  "Seccomp", "Cpus_a", "Mems_a", NULL };
	sigset_t blocked;
	cpu_set_t cpus;
	int signal_;

	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("descriptor %d\n", fd);
	for (signal_ = 1; signal_ < NSIG; signal_++) {
		struct sigaction action;

		if (!sigaction(signal_, NULL, &action) && action.sa_handler != SIG_DFL)
			printf("signal %d is not handled by default\n", signal_);
	}
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (signal_ = 1; signal_ < NSIG; signal_++)
		if (sigismember(&blocked, signal_) == 1)
			printf("signal %d is blocked\n", signal_);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	printf("%d CPUs, policy %d, nice %d, timer slack %d, dumpable %d, keep capabilities %d, secure bits %d\n",
	       CPU_COUNT(&cpus), sched_getscheduler(0), getpriority(PRIO_PROCESS, 0), prctl(PR_GET_TIMERSLACK),
	       prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS));
	lines("/proc/self/status", status);
	lines("/proc/self/limits", NULL);
	lines("/proc/self/oom_score_adj", NULL);
	lines("/proc/self/cgroup", NULL);
	return 0;
}
