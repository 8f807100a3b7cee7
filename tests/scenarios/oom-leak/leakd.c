/* Takes 1 MiB more every 20 ms. */
#include "load.h"

int main(void)
{
	for (;;) {
		char *more = malloc(1 << 20);

		if (more)
			memset(more, 1, 1 << 20);
		pause_for(0.02);
	}
}
