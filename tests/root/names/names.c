/*
 * Processes that live briefly and change their names: each is named twice by prctl and twice by exec, and moves to another CPU
 * after each.
 *
 *     names ROUNDS    prints a line for each process: its id, and its first two names
 *
 * What a process does under each of its names no other name does: getuid and a connection under the first, geteuid under the
 * second, getgid as the program "third", getegid as the program "fourth".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <libgen.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 10

static void move_to(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		err(1, "sched_setaffinity");
}

/* On the first CPU, and then at once on the last. */
static void name(const char *name)
{
	move_to(0);
	if (name)
		prctl(PR_SET_NAME, name);
	move_to(sysconf(_SC_NPROCESSORS_ONLN) - 1);
}

static void call(long number)
{
	for (int i = 0; i < CALLS; i++)
		syscall(number);
}

static void exec(const char *self, const char *as)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s", self);
	snprintf(path, sizeof(path), "%s/%s", strdup(dirname(path)), as);
	move_to(0);
	execl(path, path, as, NULL);
	err(1, "%s", path);
}

static void talk(struct sockaddr_in *to)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);
	char byte;

	if (connect(s, (void *)to, sizeof(*to)))
		err(1, "connect");
	if (read(s, &byte, 1) < 0)
		err(1, "read");
	close(s);
}

static void round_of(int number, const char *self, struct sockaddr_in *to)
{
	char first[32], second[32];
	pid_t pid;

	snprintf(first, sizeof(first), "first-%d", number);
	snprintf(second, sizeof(second), "second-%d", number);
	pid = fork();
	if (!pid) {
		name(first);
		call(SYS_getuid);
		talk(to);
		name(second);
		call(SYS_geteuid);
		exec(self, "third");
	}
	printf("%d %s %s\n", pid, first, second);
	if (waitpid(pid, NULL, 0) != pid)
		err(1, "waitpid");
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(to);
	int listener, rounds;

	if (!strcmp(argv[1], "third")) {
		name(NULL);
		call(SYS_getgid);
		exec(argv[0], "fourth");
	} else if (!strcmp(argv[1], "fourth")) {
		name(NULL);
		call(SYS_getegid);
		return 0;
	}
	rounds = atoi(argv[1]);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&to, sizeof(to)) || listen(listener, 8) ||
	    getsockname(listener, (void *)&to, &length))
		err(1, "listen");
	setlinebuf(stdout);
	if (!fork()) {
		for (int i = 0; i < rounds; i++)
			close(accept(listener, NULL, NULL));
		return 0;
	}
	for (int i = 0; i < rounds; i++)
		round_of(i, argv[0], &to);
	/* Where all CPUs are busy, the kernel may take the last acknowledgement of a connection after its process has ended. */
	usleep(300000);
	return wait(NULL) < 0;
}
