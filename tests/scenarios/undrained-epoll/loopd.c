/* An event loop that handles its messages, and forgets to read an eventfd that is ready throughout. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "load.h"

int main(void)
{
	int poll = epoll_create1(0), forgotten = eventfd(1, EFD_NONBLOCK), timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct epoll_event event = { .events = EPOLLIN };
	struct itimerspec often = { { 0, 100000000 }, { 0, 100000000 } };
	double woken = 0, messages = 1;

	event.data.fd = forgotten;
	epoll_ctl(poll, EPOLL_CTL_ADD, forgotten, &event);
	event.data.fd = timer;
	epoll_ctl(poll, EPOLL_CTL_ADD, timer, &event);
	timerfd_settime(timer, 0, &often, 0);
	load_begin();
	while (!ended) {
		struct epoll_event ready[8];
		int number = epoll_wait(poll, ready, 8, -1);

		woken++;
		for (int i = 0; i < number; i++) {
			uint64_t times;

			if (ready[i].data.fd == timer && read(timer, &times, 8) == 8)
				messages++;
		}
	}
	printf("each=%.0f\n", woken / messages);
	return 0;
}
