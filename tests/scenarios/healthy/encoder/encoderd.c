/* Computes 20 ms for each frame and appends 64 KiB for it to a file. */
#include <fcntl.h>

#include "load.h"

int main(void)
{
	int out = open("movie", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	static char frame[64 << 10];

	for (;;) {
		compute_for(0.02);
		write(out, frame, sizeof(frame));
	}
}
