/* Writes 64 KiB around the page cache, again and again, with a pause of 10 ms; says how many MiB and how long a write took. */
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	int file = open(argv[argc - 1], O_CREAT | O_WRONLY | O_DIRECT, 0600);
	double began = now(), writing = 0;
	size_t size = 64 << 10;
	void *block = NULL;
	long writes = 0;

	load_begin();
	if (file < 0 || posix_memalign(&block, 4096, size))
		return 1;
	memset(block, 'x', size);
	while (!ended) {
		double before = now();

		if (pwrite(file, block, size, writes % 256 * size) < 0)
			return 1;
		writing += now() - before;
		writes++;
		pause_for(0.01);
	}
	printf("rate=%.3f share=%.3f\n", writes / 16. / (now() - began), writing / (now() - began));
	return 0;
}
