/* Threads that poll one listening socket and race for its connections; says how many they got, and how often they found none. */
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load.h"

#define THREADS 16

static int listener;
static long taken, in_vain;

static void *serve(void *unused)
{
	struct epoll_event event = { .events = EPOLLIN };
	int poll = epoll_create1(0);

	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int connection;

		if (epoll_wait(poll, &event, 1, -1) < 1)
			continue;
		connection = accept4(listener, 0, 0, SOCK_NONBLOCK);
		__atomic_add_fetch(connection < 0 ? &in_vain : &taken, 1, __ATOMIC_RELAXED);
		if (connection >= 0)
			close(connection);
	}
	return unused;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	pthread_t thread;
	int one = 1;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 512))
		return 1;
	load_begin();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, 0, serve, 0);
	while (!ended)
		pause_for(0.1);
	printf("taken=%ld in_vain=%ld\n", taken, in_vain);
	return 0;
}
