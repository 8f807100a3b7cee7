/* Reads blocks of a file; says what share of its time the reads took by its own clock. */
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	double began = now(), reading = 0;
	int file = open(argv[argc - 1], O_RDONLY);
	char block[4096];
	long reads = 0;

	load_begin();
	while (!ended && file >= 0) {
		double before = now();

		if (pread(file, block, sizeof(block), reads % 1000 * 4096) < 0)
			break;
		reading += now() - before;
		reads++;
	}
	printf("reads=%ld share=%.3f\n", reads, reading / (now() - began));
	return 0;
}
