/* A terminal that takes 8 KiB, draws them for 20 ms, and takes the next. */
#include "load.h"

int main(void)
{
	static char text[8192];

	for (;;) {
		if (read(0, text, sizeof(text)) <= 0)
			return 0;
		pause_for(0.02);
	}
}
