/* Syncs a small record a few hundred times a second; says how long that took by its own clock. */
#include <fcntl.h>

#include "load.h"

int main(void)
{
	int file = open("app.log", O_CREAT | O_WRONLY | O_APPEND, 0600);
	double began = now(), synced = 0;

	load_begin();
	while (!ended && write(file, "a line of the log\n", 18) > 0) {
		double before = now();

		if (fdatasync(file))
			return 1;
		synced += now() - before;
		pause_for(0.003);
	}
	printf("share=%.3f\n", synced / (now() - began));
	return 0;
}
