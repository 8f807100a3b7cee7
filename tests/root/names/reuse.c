/*
 * Processes that have one process id after each other, as when ids are few.
 *
 *     reuse PROCESSES MILLISECONDS [PORT]    spins for so long in each; prints its id, exit code, and CPU time in microseconds
 *
 * They are called reuse-1, reuse-2 and so on, by their exit codes. With the port of an HTTP server on this machine each does before
 * that as many times as its exit code: a request by a connection of its own, getppid(), an open, an open that fails, a signal.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The end of a child, and its CPU time in microseconds. */
static int ended(pid_t pid, long *us)
{
	struct rusage used;
	int status;

	if (wait4(pid, &status, 0, &used) != pid)
		err(1, "wait4");
	*us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
	return WEXITSTATUS(status);
}

static void request(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	static const char get[] = "GET /reused HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int s = socket(AF_INET, SOCK_STREAM, 0);
	char answer[256];

	if (connect(s, (void *)&to, sizeof(to)) || write(s, get, sizeof(get) - 1) < 0 ||
	    read(s, answer, sizeof(answer)) <= 0)
		err(1, "request");
	close(s);
}

static void act(int times, int port)
{
	signal(SIGUSR1, SIG_IGN);
	for (int i = 0; i < times; i++) {
		request(port);
		syscall(SYS_getppid);
		close(open("/dev/null", O_RDONLY));
		if (open("/no-such-file", O_RDONLY) >= 0)
			errx(1, "there is /no-such-file");
		kill(getpid(), SIGUSR1);
	}
}

int main(int argc, char **argv)
{
	int processes = atoi(argv[1]), ms = atoi(argv[2]), port = argc > 3 ? atoi(argv[3]) : 0;
	char name[32];
	pid_t pid, id;
	long us;

	/* An id that was free a moment ago, and is not given again before all others were. */
	id = fork();
	if (!id)
		_exit(0);
	ended(id, &us);
	for (int i = 1; i <= processes; i++) {
		struct clone_args how = {
			.exit_signal = SIGCHLD,
			.set_tid = (uintptr_t)&id,
			.set_tid_size = 1,
		};

		pid = syscall(SYS_clone3, &how, sizeof(how));
		if (pid < 0)
			err(1, "clone3");
		if (!pid) {
			snprintf(name, sizeof(name), "reuse-%d", i);
			prctl(PR_SET_NAME, name);
			if (port)
				act(i, port);
			while (cpu_ms() < ms)
				;
			_exit(i);
		}
		if (pid != id)
			errx(1, "another id");
		int code = ended(pid, &us);

		printf("%d %d %ld\n", pid, code, us);
	}
	return 0;
}
