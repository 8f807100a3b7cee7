/* Takes 4 KiB and computes for a millisecond. */
#include "load.h"

int main(void)
{
	static char block[4096];

	while (read(0, block, sizeof(block)) > 0)
		compute_for(0.001);
	return 0;
}
