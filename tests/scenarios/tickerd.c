/* A service: does 2 ms of work a hundred times a second; says how late its work was done by its own clock. */
#include "load.h"

int main(void)
{
	double worst = 0, total = 0;
	long ticks = 0;

	load_begin();
	while (!ended) {
		double before = now();

		compute_for(0.002);
		total += now() - before;
		worst = now() - before > worst ? now() - before : worst;
		ticks++;
		pause_for(0.008);
	}
	printf("ticks=%ld mean=%.4f worst=%.4f\n", ticks, total / ticks, worst);
	return 0;
}
