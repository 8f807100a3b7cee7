// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Programs that make trouble for a tool that names their functions. Each makes its trouble, says a line, spins in code that
 * it made at run time until its standard input ends, and cleans up.
 *
 *   fifo                 its perf map is a FIFO that nobody writes
 *   device               its perf map is a link to /dev/zero
 *   named TEXT           its perf map names its code
 *   shared PATH          its perf map is another name of PATH, which names its code at 0x600000000000
 *   mappings COUNT       it has that many executable mappings
 *   plain                none of that: it spins in a function of its own
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CODE ((char *)0x600000000000)
#define PAGE 4096

static char map[64];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* push frame; some millions of turns; pop frame; return */
static void make_code(void)
{
#if defined(__x86_64__)
	static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xb8, 0, 0, 0x10, 0, 0xff, 0xc8, 0x75, 0xfc, 0x5d, 0xc3 };
#elif defined(__aarch64__)
	static const uint32_t code[] = { 0xa9bf7bfd, 0x910003fd, 0xd2a00200, 0xf1000400, 0x54ffffe1, 0xa8c17bfd, 0xd65f03c0 };
#endif
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

	if (mmap(CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0) != CODE)
		fail("mmap");
	memcpy(CODE, code, sizeof(code));
	__builtin___clear_cache(CODE, CODE + sizeof(code));
}

static void name_code(const char *path, const char *name)
{
	FILE *file = fopen(path, "w");

	if (!file || fprintf(file, "%lx %x %s\n", (unsigned long)CODE, PAGE, name) < 0 || fclose(file))
		fail(path);
}

static void add_mappings(long count)
{
	for (long n = 0; n < count; n++) {
		/* Every other page is writable, so that no two become one mapping. */
		int rights = PROT_READ | PROT_EXEC | (n % 2 ? PROT_WRITE : 0);
		char *place = CODE + (n + 2) * PAGE;

		if (mmap(place, PAGE, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != place)
			fail("mmap");
	}
}

__attribute__((noinline)) void plain_function(void)
{
	for (volatile long n = 0; n < 1 << 20; n++)
		;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "plain";
	struct pollfd input = { .fd = 0, .events = POLLIN };
	void (*work)(void) = (void (*)(void))CODE;

	snprintf(map, sizeof(map), "/tmp/perf-%d.map", getpid());
	make_code();
	if (!strcmp(what, "fifo") && mkfifo(map, 0644))
		fail("mkfifo");
	if (!strcmp(what, "device") && symlink("/dev/zero", map))
		fail("symlink");
	if (!strcmp(what, "named"))
		name_code(map, argv[2]);
	if (!strcmp(what, "shared") && link(argv[2], map))
		fail("link");
	if (!strcmp(what, "mappings"))
		add_mappings(atol(argv[2]));
	if (!strcmp(what, "plain"))
		work = plain_function;
	puts("ready");
	fflush(stdout);
	while (poll(&input, 1, 0) == 0)
		work();
	unlink(map);
	return 0;
}
