/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The active share of a wait: the part in which its waker ran, was blocked, or slept waiting for a thread that was active. It tells
 * waiting for something in progress from having nothing to do: who wakes an idle thread was idle too.
 *
 * What wPerf (Zhou et al., OSDI 2018) finds by walking recorded wake-ups backwards is computed forward here: each thread keeps its last
 * sleeps with their shares.
 */
#ifndef EBREC_OFFCPU_PAST_H
#define EBREC_OFFCPU_PAST_H

#include "ebrec.h"

#include "state.h"

/* As the key of an edge has it: a condition variable of glibc's alternates between two words of one address rounded down to 8. */
#define FUTEX_MASK (~7ULL)

struct parts {
	__u64 active;
	__u64 unknown;
};

/* Whether a wait that timed out was for the futex for which another was ended; else nobody had anything for it. */
static __always_inline bool timed_out_as_ended(struct task_state *state)
{
	return !((state->timed_out_futex ^ state->ended_futex) & FUTEX_MASK);
}

/* How a thread spent the time between `since` and `now`, at which it runs; `state` may be NULL: it did not sleep yet. */
static __always_inline void parts_of_past(struct parts *parts, struct task_state *state, __u64 born, __u64 since,
					  __u64 now)
{
	__u64 known = state ? state->known_since : 0, idle = 0, unknown = 0, from, overlap;

	if (!known)
		known = window_start();
	if (known < born)
		known = born;
	from = since > known ? since : known;
	if (from > now)
		from = now;
	if (state) {
		if (state->timed_out_until > from) {
			overlap = state->timed_out_until -
				  (state->timed_out_since > from ? state->timed_out_since : from);
			if (timed_out_as_ended(state)) {
				unknown = overlap * state->ended_unknown >> SHARE_BITS;
				overlap = overlap * (SHARE_WHOLE - state->ended_active - state->ended_unknown) >>
					  SHARE_BITS;
			}
			idle = overlap;
		}
#pragma clang loop unroll(full)
		for (int i = 0; i < PAST_SLEEPS; i++) {
			struct past_sleep *past = &state->past[i];

			if (past->end <= from || past->end > now)
				continue;
			overlap = past->end - (past->start > from ? past->start : from);
			unknown += overlap * past->unknown >> SHARE_BITS;
			idle += overlap * (SHARE_WHOLE - past->active - past->unknown) >> SHARE_BITS;
		}
	}
	parts->unknown = unknown + (from - since);
	parts->active = now - from > idle + unknown ? now - from - idle - unknown : 0;
}

static __always_inline bool alike(__u32 one, __u32 other)
{
	return one - other + SHARE_LIKE <= 2 * SHARE_LIKE;
}

/* The sleep that a thread ends: it had others to wait for in `active` ns of it. */
static __always_inline void remember_sleep(struct task_state *state, __u64 start, __u64 end, __u64 active,
					   __u64 unknown)
{
	__u32 at = state->newest & (PAST_SLEEPS - 1);
	__u64 slept = end - start, whole;
	struct past_sleep *past = &state->past[at];
	__u32 active_share, unknown_share;

	if (!slept)
		return;
	active_share = (active << SHARE_BITS) / slept;
	unknown_share = (unknown << SHARE_BITS) / slept;
	whole = end - past->start;
	/* What is between two sleeps was active. */
	if (past->end && (start - past->end) * 16 < whole && alike(past->active, active_share) &&
	    alike(past->unknown, unknown_share)) {
		__u64 before = past->end - past->start;

		active += (before * past->active >> SHARE_BITS) + (start - past->end);
		unknown += before * past->unknown >> SHARE_BITS;
		past->end = end;
		past->active = (active << SHARE_BITS) / whole;
		past->unknown = (unknown << SHARE_BITS) / whole;
		return;
	}
	at = (at + 1) & (PAST_SLEEPS - 1);
	state->newest = at;
	past = &state->past[at];
	if (past->end)
		state->known_since = past->end;
	past->start = start;
	past->end = end;
	past->active = active_share;
	past->unknown = unknown_share;
}

/*
 * Whether the wait goes on with one that timed out: the thread looked around and waits on, as those for Python's GIL do every 5 ms. All of
 * it is one wait, whose share is known when another thread ends it.
 */
static __always_inline bool continues(struct task_state *state)
{
	return state->timed_out_since && state->on == ON_FUTEX &&
	       !((state->target ^ state->timed_out_futex) & FUTEX_MASK);
}

/* Nobody ended it. */
static __always_inline void remember_time_out(struct task_state *state)
{
	__u64 slept = state->timed_out_until - state->timed_out_since, active = 0, unknown = 0;

	if (timed_out_as_ended(state)) {
		active = slept * state->ended_active >> SHARE_BITS;
		unknown = slept * state->ended_unknown >> SHARE_BITS;
	}
	remember_sleep(state, state->timed_out_since, state->timed_out_until, active, unknown);
	state->timed_out_since = 0;
	state->timed_out_until = 0;
}

/*
 * Whether a wait for the same futex was the last that timed out and then ended: what a thread waits for in between, as for the mutex of the
 * condition variable or to hand on Python's GIL, does not make it forget that.
 */
static __always_inline bool ended_before(struct task_state *state)
{
	return !((state->target ^ state->ended_futex) & FUTEX_MASK);
}

/* A thread ended a wait for a futex. */
static __always_inline void remember_end(struct task_state *state, __u64 slept)
{
	if (!slept)
		return;
	state->ended_futex = state->target;
	state->ended_active = (state->active_ns << SHARE_BITS) / slept;
	state->ended_unknown = (state->unknown_ns << SHARE_BITS) / slept;
}

#endif
