/* Six processes that work under a semaphore of System V; says what share of their time they waited for it by their own clocks. */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/wait.h>

#include "load.h"

#define PROCESSES 6

static double serve(int set)
{
	struct sembuf take = { .sem_op = -1, .sem_flg = SEM_UNDO }, give = { .sem_op = 1, .sem_flg = SEM_UNDO };
	double began = now(), waited = 0;

	while (!ended) {
		double before = now();

		if (semop(set, &take, 1))
			break;
		waited += now() - before;
		work_for(0.015);
		semop(set, &give, 1);
		pause_for(0.001);
	}
	return waited / (now() - began);
}

int main(void)
{
	double *shares = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), sum = 0;
	int set = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	pid_t children[PROCESSES];

	semctl(set, 0, SETVAL, 1);
	load_begin();
	for (int i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (!children[i]) {
			shares[i] = serve(set);
			_exit(0);
		}
	}
	while (!ended)
		pause();
	for (int i = 0; i < PROCESSES; i++)
		kill(children[i], SIGTERM);
	for (int i = 0; i < PROCESSES; i++) {
		waitpid(children[i], 0, 0);
		sum += shares[i] / PROCESSES;
	}
	semctl(set, 0, IPC_RMID);
	printf("waited=%.3f\n", sum);
	return 0;
}
