// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * A line between two network namespaces: relay NS_A NS_B DELAY_MS DROP_EVERY
 *
 * Makes the device "line" in each, says "ready", and hands packets on, each DELAY_MS late. Of the packets from A to B that
 * carry more than 200 bytes every DROP_EVERYth goes missing; 0: none. Ends when its standard input does, and says how
 * many went missing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 4096

static struct packet {
	long long due;
	int to, length;
	char bytes[2048];
} queue[SLOTS];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int device_in(const char *namespace)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open(namespace, O_RDONLY);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(namespace);
	close(fd);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	strcpy(request.ifr_name, "line");
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
		die("tun");
	return fd;
}

int main(int argc, char **argv)
{
	unsigned head = 0, tail = 0;
	long long delay;
	int every, large = 0, dropped = 0;
	int fds[2];

	if (argc != 5)
		return 2;
	fds[0] = device_in(argv[1]);
	fds[1] = device_in(argv[2]);
	delay = atoll(argv[3]) * 1000000;
	every = atoi(argv[4]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd polled[3] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}, {0, POLLIN, 0}};
		struct timespec wait = {1, 0};

		if (head != tail) {
			long long left = queue[head % SLOTS].due - now();

			wait.tv_sec = 0;
			wait.tv_nsec = left > 0 ? left % 1000000000 : 0;
		}
		if (ppoll(polled, 3, &wait, NULL) < 0 && errno != EINTR)
			die("ppoll");
		if (polled[2].revents)
			break;
		for (int from = 0; from < 2; from++) {
			while (tail - head < SLOTS) {
				struct packet *packet = &queue[tail % SLOTS];

				packet->length = read(fds[from], packet->bytes, sizeof(packet->bytes));
				if (packet->length <= 0)
					break;
				if (every && from == 0 && packet->length > 200 && ++large % every == 0) {
					dropped++;
					continue;
				}
				packet->due = now() + delay;
				packet->to = fds[!from];
				tail++;
			}
		}
		while (head != tail && queue[head % SLOTS].due <= now()) {
			struct packet *packet = &queue[head++ % SLOTS];

			if (write(packet->to, packet->bytes, packet->length) < 0 && errno != EIO)
				die("write");
		}
	}
	printf("%d\n", dropped);
	return 0;
}
