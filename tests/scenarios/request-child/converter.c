/* Takes a tenth of a second: a little work, and a rest that a device or another service would take. */
#include "load.h"

int main(void)
{
	work_for(0.01);
	pause_for(0.12);
	puts("converted");
	return 0;
}
