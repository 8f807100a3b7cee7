/* Writes a file of 64 MiB past the page cache, over and over. */
#include <fcntl.h>

#include "load.h"

#define CHUNK (1 << 20)

int main(int count, char **words)
{
	void *chunk;
	int file;

	if (count < 2 || posix_memalign(&chunk, 4096, CHUNK))
		return 2;
	memset(chunk, 1, CHUNK);
	file = open(words[1], O_CREAT | O_WRONLY | O_DIRECT, 0600);
	if (file < 0)
		file = open(words[1], O_CREAT | O_WRONLY | O_SYNC, 0600);
	load_begin();
	for (long i = 0; !ended; i++)
		if (pwrite(file, chunk, CHUNK, i % 64 * CHUNK) < 0)
			return 1;
	return 0;
}
