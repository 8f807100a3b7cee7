/* Appends records to a file and syncs each; says how long the syncs took by its own clock. */
#include <fcntl.h>

#include "load.h"

int main(int argc, char **argv)
{
	char record[4096];
	double began = now(), synced = 0;
	long syncs = 0;
	int file = open(argc > 1 ? argv[1] : "journal", O_CREAT | O_WRONLY | O_APPEND, 0600);

	load_begin();
	memset(record, 'x', sizeof(record));
	while (!ended && write(file, record, sizeof(record)) > 0) {
		double before = now();

		if (fsync(file))
			return 1;
		synced += now() - before;
		syncs++;
	}
	printf("syncs=%ld share=%.3f\n", syncs, synced / (now() - began));
	return 0;
}
