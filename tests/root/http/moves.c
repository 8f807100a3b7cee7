/*
 * A client and a server of HTTP in two processes, over one connection of this machine. The arguments say by which calls they
 * move bytes, and how many requests there are. Prints the server's process, the client's, and how many answers came.
 *
 *   splice-out  the body of each answer goes from a pipe into the socket
 *   splice-in   the body of each request goes from the socket into a pipe
 *   many        sendmmsg and recvmmsg, of one message each, in two vectors
 *   several     the client's sendmmsg has two messages
 *   reset       the server reads one byte of a request that is larger than all buffers, and ends: that resets the connection
 *               within the client's write
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BODY	   "GET /in-the-body HTTP/1.1\r\nHost: a\r\n\r\n"
#define LARGE	   (16 << 20)
#define BODY_BYTES ((int)sizeof(BODY) - 1)

static const char *how;

static void check(int holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static int is(const char *name)
{
	return !strcmp(how, name);
}

/* Sends a header and a body. */
static void say(int fd, const char *header, int copies)
{
	struct iovec parts[2] = {{(void *)header, strlen(header)}, {BODY, BODY_BYTES}};
	struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}}};

	messages[1] = messages[0];
	check(sendmmsg(fd, messages, copies, 0) == copies, "sendmmsg");
}

/* Reads until the text ends with a body. */
static int hear(int fd)
{
	static char text[65536];
	int got = 0;

	for (;;) {
		struct iovec parts[2] = {{text + got, 16}, {text + got + 16, 4096}};
		struct mmsghdr message = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}};
		long more;

		if (is("many")) {
			if (recvmmsg(fd, &message, 1, 0, NULL) != 1)
				return 0;
			more = message.msg_len;
		} else {
			more = read(fd, text + got, 4096);
		}
		if (more <= 0)
			return 0;
		got += more;
		if (got >= BODY_BYTES && !memcmp(text + got - BODY_BYTES, BODY, BODY_BYTES))
			return 1;
	}
}

static void serve(int fd, int requests)
{
	char header[99], text[200];
	int ends[2];

	check(!pipe(ends), "pipe");
	snprintf(header, sizeof(header), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY_BYTES);
	while (requests--) {
		if (is("splice-in")) {
			int bytes = BODY_BYTES;

			/* The client waits between the header and the body. */
			check(read(fd, text, sizeof(text)) > 0, "read");
			check(write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 25, "write");
			while (bytes > 0) {
				long moved = splice(fd, NULL, ends[1], NULL, bytes, 0);

				check(moved > 0, "splice");
				bytes -= moved;
				check(read(ends[0], text, moved) == moved, "read");
			}
			say(fd, header, 1);
		} else if (is("splice-out")) {
			check(hear(fd), "hear");
			check(write(ends[1], BODY, BODY_BYTES) == BODY_BYTES, "write");
			check(send(fd, header, strlen(header), MSG_MORE) > 0, "send");
			check(splice(ends[0], NULL, fd, NULL, BODY_BYTES, 0) == BODY_BYTES, "splice");
		} else if (is("reset")) {
			check(read(fd, text, 1) == 1, "read");
		} else {
			check(hear(fd), "hear");
			say(fd, header, 1);
		}
	}
}

static int ask(int fd, int requests)
{
	char header[99], text[99];
	int answers = 0;

	snprintf(header, sizeof(header), "POST /asked HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY_BYTES);
	while (requests--) {
		if (is("splice-in")) {
			check(write(fd, header, strlen(header)) > 0, "write");
			check(read(fd, text, 25) == 25, "read");
			check(write(fd, BODY, BODY_BYTES) == BODY_BYTES, "write");
		} else if (is("reset")) {
			static char body[LARGE];
			struct iovec parts[2] = {{header, 0}, {body, sizeof(body)}};

			parts[0].iov_len =
				sprintf(header, "POST /reset HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", LARGE);
			check(writev(fd, parts, 2) > 0, "writev");
		} else {
			say(fd, header, is("several") ? 2 : 1);
		}
		answers += hear(fd);
	}
	return answers;
}

int main(int count, char **words)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd, requests;
	socklen_t length = sizeof(address);
	pid_t server;

	check(count == 3, "arguments");
	how = words[1];
	requests = atoi(words[2]);
	check(!bind(listener, (struct sockaddr *)&address, length) && !listen(listener, 1), "listen");
	getsockname(listener, (struct sockaddr *)&address, &length);
	server = fork();
	if (!server) {
		serve(accept(listener, NULL, NULL), requests);
		return 0;
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	check(!connect(fd, (struct sockaddr *)&address, length), "connect");
	printf("%d %d %d\n", server, getpid(), ask(fd, requests));
	waitpid(server, NULL, 0);
	return 0;
}
