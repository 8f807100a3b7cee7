/* Does some work and logs a line about it. */
#include <sys/socket.h>
#include <sys/un.h>

#include "load.h"

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int log = socket(AF_UNIX, SOCK_DGRAM, 0);
	double began = now(), waited = 0;
	char line[200] = { 0 };

	strncpy(address.sun_path, argv[argc - 1], sizeof(address.sun_path) - 1);
	if (connect(log, (struct sockaddr *)&address, sizeof(address)))
		return 1;
	load_begin();
	while (!ended) {
		double before;

		work_for(0.0005);
		before = now();
		send(log, line, sizeof(line), 0);
		waited += now() - before;
	}
	printf("waited=%.3f\n", waited / (now() - began));
	return 0;
}
