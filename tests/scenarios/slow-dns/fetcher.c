/* Looks a name up, again and again, and says how long that took by its own clock. */
#include <netdb.h>

#include "load.h"

int main(void)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	double total = 0;
	int lookups = 0;

	load_begin();
	while (!ended) {
		struct addrinfo *found = NULL;
		double before = now();

		if (getaddrinfo("backend.internal", "80", &hints, &found))
			return 1;
		freeaddrinfo(found);
		total += now() - before;
		lookups++;
	}
	printf("lookups=%d mean=%.3f\n", lookups, total / lookups);
	return 0;
}
