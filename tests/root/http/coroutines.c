/*
 * Two clients of one TLS server in one thread, each a coroutine of its own stack: where a socket has nothing to read, the other
 * one runs, so that both are within SSL_read at once.
 *
 *   coroutines PORT N    N requests by each
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#define CLIENTS 2
#define STACK	(1 << 18)

static ucontext_t scheduler, clients[CLIENTS];
static int now, port, requests, done, switches;

static int take(BIO *bio, char *to, int size)
{
	int fd = (int)(long)BIO_get_data(bio), me = now;
	ssize_t got;

	while ((got = recv(fd, to, size, MSG_DONTWAIT)) < 0 && errno == EAGAIN) {
		switches++;
		swapcontext(&clients[me], &scheduler);
	}
	return got;
}

static int give(BIO *bio, const char *from, int size)
{
	return send((int)(long)BIO_get_data(bio), from, size, MSG_NOSIGNAL);
}

static long control(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void ask(SSL *ssl)
{
	static const char request[] = "GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n";
	char answer[8192];
	int length = 0, got;

	if (SSL_write(ssl, request, sizeof(request) - 1) != sizeof(request) - 1)
		fail("SSL_write");
	for (;;) {
		char *body, *size;

		got = SSL_read(ssl, answer + length, sizeof(answer) - 1 - length);
		if (got <= 0)
			fail("SSL_read");
		length += got;
		answer[length] = 0;
		body = strstr(answer, "\r\n\r\n");
		size = strstr(answer, "Content-Length: ");
		if (body && size && length - (body + 4 - answer) >= atoi(size + 16))
			return;
	}
}

static void client(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "coroutine");
	SSL *ssl = SSL_new(context);
	BIO *bio;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("connect");
	BIO_meth_set_read(method, take);
	BIO_meth_set_write(method, give);
	BIO_meth_set_ctrl(method, control);
	bio = BIO_new(method);
	BIO_set_data(bio, (void *)(long)fd);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	if (SSL_connect(ssl) != 1)
		fail("SSL_connect");
	for (int i = 0; i < requests; i++)
		ask(ssl);
	SSL_free(ssl);
	close(fd);
	done++;
}

int main(int argc, char **argv)
{
	port = argc > 1 ? atoi(argv[1]) : 0;
	requests = argc > 2 ? atoi(argv[2]) : 0;
	for (int i = 0; i < CLIENTS; i++) {
		getcontext(&clients[i]);
		clients[i].uc_stack.ss_sp = malloc(STACK);
		clients[i].uc_stack.ss_size = STACK;
		clients[i].uc_link = &scheduler;
		makecontext(&clients[i], client, 0);
	}
	for (; done < CLIENTS; now = (now + 1) % CLIENTS) {
		static int ended[CLIENTS];
		int before = done;

		if (ended[now])
			continue;
		swapcontext(&scheduler, &clients[now]);
		ended[now] = done > before;
	}
	printf("%d\n", switches);
	return 42;
}
