/* Sixteen threads that connect to a Unix socket again and again; says what part of their time that took. */
#include <sys/socket.h>
#include <sys/un.h>

#include "load.h"

#define THREADS 16

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static double waited[THREADS];

static void *call(void *own)
{
	char byte;

	while (!ended) {
		int connection = socket(AF_UNIX, SOCK_STREAM, 0);
		double before = now();

		if (connect(connection, (struct sockaddr *)&address, sizeof(address)))
			return 0;
		*(double *)own += now() - before;
		if (read(connection, &byte, 1) < 0)
			return 0;
		close(connection);
	}
	return 0;
}

int main(int argc, char **argv)
{
	double began = now(), all = 0;
	pthread_t thread;

	strcpy(address.sun_path, argv[argc - 1]);
	load_begin();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, 0, call, &waited[i]);
	while (!ended)
		pause_for(0.1);
	for (int i = 0; i < THREADS; i++)
		all += waited[i];
	printf("share=%.3f\n", all / THREADS / (now() - began));
	return 0;
}
