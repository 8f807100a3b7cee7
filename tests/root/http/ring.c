/*
 * Asks a server on this machine for /small by io_uring: one send, one receive, no system call that moves the bytes.
 * Exits with 1 where io_uring is not to be had.
 */
#include <linux/io_uring.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **words)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct io_uring_params params = {0};
	struct io_uring_sqe *entry;
	static char answer[4096];
	const char *request = "GET /small HTTP/1.0\r\n\r\n";
	int ring, socket_fd;
	char *queue;

	if (count < 2)
		return 2;
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		return 1;
	queue = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		     IORING_OFF_SQ_RING);
	entry = mmap(NULL, params.sq_entries * sizeof(*entry), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		     IORING_OFF_SQES);
	address.sin_port = htons(atoi(words[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	socket_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(socket_fd, (struct sockaddr *)&address, sizeof(address)))
		return 2;
	for (int receives = 0; receives < 2; receives++) {
		unsigned *tail = (unsigned *)(queue + params.sq_off.tail);

		memset(entry, 0, sizeof(*entry));
		entry->opcode = receives ? IORING_OP_RECV : IORING_OP_SEND;
		entry->fd = socket_fd;
		entry->addr = (unsigned long)(receives ? answer : request);
		entry->len = receives ? sizeof(answer) : strlen(request);
		((unsigned *)(queue + params.sq_off.array))[*tail & (params.sq_entries - 1)] = 0;
		__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
		/* The completions stay in their queue: this waits until there are as many as were asked for. */
		if (syscall(SYS_io_uring_enter, ring, 1, receives + 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
			return 2;
	}
	return strncmp(answer, "HTTP/1.1 200", 12) ? 3 : 0;
}
