/* Copies a log of 96 MiB and syncs the copy, without a pause; says how often. */
#include <fcntl.h>

#include "load.h"

int main(void)
{
	size_t size = 96 << 20;
	char *log = malloc(size);
	long rotations = 0;

	load_begin();
	memset(log, 'l', size);
	while (!ended) {
		int copy = open("big.log.1", O_CREAT | O_TRUNC | O_WRONLY, 0600);

		if (copy < 0 || write(copy, log, size) < 0 || fsync(copy))
			return 1;
		close(copy);
		rotations++;
	}
	printf("rotations=%ld\n", rotations);
	return 0;
}
