// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * What an unprivileged user can put in a recorder's way, all at once:
 *
 *	tricks DIRECTORY [CGROUP]
 *
 * becomes user 65534 and plays every trick in a process of its own, prints "ready N" when N of them are under way, and ends
 * with its standard input. DIRECTORY must be that user's to write; CGROUP may be a control group that is.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <grp.h>
#include <time.h>
#include <unistd.h>

#include "elf.h"

#define NOBODY 65534
#define MIB    (1UL << 20)

static const char *group;
static int ready_fd = -1;

static void ready(void)
{
	if (write(ready_fd, "r", 1) != 1)
		_exit(1);
}

static void sleep_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* A tenth of a CPU, so that every trick gets samples. */
static void for_ever(void (*work)(void *), void *with)
{
	for (;;) {
		work(with);
		sleep_ms(9);
	}
}

__attribute__((noinline)) static void work(void *unused)
{
	for (volatile long i = 0; i < 1000000; i++)
		;
}

/* Code in memory that no file has, as a run-time compiler makes it; it counts down. */
static void *compiled(void)
{
#if defined(__x86_64__)
	static const unsigned char code[] = {0x48, 0xff, 0xcf, 0x75, 0xfb, 0xc3};
#elif defined(__aarch64__)
	static const unsigned int code[] = {0xf1000400, 0x54ffffe1, 0xd65f03c0};
#endif
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		_exit(1);
	memcpy(memory, code, sizeof(code));
	__builtin___clear_cache(memory, (char *)memory + sizeof(code));
	return memory;
}

static void run_compiled(void *code)
{
	((void (*)(long))code)(1000000);
}

static const char *map_name(void)
{
	static char name[64];

	snprintf(name, sizeof(name), "/tmp/perf-%d.map", getpid());
	return name;
}

static void run_with_map(void)
{
	ready();
	for_ever(run_compiled, compiled());
}

/*
 * Maps of compiled code.
 */

static void map_is_a_fifo(void)
{
	mkfifo(map_name(), 0644);
	run_with_map();
}

static void map_is_a_directory(void)
{
	mkdir(map_name(), 0755);
	run_with_map();
}

static void map_is_a_device(void)
{
	if (symlink("/dev/zero", map_name()))
		_exit(1);
	run_with_map();
}

static void map_is_itself(void)
{
	if (symlink(map_name(), map_name()))
		_exit(1);
	run_with_map();
}

/* 64 MiB of short lines, by one link each for four processes; made once. */
static void map_is_huge(void)
{
	static const char name[] = "huge.map";
	char *text = malloc(MIB), *at = text;
	int fd = open("huge.map.new", O_CREAT | O_EXCL | O_WRONLY, 0644);

	for (unsigned long i = 0x1000; at - text < (long)MIB - 32; i += 16)
		at += sprintf(at, "%lx 10 f\n", i);
	if (fd >= 0) {
		for (int i = 0; i < 64; i++)
			if (write(fd, text, at - text) < 0)
				_exit(1);
		rename("huge.map.new", name);
	}
	free(text);
	while (link(name, map_name()))
		sleep_ms(10);
	run_with_map();
}

static void map_grows(void)
{
	static const char line[] = "10 10 \033[2J\n7f0000000000 ffffffff f\n";
	FILE *file = fopen(map_name(), "w");

	ready();
	/* Within what a careless test machine has room for. */
	for (int i = 0; i < 100000; i++)
		fputs(line, file);
	for (;;) {
		fprintf(file, "%s", line);
		fflush(file);
		run_compiled(compiled());
		sleep_ms(9);
	}
}

/* Who opens a file with a lease waits until its holder gives it up, which takes up to 45 seconds. */
static void map_is_leased(void)
{
	int fd = open(map_name(), O_CREAT | O_RDWR, 0644);

	signal(SIGIO, SIG_IGN);
	if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK))
		_exit(1);
	run_with_map();
}

/*
 * Programs.
 */

static void copy_self(const char *to)
{
	int from = open("/proc/self/exe", O_RDONLY), copy = open(to, O_CREAT | O_TRUNC | O_WRONLY, 0755);
	char piece[65536];
	ssize_t size;

	while ((size = read(from, piece, sizeof(piece))) > 0)
		if (write(copy, piece, size) != size)
			_exit(1);
	close(from);
	close(copy);
}

/* Goes on as the copy, by one of the words of run_as(). */
static void become(const char *path, const char *word)
{
	char fd[16];

	snprintf(fd, sizeof(fd), "%d", ready_fd);
	execl(path, path, word, fd, NULL);
	_exit(1);
}

static char *own_file(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "./%s-%d", name, getpid());
	return path;
}

static void replaced(const char *word)
{
	char *path = own_file(word);

	copy_self(path);
	become(path, word);
}

static void program_becomes_a_fifo(void)
{
	replaced("fifo");
}

static void program_becomes_a_device(void)
{
	replaced("device");
}

static void program_is_deleted(void)
{
	replaced("deleted");
}

static void program_is_in_memory(void)
{
	int fd = memfd_create("\033[31mnot\na file", 0);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy_self(path);
	become(path, "work");
}

static void program_has_65000_symbol_tables(void)
{
	char *path = own_file("tables");

	copy_self(path);
	elf_symbols(path, 65000, 20000, "table");
	become(path, "work");
}

static void named(const char *file, const char *symbol)
{
	char *path = own_file(file);

	copy_self(path);
	elf_symbols(path, 1, 1, symbol);
	become(path, "work");
}

/* In base 36, as substitutions of the C++ ABI count: S_, S0_, S1_. */
static int substitution(char *to, int number)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (!number)
		return sprintf(to, "S_");
	if (--number < 36)
		return sprintf(to, "S%c_", digits[number]);
	return sprintf(to, "S%c%c_", digits[number / 36], digits[number % 36]);
}

/* A C++ name that doubles with each of its 21 levels. */
static void name_doubles(void)
{
	char name[512], *at = name + sprintf(name, "_Z4burn1PIiiE");

	for (int level = 1; level < 22; level++) {
		at += sprintf(at, "S_I");
		at += substitution(at, level);
		at += substitution(at, level);
		at += sprintf(at, "E");
	}
	named("doubles", name);
}

/* Likewise in Rust's: each argument is a pair of the one before, by reference. */
static void name_doubles_in_rust(void)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char name[1024] = "_RINvC1a1fTeeE", *at = name + strlen(name);
	int before = 8; /* where "TeeE" begins, without "_R" */

	for (int level = 0; level < 26; level++) {
		int here = at - name - 2, number = before - 1;
		char number_text[8];

		if (number < 62)
			sprintf(number_text, "%c", digits[number]);
		else
			sprintf(number_text, "%c%c", digits[number / 62], digits[number % 62]);
		at += sprintf(at, "TB%s_B%s_E", number_text, number_text);
		before = here;
	}
	sprintf(at, "E");
	named("doubles-in-rust", name);
}

static void name_nests(void)
{
	static char name[20000];

	memset(name, 'P', sizeof(name) - 2);
	memcpy(name, "_Z1f", 4);
	name[sizeof(name) - 2] = 'i';
	named("nests", name);
}

static void name_nests_templates(void)
{
	static char name[16000];
	char *at = name + sprintf(name, "_Z1f");

	for (int i = 0; i < 2000; i++)
		at += sprintf(at, "N1aI");
	for (int i = 0; i < 2000; i++)
		at += sprintf(at, "EE");
	named("templates", name);
}

static void name_is_a_megabyte(void)
{
	char *name = malloc(MIB);

	for (size_t i = 0; i < MIB - 1; i++)
		name[i] = "\033[2J\n\xff<b>"[i % 9];
	name[MIB - 1] = 0;
	named("megabyte", name);
}

/* A mapped library whose file comes and goes under the reader's hands. */
static void library_shrinks(void)
{
	char *path = own_file("library");
	struct stat facts;
	int fd;

	copy_self(path);
	fd = open(path, O_RDWR);
	if (fd < 0 || fstat(fd, &facts) ||
	    mmap(NULL, facts.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		_exit(1);
	ready();
	for (;;) {
		work(NULL);
		if (ftruncate(fd, 100) || ftruncate(fd, facts.st_size))
			_exit(1);
		sleep_ms(1);
	}
}

/*
 * Processes.
 */

static void processes_come_and_go(void)
{
	ready();
	for (;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(3);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		else
			sleep_ms(1);
	}
}

static void programs_come_and_go(void)
{
	static char *words[] = {"\033]0;x\a\nname", "a\nb", "\xff\xfe", NULL};

	ready();
	for (;;) {
		pid_t pid = fork();

		if (!pid) {
			execv("/bin/true", words);
			_exit(3);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
		sleep_ms(1);
	}
}

static void *rename_thread(void *number)
{
	char name[16];

	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof(name), "\033[%um\n%lx%x", i % 50, (long)number, i);
		prctl(PR_SET_NAME, name);
		if (i % 64 == 0)
			sleep_ms(1);
	}
	return NULL;
}

static void threads_change_their_names(void)
{
	pthread_t thread;

	for (long i = 0; i < 4; i++)
		pthread_create(&thread, NULL, rename_thread, (void *)i);
	ready();
	for_ever(work, NULL);
}

static void arguments_fill_128_kib(void)
{
	static char word[128 * 1024 - 64];
	char fd[16];

	for (size_t i = 0; i < sizeof(word) - 1; i++)
		word[i] = "\033[31m\n\t\xc3"[i % 8];
	snprintf(fd, sizeof(fd), "%d", ready_fd);
	execl("/proc/self/exe", "arguments", "work", fd, word, word, NULL);
	_exit(1);
}

static void mappings_are_60000(void)
{
	char *memory = mmap(NULL, 60000 * 4096UL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (size_t i = 0; memory != MAP_FAILED && i < 60000; i += 2)
		if (mprotect(memory + i * 4096, 4096, PROT_READ | PROT_EXEC))
			break;
	ready();
	for_ever(run_compiled, compiled());
}

static void *map_and_unmap(void *unused)
{
	for (;;) {
		void *memory = mmap(NULL, 16 * 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		munmap(memory, 16 * 4096);
		sleep_ms(0);
	}
	return NULL;
}

static void mappings_change(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, map_and_unmap, NULL);
	ready();
	for_ever(work, NULL);
}

__attribute__((noinline)) static int recurse(int depth)
{
	if (depth)
		return recurse(depth - 1) + 1;
	work(NULL);
	sleep_ms(60);
	return 0;
}

static void stacks_are_deep(void)
{
	ready();
	for (int depth = 1000;; depth = 1000 + depth * 7 % 40000)
		recurse(depth);
}

static void process_is_stopped(void)
{
	ready();
	for (;;)
		raise(SIGSTOP);
}

/* Its own root and process ids, devices in the place of files. */
static void namespace_is_its_own(void)
{
	char map[64];
	pid_t child;
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)) {
		/* Refused to the unprivileged: nothing to play. */
		ready();
		pause();
	}
	child = fork();
	if (child) {
		waitpid(child, NULL, 0);
		_exit(0);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	snprintf(map, sizeof(map), "/tmp/perf-%d.map", getpid());
	fd = open(map, O_CREAT | O_WRONLY, 0644);
	close(fd);
	mount("/dev/zero", map, NULL, MS_BIND, NULL);
	mount("/dev/zero", "/etc/ld.so.cache", NULL, MS_BIND, NULL);
	mount("tmpfs", "/usr/lib/debug", "tmpfs", 0, NULL);
	run_with_map();
}

static void control_groups_have_odd_names(void)
{
	static const char *names[] = {"\033[2J", "a\nb", "docker-../../x.scope", "\xff\xfe", "machine-\\x00.scope"};
	char path[4096], number[16];

	for (int i = 0; group && i < 5; i++) {
		pid_t child;
		int fd;

		snprintf(path, sizeof(path), "%s/%s", group, names[i]);
		mkdir(path, 0755);
		child = fork();
		if (child)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		strcat(path, "/cgroup.procs");
		fd = open(path, O_WRONLY);
		snprintf(number, sizeof(number), "%d", getpid());
		if (fd >= 0 && write(fd, number, strlen(number)) < 0)
			perror(path);
		for_ever(work, NULL);
	}
	ready();
	for_ever(work, NULL);
}

/*
 * Sockets.
 */

static unsigned long random_state = 88172645463325252;

static unsigned long random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

static void garbage(char *to, size_t size)
{
	static const char *starts[] = {
		"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"POST /\033[2J HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "\x16\x03\x01"};
	const char *start = starts[random_number() % 4];

	for (size_t i = 0; i < size; i++)
		to[i] = random_number();
	if (random_number() % 4)
		memcpy(to, start, strlen(start));
}

static void *serve(void *listener)
{
	char bytes[512];

	for (;;) {
		int client = accept((int)(long)listener, NULL, NULL);

		if (client < 0)
			continue;
		while (read(client, bytes, sizeof(bytes)) > 0) {
			garbage(bytes, sizeof(bytes));
			if (send(client, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
				break;
		}
		close(client);
	}
	return NULL;
}

static void streams_carry_garbage(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(address);
	char bytes[512];
	pthread_t thread;

	if (bind(listener, (void *)&address, length) || listen(listener, 64))
		_exit(1);
	getsockname(listener, (void *)&address, &length);
	pthread_create(&thread, NULL, serve, (void *)(long)listener);
	ready();
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (!connect(fd, (void *)&address, sizeof(address))) {
			garbage(bytes, sizeof(bytes));
			send(fd, bytes, random_number() % sizeof(bytes), MSG_NOSIGNAL);
			recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		}
		close(fd);
		sleep_ms(2);
	}
}

static void datagrams_carry_garbage(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char bytes[512];

	ready();
	for (;;) {
		garbage(bytes, sizeof(bytes));
		address.sin_port = htons(random_number() % 2 ? 53 : 443);
		sendto(fd, bytes, random_number() % sizeof(bytes), 0, (void *)&address, sizeof(address));
		sleep_ms(1);
	}
}

/* The one that plays no trick: it must be found beside the others. */
__attribute__((noinline)) static void honest_work(void *unused)
{
	for (volatile long i = 0; i < 2000000; i++)
		;
}

static void process_is_honest(void)
{
	prctl(PR_SET_NAME, "honest");
	ready();
	for_ever(honest_work, NULL);
}

static void (*const tricks[])(void) = {
	map_is_a_fifo,
	map_is_a_directory,
	map_is_a_device,
	map_is_itself,
	map_is_huge,
	map_is_huge,
	map_is_huge,
	map_is_huge,
	map_grows,
	map_is_leased,
	program_becomes_a_fifo,
	program_becomes_a_device,
	program_is_deleted,
	program_is_in_memory,
	program_has_65000_symbol_tables,
	name_doubles,
	name_doubles_in_rust,
	name_nests,
	name_nests_templates,
	name_is_a_megabyte,
	library_shrinks,
	processes_come_and_go,
	programs_come_and_go,
	threads_change_their_names,
	arguments_fill_128_kib,
	mappings_are_60000,
	mappings_change,
	stacks_are_deep,
	process_is_stopped,
	namespace_is_its_own,
	control_groups_have_odd_names,
	streams_carry_garbage,
	datagrams_carry_garbage,
	process_is_honest,
};
#define TRICKS (sizeof(tricks) / sizeof(*tricks))

/* What a copy of this program does. */
static int run_as(char **words)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ready_fd = atoi(words[2]);
	if (strcmp(words[1], "work"))
		unlink(words[0]);
	if (!strcmp(words[1], "fifo"))
		mkfifo(words[0], 0644);
	if (!strcmp(words[1], "device") && symlink("/dev/zero", words[0]))
		return 1;
	ready();
	for_ever(work, NULL);
	return 0;
}

static void drop_privileges(void)
{
	struct rlimit processes = {400, 400}, none = {};

	setrlimit(RLIMIT_NPROC, &processes);
	setrlimit(RLIMIT_CORE, &none);
	if (!getuid() && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
		exit(1);
	/* Otherwise the kernel lends its files to root. */
	prctl(PR_SET_DUMPABLE, 1);
}

static void clean_up(const pid_t *pids)
{
	char name[64];

	for (size_t i = 0; i < TRICKS; i++) {
		snprintf(name, sizeof(name), "/tmp/perf-%d.map", pids[i]);
		if (unlink(name))
			rmdir(name);
	}
}

int main(int count, char **words)
{
	pid_t pids[TRICKS];
	int ends[2], under_way = 0;
	char byte;

	if (count > 2 && atoi(words[2]) > 0)
		return run_as(words);
	if (count < 2 || chdir(words[1]) || pipe(ends)) {
		perror("tricks DIRECTORY [CGROUP]");
		return 1;
	}
	group = count > 2 ? words[2] : NULL;
	setpgid(0, 0);
	drop_privileges();
	ready_fd = ends[1];
	for (size_t i = 0; i < TRICKS; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		tricks[i]();
		_exit(1);
	}
	close(ends[1]);
	while (under_way < (int)TRICKS && read(ends[0], &byte, 1) == 1)
		under_way++;
	printf("ready %d\n", under_way);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	signal(SIGTERM, SIG_IGN);
	for (size_t i = 0; i < TRICKS; i++)
		kill(pids[i], SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0 || errno == EINTR)
		;
	clean_up(pids);
	return 0;
}
