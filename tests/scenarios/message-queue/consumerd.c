/* Takes a message from a queue each 10 ms. */
#include <fcntl.h>
#include <mqueue.h>

#include "load.h"

int main(int argc, char **argv)
{
	struct mq_attr attributes = { .mq_maxmsg = 10, .mq_msgsize = 64 };
	mqd_t queue = mq_open(argv[argc - 1], O_CREAT | O_RDONLY, 0600, &attributes);
	char message[64];

	while (mq_receive(queue, message, sizeof(message), 0) >= 0)
		pause_for(0.01);
	return 1;
}
