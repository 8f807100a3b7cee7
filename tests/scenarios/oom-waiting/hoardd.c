/* Takes 64 MiB. */
#include "load.h"

int main(void)
{
	for (size_t size = 0; size < 64 << 20; size += 1 << 20)
		memset(malloc(1 << 20), 1, 1 << 20);
	for (;;)
		pause();
}
