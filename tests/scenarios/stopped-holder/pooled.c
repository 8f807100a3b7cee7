/* Four workers that take turns with an flock. */
#include <fcntl.h>
#include <sys/file.h>

#include "load.h"

int main(void)
{
	for (int i = 0; i < 4; i++) {
		if (!fork()) {
			int file = open("pool.lock", O_CREAT | O_RDWR, 0600);

			for (;;) {
				flock(file, LOCK_EX);
				work_for(0.005);
				pause_for(0.01);
				flock(file, LOCK_UN);
				pause_for(0.001);
			}
		}
	}
	for (;;)
		pause();
}
