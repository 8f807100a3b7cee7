// Steady work at a fixed rate, with one change that can be planted in it.
//
//   changes SECONDS function|lock|query|disk PLANTED [PORT|FILE]
//
// function: work() takes 10 % longer. lock: a mutex is held 20 % longer. query: each request asks the server on PORT once more. disk: each
// write of FILE is larger, so that it takes about a millisecond more.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int planted;
static struct timespec end_at;
static volatile uint64_t sink;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static int is_over(void)
{
	return now_ns() >= end_at.tv_sec * 1000000000ull + end_at.tv_nsec;
}

static void pause_until(uint64_t ns)
{
	struct timespec at = {ns / 1000000000, ns % 1000000000};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

__attribute__((noinline)) static void work(uint64_t rounds)
{
	uint64_t x = 1;

	for (uint64_t n = 0; n < rounds; n++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	sink += x;
}

__attribute__((noinline)) static void other_work(uint64_t rounds)
{
	uint64_t x = 2;

	for (uint64_t n = 0; n < rounds; n++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	sink += x;
}

static void functions(void)
{
	uint64_t next = now_ns();

	while (!is_over()) {
		work(planted ? 770000 : 700000);
		other_work(50000);
		next += 4000000;
		pause_until(next);
	}
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noinline)) static void critical(void)
{
	pthread_mutex_lock(&mutex);
	usleep(planted ? 1200 : 1000);
	pthread_mutex_unlock(&mutex);
}

static void *holder(void *unused)
{
	while (!is_over()) {
		critical();
		usleep(2000);
	}
	return unused;
}

static void locks(void)
{
	pthread_t threads[3];

	for (int n = 0; n < 3; n++)
		pthread_create(&threads[n], NULL, holder, NULL);
	for (int n = 0; n < 3; n++)
		pthread_join(threads[n], NULL);
}

__attribute__((noinline)) static void query(int server)
{
	static const char ask[] = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
	char answer[4096];

	if (write(server, ask, sizeof(ask) - 1) < 0 || read(server, answer, sizeof(answer)) <= 0)
		exit(1);
}

static void queries(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	uint64_t next = now_ns();

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(server, (struct sockaddr *)&address, sizeof(address)))
		exit(1);
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (!is_over()) {
		for (int n = 0; n < 3 + planted; n++)
			query(server);
		next += 2000000;
		pause_until(next);
	}
}

static void writes(const char *file)
{
	int fd = open(file, O_CREAT | O_WRONLY | O_DIRECT, 0600);
	size_t size = planted ? 256 << 10 : 4 << 10;
	uint64_t next = now_ns();
	void *data = NULL;

	if (fd < 0 || posix_memalign(&data, 4096, size))
		exit(1);
	memset(data, 1, size);
	for (int n = 0; !is_over(); n++) {
		if (pwrite(fd, data, size, (off_t)(n % 64) * (256 << 10)) < 0)
			exit(1);
		next += 10000000;
		pause_until(next);
	}
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	planted = atoi(argv[3]);
	clock_gettime(CLOCK_MONOTONIC, &end_at);
	end_at.tv_nsec += (long)(atof(argv[1]) * 1e9) % 1000000000;
	end_at.tv_sec += atof(argv[1]) + end_at.tv_nsec / 1000000000;
	end_at.tv_nsec %= 1000000000;
	if (!strcmp(argv[2], "function"))
		functions();
	else if (!strcmp(argv[2], "lock"))
		locks();
	else if (!strcmp(argv[2], "query") && argc > 4)
		queries(argv[4]);
	else if (!strcmp(argv[2], "disk") && argc > 4)
		writes(argv[4]);
	else
		return 2;
	return 0;
}
