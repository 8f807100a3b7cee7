/* Allows each open on a mount after 5 ms. */
#include <fcntl.h>
#include <sys/fanotify.h>

#include "load.h"

int main(int argc, char **argv)
{
	struct fanotify_event_metadata event[16];
	int group = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY);
	ssize_t length;

	if (group < 0 || fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_PERM, AT_FDCWD, argv[argc - 1]))
		return 1;
	puts("scanning");
	fflush(stdout);
	while ((length = read(group, event, sizeof(event))) > 0) {
		for (struct fanotify_event_metadata *one = event; FAN_EVENT_OK(one, length); one = FAN_EVENT_NEXT(one, length)) {
			struct fanotify_response response = { .fd = one->fd, .response = FAN_ALLOW };

			pause_for(0.005);
			if (write(group, &response, sizeof(response)) < 0)
				return 1;
			close(one->fd);
		}
	}
	return 1;
}
