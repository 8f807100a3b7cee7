/* Opens a hundred connections, waits for the server's greeting on each, and keeps them. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "load.h"

static void *hold(void *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((long)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int connection = socket(AF_INET, SOCK_STREAM, 0);
	char byte;

	if (!connect(connection, (struct sockaddr *)&address, sizeof(address)))
		while (read(connection, &byte, 1) > 0)
			;
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	for (int i = 0; i < 100; i++)
		pthread_create(&thread, 0, hold, (void *)(long)atoi(argv[argc - 1]));
	for (;;)
		pause();
}
