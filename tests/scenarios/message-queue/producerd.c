/* Sends messages to a queue of ten; says what part of its time that took. */
#include <fcntl.h>
#include <mqueue.h>

#include "load.h"

int main(int argc, char **argv)
{
	struct mq_attr attributes = { .mq_maxmsg = 10, .mq_msgsize = 64 };
	mqd_t queue = mq_open(argv[argc - 1], O_CREAT | O_WRONLY, 0600, &attributes);
	double began = now(), waited = 0;

	load_begin();
	while (!ended) {
		double before = now();

		if (mq_send(queue, "job", 3, 0))
			return 1;
		waited += now() - before;
		work_for(0.0002);
	}
	mq_unlink(argv[argc - 1]);
	printf("share=%.3f\n", waited / (now() - began));
	return 0;
}
