/* Connects to an address, waits a second for the answer as a client with a timeout does, and tries again. */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "load.h"

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(8080), .sin_addr.s_addr = inet_addr(argv[argc - 1]) };
	double began = now(), waited = 0;
	long failed = 0;

	load_begin();
	while (!ended) {
		int connection = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		struct pollfd poll_for = { .fd = connection, .events = POLLOUT };
		double before = now();

		connect(connection, (struct sockaddr *)&address, sizeof(address));
		failed += poll(&poll_for, 1, 1000) == 0;
		waited += now() - before;
		close(connection);
		pause_for(0.02);
	}
	printf("failed=%ld waited=%.3f\n", failed, waited / (now() - began));
	return 0;
}
