// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Holds the lock on its own mappings for as long as the file system of a file is frozen: locked FILE
 *
 * One thread writes to a page of the file, which waits for the file system. The other one unmaps that page: it has
 * taken the lock and waits for the first. Says "mapped", reads a line, and says "locked" just before. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile char *page;
static atomic_int writer;

static void *writes(void *unused)
{
	atomic_store(&writer, (int)syscall(SYS_gettid));
	page[0] = 1;
	return unused;
}

/* Whether a thread waits in a way that no signal ends. */
static int is_blocked(int thread)
{
	char path[64], text[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		text[0] = 0;
	fclose(file);
	return strstr(text, ") D ") != NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[16];
	int file = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;

	if (file < 0 || ftruncate(file, 4096))
		return 1;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (page == MAP_FAILED || page[0])
		return 1;
	puts("mapped");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) || pthread_create(&thread, NULL, writes, NULL))
		return 1;
	while (!atomic_load(&writer) || !is_blocked(writer))
		usleep(1000);
	puts("locked");
	fflush(stdout);
	munmap((void *)page, 4096);
	pthread_join(thread, NULL);
	return 0;
}
