/*
 * Threads that are in a call for as long as the process lives, each in another one:
 *
 *     a function that waits for a signal, a futex, an answer over HTTP, and a file to be created at the path given
 *
 * Writes "begun" once all of them wait; ends when its standard input does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAITERS 4

static volatile int woken;
static pid_t tids[WAITERS];

__attribute__((noinline)) void held(void)
{
	pause();
	woken = 1;
}

static void *in_function(void *tid)
{
	__atomic_store_n((pid_t *)tid, gettid(), __ATOMIC_RELEASE);
	held();
	return NULL;
}

static void *in_futex(void *tid)
{
	static uint32_t word;

	__atomic_store_n((pid_t *)tid, gettid(), __ATOMIC_RELEASE);
	syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
	return NULL;
}

static void *in_request(void *tid)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: cut\r\n\r\n";
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), server;
	socklen_t length = sizeof(address);
	char buffer[256];

	if (bind(listener, (void *)&address, sizeof(address)) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &length) || connect(client, (void *)&address, sizeof(address)))
		abort();
	server = accept(listener, NULL, NULL);
	if (send(client, request, strlen(request), 0) < 0 || recv(server, buffer, sizeof(buffer), 0) < 0)
		abort();
	__atomic_store_n((pid_t *)tid, gettid(), __ATOMIC_RELEASE);
	recv(client, buffer, sizeof(buffer), 0);
	return NULL;
}

static const char *path;

static void *in_file(void *tid)
{
	__atomic_store_n((pid_t *)tid, gettid(), __ATOMIC_RELEASE);
	open(path, O_CREAT | O_WRONLY, 0600);
	return NULL;
}

/* Whether a thread sleeps. */
static int waits(pid_t tid)
{
	char name[64], state = 0;
	FILE *stat;

	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", tid);
	stat = fopen(name, "r");
	if (!stat)
		abort();
	if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
		abort();
	fclose(stat);
	return state == 'S' || state == 'D';
}

int main(int argc, char **argv)
{
	void *(*bodies[WAITERS])(void *) = {in_function, in_futex, in_request, in_file};
	int waiters = argc > 1 ? WAITERS : WAITERS - 1;
	pthread_t thread;
	char byte;

	path = argv[1];
	for (int i = 0; i < waiters; i++) {
		if (pthread_create(&thread, NULL, bodies[i], &tids[i]))
			abort();
		while (!__atomic_load_n(&tids[i], __ATOMIC_ACQUIRE) || !waits(tids[i]))
			usleep(1000);
	}
	puts("begun");
	fflush(stdout);
	/* A call of its own: it begins in the window. */
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
