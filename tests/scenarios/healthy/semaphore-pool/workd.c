/* Eight processes that wait at a semaphore of System V for jobs; their parent gives twenty a second. */
#include <sys/ipc.h>
#include <sys/sem.h>

#include "load.h"

int main(void)
{
	struct sembuf take = { .sem_op = -1 }, give = { .sem_op = 1 };
	int set = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	long jobs = 0;

	semctl(set, 0, SETVAL, 0);
	for (int i = 0; i < 8; i++) {
		if (!fork()) {
			while (!semop(set, &take, 1))
				work_for(0.001);
			_exit(0);
		}
	}
	load_begin();
	while (!ended) {
		semop(set, &give, 1);
		jobs++;
		pause_for(0.05);
	}
	semctl(set, 0, IPC_RMID);
	printf("jobs=%ld\n", jobs);
	return 0;
}
