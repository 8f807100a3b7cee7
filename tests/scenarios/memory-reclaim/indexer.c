/* Reads a file again and again, beside memory of its own. */
#include <fcntl.h>
#include <sys/stat.h>

#include "load.h"

int main(int argc, char **argv)
{
	int file = open(argv[argc - 1], O_RDONLY);
	size_t own = 24 << 20;
	struct stat stat;
	char *heap = malloc(own), *buffer = malloc(1 << 20);

	if (file < 0 || fstat(file, &stat) || !heap || !buffer)
		return 1;
	memset(heap, 1, own);
	for (;;) {
		for (off_t at = 0; at < stat.st_size; at += 1 << 20) {
			if (pread(file, buffer, 1 << 20, at) < 0)
				return 1;
		}
	}
}
