/* Works without a pause. */
#include "load.h"

int main(void)
{
	for (;;)
		compute_for(1);
}
