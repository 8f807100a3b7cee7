/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Thinning, which holds a budget of CPU time: user space gives each probe a shift, and the probe takes one event in
 * 2^shift, chosen by chance, so that no pattern of events falls in step with it. What is added to totals for that one has
 * the weight 2^shift. The shift is 0 where nothing is thinned, which costs a load and a branch.
 */
#ifndef EBREC_THIN_H
#define EBREC_THIN_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

#include "config.h"

/* User space sets no higher one; the verifier has to know it. */
#define MAX_THIN_SHIFT 15

static __always_inline __u32 thin_shift(void)
{
	/* A constant to the verifier. */
	if (config.probe >= MAX_THINNED)
		return 0;
	return *(volatile __u8 *)&epoch.thin[config.probe] & MAX_THIN_SHIFT;
}

/* Whether a random number takes an event, of which one in 2^shift is taken. */
static __always_inline bool is_drawn(__u32 random, __u32 shift)
{
	return !(random & ((1U << shift) - 1));
}

/* Whether an event is a row in raw mode. */
static __always_inline bool row_is_drawn(void)
{
	__u32 shift = thin_shift();

	return !shift || is_drawn(bpf_get_prandom_u32(), shift);
}

#endif
