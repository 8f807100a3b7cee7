/* One end of a pipe: computes 50 ms for each record as `producer`, and waits for records as `consumer`, which says for what share of its time. */
#include "load.h"

int main(int argc, char **argv)
{
	double began = now(), waited = 0;
	char record[64] = { 0 };
	long records = 0;

	load_begin();
	while (!ended && argc > 1) {
		compute_for(0.05);
		if (write(1, record, sizeof(record)) < 0)
			return 1;
	}
	while (!ended) {
		double before = now();

		if (read(0, record, sizeof(record)) <= 0)
			break;
		waited += now() - before;
		records++;
	}
	printf("records=%ld waited=%.3f\n", records, waited / (now() - began));
	return 0;
}
