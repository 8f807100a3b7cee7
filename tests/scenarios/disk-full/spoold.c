/* Appends a record two hundred times a second to a file; what can't be written is tried again. */
#include <errno.h>
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	static char record[64 << 10];
	int file = open(argv[argc - 1], O_WRONLY | O_CREAT | O_APPEND, 0600);
	long failed = 0;

	memset(record, 'x', sizeof(record));
	load_begin();
	while (!ended) {
		if (write(file, record, sizeof(record)) < 0 && errno == ENOSPC)
			failed++;
		pause_for(0.005);
	}
	printf("failed=%ld\n", failed);
	return 0;
}
