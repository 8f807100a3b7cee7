// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Blocks once in each call that others have to end, for a twentieth of a second; and makes calls of the same names that wait for nobody.
 *
 *     blocks DIRECTORY      a FIFO, a file and a socket are made there
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define AFTER_US 50000

static char buffer[1 << 20];

static void check(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(99);
	}
}

/* Has a child do something a moment later, which ends what the parent waits for. */
#define LATER(what)                                                                                                    \
	do {                                                                                                           \
		if (!fork()) {                                                                                         \
			usleep(AFTER_US);                                                                              \
			check(what, #what);                                                                            \
			_exit(0);                                                                                      \
		}                                                                                                      \
	} while (0)

static void reads(void)
{
	struct itimerspec soon = {.it_value = {.tv_nsec = AFTER_US * 1000}};
	struct iovec part = {buffer, 1};
	int pipes[2], master, slave, fd;
	char *name;

	check(pipe(pipes), "pipe");
	LATER(write(pipes[1], "x", 1));
	check(read(pipes[0], buffer, 1), "read of a pipe");
	LATER(write(pipes[1], "x", 1));
	check(readv(pipes[0], &part, 1), "readv of a pipe");
	fd = eventfd(0, 0);
	LATER(eventfd_write(fd, 1));
	check(read(fd, buffer, 8), "read of an eventfd");
	fd = timerfd_create(CLOCK_MONOTONIC, 0);
	check(timerfd_settime(fd, 0, &soon, NULL), "timerfd_settime");
	check(read(fd, buffer, 8), "read of a timerfd");
	master = posix_openpt(O_RDWR | O_NOCTTY);
	check(grantpt(master), "grantpt");
	check(unlockpt(master), "unlockpt");
	name = ptsname(master);
	slave = open(name, O_RDWR | O_NOCTTY);
	check(slave, name);
	LATER(write(master, "x\n", 2));
	check(read(slave, buffer, 2), "read of a terminal");
}

static void sockets(const char *directory)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct iovec part = {buffer, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct mmsghdr messages = {.msg_hdr = message};
	int pair[2], listener, fd;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	LATER(write(pair[1], "x", 1));
	check(recv(pair[0], buffer, 1, 0), "recv");
	LATER(write(pair[1], "x", 1));
	check(recvmsg(pair[0], &message, 0), "recvmsg");
	LATER(write(pair[1], "x", 1));
	check(recvmmsg(pair[0], &messages, 1, 0, NULL), "recvmmsg");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	check(bind(listener, (void *)&address, sizeof(address)), "bind");
	check(listen(listener, 1), "listen");
	LATER(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof(address)));
	fd = accept4(listener, NULL, NULL, 0);
	check(fd, "accept4");
	/* Until the other side makes room. */
	LATER(recv(pair[1], buffer, sizeof(buffer), MSG_WAITALL));
	check(send(pair[0], buffer, sizeof(buffer), 0), "send");
}

static void writes(void)
{
	int pipes[2];

	check(pipe(pipes), "pipe");
	LATER(read(pipes[0], buffer, 65536) + read(pipes[0], buffer, 65536));
	check(write(pipes[1], buffer, 65536 + 4096), "write of a full pipe");
}

static void others(const char *directory)
{
	struct {
		long type;
		char text[8];
	} message = {1, ""};
	struct epoll_event event = {.events = EPOLLIN};
	struct pollfd polled;
	int pipes[2], fd, queue, other;
	char path[256];

	snprintf(path, sizeof(path), "%s/fifo", directory);
	check(mkfifo(path, 0600), "mkfifo");
	LATER(open(path, O_WRONLY));
	check(open(path, O_RDONLY), "open of a FIFO");
	check(pipe(pipes), "pipe");
	fd = epoll_create1(0);
	check(epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event), "epoll_ctl");
	LATER(write(pipes[1], "x", 1));
	check(epoll_wait(fd, &event, 1, -1), "epoll_wait");
	check(read(pipes[0], buffer, 1), "read");
	polled = (struct pollfd){pipes[0], POLLIN, 0};
	LATER(write(pipes[1], "x", 1));
	check(poll(&polled, 1, -1), "poll");
	queue = msgget(IPC_PRIVATE, 0600);
	check(queue, "msgget");
	LATER(msgsnd(queue, &message, 8, 0));
	check(msgrcv(queue, &message, 8, 0, 0), "msgrcv");
	check(msgctl(queue, IPC_RMID, NULL), "msgctl");
	snprintf(path, sizeof(path), "%s/lock", directory);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	check(fd, path);
	if (!fork()) {
		other = open(path, O_RDWR);
		check(flock(other, LOCK_EX), "flock");
		check(write(pipes[1], "x", 1), "write");
		usleep(AFTER_US);
		_exit(0);
	}
	check(read(pipes[0], buffer, 1), "read");
	check(read(pipes[0], buffer, 1), "read");
	check(flock(fd, LOCK_EX), "flock");
}

/* Nobody else has a part in these. */
static void works(const char *directory)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/file", directory);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	check(fd, path);
	check(write(fd, buffer, 4096), "write");
	check(lseek(fd, 0, SEEK_SET), "lseek");
	for (int i = 0; i < 100; i++)
		check(read(fd, buffer, 1), "read of a file");
	fd = open("/dev/urandom", O_RDONLY);
	check(fd, "/dev/urandom");
	for (int i = 0; i < 100; i++)
		check(read(fd, buffer, 1), "read of random bytes");
}

int main(int argc, char **argv)
{
	const char *directory = argv[1];

	(void)argc;
	works(directory);
	reads();
	sockets(directory);
	writes();
	others(directory);
	while (wait(NULL) > 0)
		;
	return 0;
}
