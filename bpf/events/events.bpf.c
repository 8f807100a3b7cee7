// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Custom events: how often a hook is hit, what the event computes there, and for functions the time from
 * entry to return in nanoseconds. One object is one event: user space loads the programs for its kind of hook alone,
 * attaches them, and says in `knobs` what to compute.
 */

/* Registers by the names that the kernel's own type information has. */
#define __VMLINUX_H__
/* Functions of processes, and functions of the kernel by their type. */
#define PREEMPTIBLE_HOOKS
#include "ebrec.h"
#include "unfinished.h"

#include "ended.h"
#include "frames.h"
#include "own_stack.h"
#include "code.h"
#include "hit.h"
#include "calls.h"
#include "call_frames.h"
#include "knobs.h"
#include "sites.h"
#include "unread.h"

#if defined(__TARGET_ARCH_x86)
#define REGISTER_ARGUMENTS 6
/* The return address, which a return takes off the stack. */
#define RETURN_POPS 8
#else
#define REGISTER_ARGUMENTS 8
#define RETURN_POPS	   0
#endif

static __always_inline __u64 place_of(void *ctx)
{
	return knobs.cookies ? bpf_get_attach_cookie(ctx) : knobs.place;
}

static __always_inline void read_registers(struct pt_regs *ctx, struct hit *hit)
{
#if defined(__TARGET_ARCH_x86)
	hit->args[0] = ctx->di;
	hit->args[1] = ctx->si;
	hit->args[2] = ctx->dx;
	hit->args[3] = ctx->cx;
	hit->args[4] = ctx->r8;
	hit->args[5] = ctx->r9;
#else
	for (int i = 0; i < REGISTER_ARGUMENTS; i++)
		hit->args[i] = ctx->regs[i];
#endif
}

static __always_inline __u64 returned(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return ctx->ax;
#else
	return ctx->regs[0];
#endif
}

static __always_inline __u64 stack_pointer(struct pt_regs *ctx)
{
	return ctx->sp;
}

static __always_inline int function_begins(struct pt_regs *ctx)
{
	struct hit hit = {};

	if (!current_in_scope())
		return 0;
	hit.place = place_of(ctx);
	read_registers(ctx, &hit);
	return on_hit(ctx, &hit);
}

static __always_inline int function_returns(struct pt_regs *ctx)
{
	struct hit hit = {};

	if (!current_in_scope())
		return 0;
	hit.place = place_of(ctx);
	hit.returned = returned(ctx);
	return on_hit(ctx, &hit);
}

static __always_inline int measured_begins(struct pt_regs *ctx, bool user)
{
	struct hit hit = {};

	if (!current_in_scope())
		return 0;
	hit.place = place_of(ctx);
	read_registers(ctx, &hit);
	return call_begins(&hit, stack_pointer(ctx), user);
}

/* Whether a call ends in the window; otherwise it is counted as unfinished. */
static __always_inline bool ends_in_window(void)
{
	if (window_start())
		return true;
	count_unfinished();
	return false;
}

static __always_inline int measured_returns(struct pt_regs *ctx, bool user)
{
	struct hit hit = {};

	hit.place = place_of(ctx);
	hit.returned = returned(ctx);
	/* The end of a call that began in the window and in scope. */
	if (!call_ends(&hit, user ? stack_pointer(ctx) - RETURN_POPS : 0, user) || !ends_in_window())
		return 0;
	return on_hit(ctx, &hit);
}

static __always_inline int site_is_hit(struct pt_regs *ctx)
{
	struct event_site *site;
	struct hit hit = {};
	__u32 number;

	if (!current_in_scope())
		return 0;
	number = knobs.cookies ? bpf_get_attach_cookie(ctx) : probed_instruction(ctx) & SITE_PAGE_MASK;
	site = bpf_map_lookup_elem(&event_sites, &number);
	if (!site)
		return 0;
	read_site(ctx, site, &hit);
	return on_hit(ctx, &hit);
}

/* By breakpoints alone: at the entry, and at each of the function's exits. */
static __always_inline int frame_enters(struct pt_regs *ctx)
{
	struct hit hit = {};

	if (!current_in_scope())
		return 0;
	read_registers(ctx, &hit);
	return call_frame_begins(&hit, ctx, place_of(ctx));
}

static __always_inline int frame_exits(struct pt_regs *ctx)
{
	__u64 place = knobs.cookies ? bpf_get_attach_cookie(ctx) : knobs.exit_place;
	struct hit hit = {.place = place, .returned = returned(ctx)};

	/* As for measured_returns(). */
	if (knobs.paired ? !call_frame_ends(&hit, ctx, place) || !ends_in_window() : !current_in_scope())
		return 0;
	return on_hit(ctx, &hit);
}

#define PROGRAM(section, name, body)                                                                                   \
	SEC("?" section)                                                                                               \
	int name(struct pt_regs *ctx)                                                                                  \
	{                                                                                                              \
		stay_on_own_stack(ctx);                                                                                \
		return body;                                                                                           \
	}

/* The same for programs that may sleep. */
#define SLEEPABLE_PROGRAM(section, name, body)                                                                         \
	SEC("?" section)                                                                                               \
	int name(struct pt_regs *ctx)                                                                                  \
	{                                                                                                              \
		sleep_on_own_stack(ctx);                                                                               \
		return body;                                                                                           \
	}

PROGRAM("kprobe", kernel_entry, function_begins(ctx))
PROGRAM("kretprobe", kernel_return, function_returns(ctx))
PROGRAM("kprobe.multi", kernel_entries, function_begins(ctx))
PROGRAM("kretprobe.multi", kernel_returns, function_returns(ctx))
PROGRAM("uprobe", user_entry, function_begins(ctx))
PROGRAM("uretprobe", user_return, function_returns(ctx))
PROGRAM("uprobe.multi", user_entries, function_begins(ctx))
PROGRAM("uretprobe.multi", user_returns, function_returns(ctx))
SLEEPABLE_PROGRAM("uprobe.s", user_entry_sleepable, function_begins(ctx))
SLEEPABLE_PROGRAM("uprobe.multi.s", user_entries_sleepable, function_begins(ctx))
SLEEPABLE_PROGRAM("uprobe.s", static_probe_sleepable, site_is_hit(ctx))
SLEEPABLE_PROGRAM("uprobe.multi.s", static_probes_sleepable, site_is_hit(ctx))
PROGRAM("uprobe", static_probe, site_is_hit(ctx))
PROGRAM("uprobe.multi", static_probes, site_is_hit(ctx))
PROGRAM("kprobe", kernel_call_begins, measured_begins(ctx, false))
PROGRAM("kretprobe", kernel_call_ends, measured_returns(ctx, false))
PROGRAM("kprobe.multi", kernel_calls_begin, measured_begins(ctx, false))
PROGRAM("kretprobe.multi", kernel_calls_end, measured_returns(ctx, false))
PROGRAM("uprobe", user_frame_enters, frame_enters(ctx))
PROGRAM("uprobe", user_frame_exits, frame_exits(ctx))
PROGRAM("uprobe.multi", user_frames_enter, frame_enters(ctx))
PROGRAM("uprobe.multi", user_frames_exit, frame_exits(ctx))
PROGRAM("uprobe", user_call_begins, measured_begins(ctx, true))
PROGRAM("uretprobe", user_call_ends, measured_returns(ctx, true))
PROGRAM("uprobe.multi", user_calls_begin, measured_begins(ctx, true))
PROGRAM("uretprobe.multi", user_calls_end, measured_returns(ctx, true))

/* Zero would hide the hit from every perf event on this trace point, whosever it is: only its programs return a filter. */

SEC("?tracepoint")
int tracepoint(void *ctx)
{
	struct hit hit = {};

	if (!current_in_scope())
		return 1;
	hit.place = place_of(ctx);
	hit.record = as_number(ctx);
	hit.may_wait = knobs.awaits_return;
	on_hit(ctx, &hit);
	if (hit.waits)
		wait_for_return(ctx, &hit);
	return 1;
}

SEC("?tracepoint")
int call_returns(void *ctx)
{
	unread_call_returns(ctx);
	return 1;
}

/*
 * Arguments in a row, as raw trace points and trampolines have them. Read as memory, for to the verifier they are
 * pointers of types, which are no numbers.
 */
static __always_inline void read_arguments(void *ctx, struct hit *hit)
{
	if (knobs.argument_count)
		bpf_probe_read_kernel(hit->args, knobs.argument_count * sizeof(hit->args[0]), ctx);
}

SEC("?raw_tracepoint")
int raw_tracepoint(void *ctx)
{
	struct hit hit = {};

	if (!current_in_scope())
		return 0;
	hit.place = place_of(ctx);
	read_arguments(ctx, &hit);
	return on_hit(ctx, &hit);
}

SEC("?fentry")
int typed_entry(void *ctx)
{
	struct hit hit = {};

	if (!current_in_scope())
		return 0;
	hit.place = knobs.place;
	read_arguments(ctx, &hit);
	return on_hit(ctx, &hit);
}

SEC("?fexit")
int typed_exit(void *ctx)
{
	struct hit hit = {};

	if (!current_in_scope())
		return 0;
	hit.place = knobs.place;
	read_arguments(ctx, &hit);
	/* It comes behind the arguments. */
	bpf_probe_read_kernel(&hit.returned, sizeof(hit.returned), ctx + knobs.parameters * sizeof(hit.args[0]));
	return on_hit(ctx, &hit);
}

SEC("?tp_btf/sched_process_exit")
int thread_ends(void *ctx)
{
	if (knobs.is_latency)
		forget_calls();
	if (knobs.awaits_return)
		forget_unread_call();
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int BPF_PROG(frames_process_ends, struct task_struct *task)
{
	if (ends_process(task))
		frame_owner_goes(task->tgid);
	return 0;
}

SEC("?tp_btf/sched_process_exec")
int BPF_PROG(frames_process_execs, struct task_struct *task)
{
	frame_owner_goes(task->tgid);
	return 0;
}
