/* A server that keeps each connection for its client; without a free descriptor it waits for a moment and tries again. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load.h"

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event event = { .events = EPOLLIN };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
	socklen_t length = sizeof(address);
	long refused = 0;

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 512))
		return 1;
	getsockname(listener, (struct sockaddr *)&address, &length);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
	load_begin();
	while (!ended) {
		int connection;

		if (epoll_wait(poll, &event, 1, -1) < 1)
			continue;
		connection = accept4(listener, 0, 0, SOCK_NONBLOCK);
		if (connection >= 0) {
			write(connection, "+", 1);
			continue;
		}
		if (errno == EMFILE) {
			refused++;
			pause_for(0.005);
		}
	}
	printf("refused=%ld\n", refused);
	return 0;
}
