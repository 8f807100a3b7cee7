/* Takes a connection to a Unix socket each 20 ms; its backlog is one. */
#include <sys/socket.h>
#include <sys/un.h>

#include "load.h"

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, argv[argc - 1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		return 1;
	for (;;) {
		int connection = accept(listener, 0, 0);

		pause_for(0.02);
		if (write(connection, "x", 1) < 0)
			return 1;
		close(connection);
	}
}
