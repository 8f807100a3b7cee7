/* Makes system calls and computes in between. */
#include <sys/stat.h>

#include "load.h"

int main(void)
{
	struct stat found;

	for (;;) {
		stat("/etc/hostname", &found);
		work_for(0.00002);
	}
}
