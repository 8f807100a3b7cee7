/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The places of static probes, and where the arguments are at each. User space reads that out of the notes in the file; libbpf's
 * own reading refuses a probe, and with it all of an event, if one operand is named by a symbol.
 */
#ifndef EBREC_EVENTS_SITES_H
#define EBREC_EVENTS_SITES_H

#include "ebrec.h"

#include "code.h"
#include "knobs.h"

/* No register. */
#define SITE_NONE 0xff
/*
 * Without cookies (before 5.15) places are told apart by where they are in their page, since a program may be loaded anywhere.
 * All pages are a multiple of this.
 */
#define SITE_PAGE_MASK 0xfff

/* number + base + (index << shift): the value, or where it is. */
struct site_argument {
	__u64 number;
	__u8 base;  /* a word of struct pt_regs, or SITE_NONE */
	__u8 index; /* likewise */
	__u8 shift;
	__u8 size;	 /* bytes of the value */
	__u8 from_probe; /* the number is a distance from the instruction that is hit */
	__u8 in_memory;
	__u8 is_signed;
	__u8 unreadable; /* user space found no way to it */
};
_Static_assert(sizeof(struct site_argument) == 16, "no holes");

struct event_site {
	__u32 probe; /* its number among the event's */
	__u32 pad;
	struct site_argument arguments[EVENT_ARGUMENTS];
};
_Static_assert(sizeof(struct event_site) == 8 + 16 * EVENT_ARGUMENTS, "no holes");

struct event_site *export_event_site;

/* Sized and filled by user space, by the cookie of the attachment or by the place in the page. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event_site);
} event_sites SEC(".maps");

static __always_inline __u64 probed_instruction(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return ctx->ip;
#else
	return ctx->pc;
#endif
}

static __always_inline __u64 word_of(struct pt_regs *regs, __u8 word)
{
	__u64 value = 0;

	if (word != SITE_NONE)
		bpf_probe_read_kernel(&value, sizeof(value), (void *)regs + sizeof(value) * word);
	return value;
}

/* False: it can't be read. */
static __noinline bool read_site_argument(struct pt_regs *regs, struct site_argument *at, __u64 *value)
{
	__u64 sum, there = 0;

	if (!at || !value || at->unreadable)
		return false;
	sum = at->number + word_of(regs, at->base) + (word_of(regs, at->index) << (at->shift & 63));
	if (at->from_probe)
		sum += probed_instruction(regs);
	if (at->in_memory) {
		if (at->size > sizeof(there) || read_memory(&there, at->size, sum, SPACE_USER))
			return false;
		sum = there;
	}
	*value = bits(sum, 8 * at->size, at->is_signed);
	return true;
}

static __always_inline void read_site(struct pt_regs *regs, struct event_site *site, struct hit *hit)
{
	hit->place = site->probe;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < EVENT_ARGUMENTS; i++) {
		if (i >= knobs.argument_count)
			break;
		if (!read_site_argument(regs, &site->arguments[i], &hit->args[i]))
			hit->unread |= 1 << i;
	}
}

#endif
