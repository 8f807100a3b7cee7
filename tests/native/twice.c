// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The two copies of a program (bpf/tcp/twice.h) under interrupts at every place: each event is handled once, or is among
 * those that the recorder says are lost. As a program it prints what came of three kinds of kernels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#undef bool
#undef NULL
#include "../../bpf/tcp/twice.h"

#define EVENTS 200000

enum copy { FIRST, SECOND };

static const struct native_map maps[] = {NATIVE_MAP(first_copies), {}};
static int active[2];
static unsigned int missed[2], handled;
static int leaves_out, interrupts_anywhere;
static unsigned int events, lost;

static void check(int holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

static void event(int interrupts);

/* A soft interrupt, which nothing of its kind interrupts. */
static void maybe_interrupt(int interrupts)
{
	while (interrupts && rand() % 4 == 0)
		event(0);
}

/* As __bpf_trace_run() runs a program. */
static void run(enum copy copy, int interrupts)
{
	struct first_copy *first = first_copy();
	int nested;

	if (leaves_out && active[copy]) {
		missed[copy]++;
		return;
	}
	active[copy]++;
	if (interrupts_anywhere)
		maybe_interrupt(interrupts);
	if (copy == FIRST) {
		nested = begin_first(first);
		maybe_interrupt(interrupts);
		handled++;
		maybe_interrupt(interrupts);
		end_first(first, nested);
	} else if (stands_in()) {
		maybe_interrupt(interrupts);
		handled++;
	}
	if (interrupts_anywhere)
		maybe_interrupt(interrupts);
	active[copy]--;
}

static void event(int interrupts)
{
	unsigned int before = handled, of_others = events - lost;

	run(FIRST, interrupts);
	maybe_interrupt(interrupts);
	run(SECOND, interrupts);
	/* What interrupted this one is counted already. */
	of_others = events - lost - of_others;
	check(handled - before - of_others <= 1, "an event is handled once");
	events++;
	lost += handled - before - of_others == 0;
}

static void kernel(const char *name, int leaves_out_, int interrupts_anywhere_)
{
	native_reset(maps);
	leaves_out = leaves_out_;
	interrupts_anywhere = interrupts_anywhere_;
	events = lost = handled = missed[FIRST] = missed[SECOND] = 0;
	for (int i = 0; i < EVENTS; i++)
		event(1);
	check(lost == missed[FIRST] - first_copy()->stood_in,
	      "what is lost is what the first missed and the second did not do");
	printf("%s: %s%s\n", name, missed[FIRST] ? "left out, " : "",
	       lost ? "some lost and all of those counted" : "all handled");
}

int main(void)
{
	kernel("interrupts while copies work", 1, 0);
	kernel("interrupts at every instruction", 1, 1);
	kernel("a kernel that leaves nothing out", 0, 1);
	return 0;
}
