/* A family of processes with many libraries: `family PROCESSES LIBRARY…`. Each sleeps for 20 ms at a time, until the standard input ends. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))

static volatile double sink;

KEEP static void rest(void)
{
	usleep(20000);
	sink += 1;
}

KEEP static void live(void)
{
	for (;;) {
		rest();
		sink += 2;
	}
}

int main(int argc, char **argv)
{
	int processes = argc > 1 ? atoi(argv[1]) : 0;
	char end;

	for (int number = 2; number < argc; number++) {
		if (!dlopen(argv[number], RTLD_NOW | RTLD_LOCAL))
			return 1;
	}
	for (int number = 0; number < processes; number++) {
		pid_t child = fork();

		if (child < 0)
			return 1;
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			live();
		}
	}
	puts("ready");
	fflush(stdout);
	while (read(0, &end, 1) > 0)
		;
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	return 0;
}
