/* A service of one thread for each client, whose threads share one connection to a backend; says what share of the time of requests they waited for it. */
#include <arpa/inet.h>
#include <semaphore.h>
#include <sys/socket.h>

#include "load.h"

static sem_t pool;
static int backend;
static double waited, busy;
static pthread_mutex_t counts = PTHREAD_MUTEX_INITIALIZER;

static void *serve(void *connection)
{
	int client = (long)connection;
	char byte;

	while (read(client, &byte, 1) == 1) {
		double began = now(), had;

		while (sem_wait(&pool))
			;
		had = now();
		if (write(backend, &byte, 1) != 1 || read(backend, &byte, 1) != 1)
			exit(1);
		sem_post(&pool);
		pthread_mutex_lock(&counts);
		waited += had - began;
		busy += now() - began;
		pthread_mutex_unlock(&counts);
		if (write(client, &byte, 1) != 1)
			exit(1);
	}
	return 0;
}

static void *take(void *number)
{
	int listener = (long)number;

	for (;;) {
		pthread_t thread;
		long client = accept(listener, 0, 0);

		if (client < 0)
			exit(1);
		pthread_create(&thread, 0, serve, (void *)client);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	long listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	load_begin();
	sem_init(&pool, 0, 1);
	backend = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)))
		return 1;
	address.sin_port = htons(atoi(argv[2]));
	if (connect(backend, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64))
		return 1;
	pthread_create(&thread, 0, take, (void *)listener);
	while (!ended)
		pause_for(0.05);
	printf("waited=%.3f\n", waited / busy);
	return 0;
}
