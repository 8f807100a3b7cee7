/* Writes 1 MiB at a time around the page cache; says how many MiB it wrote. */
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	int file = open(argv[argc - 1], O_CREAT | O_WRONLY | O_DIRECT, 0600);
	size_t size = 1 << 20;
	void *block = NULL;
	long written = 0;

	load_begin();
	if (file < 0 || posix_memalign(&block, 4096, size))
		return 1;
	memset(block, 'x', size);
	while (!ended && pwrite(file, block, size, written % 64 * size) == (ssize_t)size)
		written++;
	printf("written=%ld\n", written);
	return 0;
}
