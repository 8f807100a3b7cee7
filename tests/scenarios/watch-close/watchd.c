/* Adds a watch on a directory and closes it, over and over. Prints what share of its time it was in close. */
#include <sys/inotify.h>

#include "load.h"

int main(int count, char **words)
{
	double closing = 0, began = now(), before;
	int watches;

	if (count < 2)
		return 2;
	load_begin();
	while (!ended) {
		watches = inotify_init1(0);
		inotify_add_watch(watches, words[1], IN_CREATE);
		before = now();
		close(watches);
		closing += now() - before;
	}
	printf("share=%.3f\n", closing / (now() - began));
	return 0;
}
