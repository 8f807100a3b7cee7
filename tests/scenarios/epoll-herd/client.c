/* Connects up to a thousand times a second, and waits for the other side to close. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "load.h"

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char byte;

	for (;;) {
		int connection = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(connection, (struct sockaddr *)&address, sizeof(address)) || read(connection, &byte, 1) < 0)
			return 1;
		close(connection);
		pause_for(0.001);
	}
}
