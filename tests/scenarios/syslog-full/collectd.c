/* Takes a datagram from a socket of the Unix domain and works on it for 10 ms. */
#include <sys/socket.h>
#include <sys/un.h>

#include "load.h"

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int log = socket(AF_UNIX, SOCK_DGRAM, 0);
	char line[512];

	strncpy(address.sun_path, argv[argc - 1], sizeof(address.sun_path) - 1);
	if (bind(log, (struct sockaddr *)&address, sizeof(address)))
		return 1;
	for (;;) {
		recv(log, line, sizeof(line), 0);
		work_for(0.001);
		pause_for(0.009);
	}
}
