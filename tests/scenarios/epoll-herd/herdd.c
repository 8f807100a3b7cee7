/* Processes that poll one listening socket and race for its connections; says how many they got. */
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "load.h"

#define PROCESSES 24

static void serve(int listener, long *taken)
{
	struct epoll_event event = { .events = EPOLLIN };
	int poll = epoll_create1(0);

	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int connection;

		if (epoll_wait(poll, &event, 1, -1) < 1)
			continue;
		connection = accept4(listener, 0, 0, SOCK_NONBLOCK);
		if (connection < 0)
			continue;
		__atomic_add_fetch(taken, 1, __ATOMIC_RELAXED);
		close(connection);
	}
}

int main(int argc, char **argv)
{
	long *taken = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 512))
		return 1;
	for (int i = 0; i < PROCESSES; i++) {
		if (!fork())
			serve(listener, taken);
	}
	load_begin();
	while (!ended)
		pause();
	printf("taken=%ld\n", *taken);
	return 0;
}
