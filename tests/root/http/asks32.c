// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Asks an HTTP server on loopback by the system calls of 32-bit code (int 0x80); x86_64 only.
 *
 *     asks32 PORT TIMES     a connection each; prints "asked TIMES", or "none" where the kernel takes no such calls
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static sigjmp_buf refused;

static void refuse(int signal)
{
	(void)signal;
	siglongjmp(refused, 1);
}

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

int main(int argc, char **argv)
{
	static const char request[] = "GET /narrow HTTP/1.1\r\nHost: local\r\n\r\n";
	/* Below 4 GiB, so that 32-bit code can point there. */
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct sockaddr_in to = {.sin_family = AF_INET};
	int asked = 0, fd;

	if (argc < 3 || low == MAP_FAILED)
		return 99;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(atoi(argv[1]));
	signal(SIGSEGV, refuse);
	for (int i = 0; i < atoi(argv[2]); i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
			return 98;
		if (sigsetjmp(refused, 1) || call(20, 0, 0, 0) != getpid()) {
			close(fd);
			continue;
		}
		memcpy(low, request, sizeof(request));
		if (call(4, fd, (long)low, sizeof(request) - 1) != sizeof(request) - 1)
			return 97;
		if (call(3, fd, (long)low, 4096) > 0)
			asked++;
		close(fd);
	}
	if (asked)
		printf("asked %d\n", asked);
	else
		puts("none");
	return 0;
}
