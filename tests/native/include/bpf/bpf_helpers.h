/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The kernel's side as ordinary C: what libbpf's header of this name declares, for programs that run in a test's process.
 * machine.c has the helpers.
 */
#ifndef NATIVE_BPF_HELPERS_H
#define NATIVE_BPF_HELPERS_H

#define SEC(name)
#define __uint(name, value)    int(*name)[value]
#define __type(name, type)     typeof(type) *name
#define __array(name, type...) typeof(type) *name[]

#undef __always_inline
#define __always_inline __inline__ __attribute__((always_inline))
#undef __noinline
#define __noinline __attribute__((noinline))
#define __ksym
#define __weak __attribute__((weak))

#define barrier_var(var) __asm__ volatile("" : "+r"(var))
/* No function of the kernel's is here. */
#define bpf_ksym_exists(symbol) 0

void *bpf_map_lookup_elem(void *map, const void *key);
long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags);
long bpf_map_delete_elem(void *map, const void *key);
void *bpf_task_storage_get(void *map, void *task, void *value, __u64 flags);
long bpf_probe_read_user(void *to, __u32 size, const void *from);
long bpf_probe_read_kernel(void *to, __u32 size, const void *from);
void *bpf_ringbuf_reserve(void *ring, __u64 size, __u64 flags);
void bpf_ringbuf_submit(void *record, __u64 flags);
void bpf_ringbuf_discard(void *record, __u64 flags);
long bpf_ringbuf_output(void *ring, void *record, __u64 size, __u64 flags);
__u64 bpf_ringbuf_query(void *ring, __u64 what);
__u64 bpf_ktime_get_ns(void);
__u32 bpf_get_prandom_u32(void);
__u64 bpf_get_current_pid_tgid(void);
__u64 bpf_get_current_uid_gid(void);
__u64 bpf_get_current_ancestor_cgroup_id(int level);
__u64 bpf_get_current_task(void);
void *bpf_get_current_task_btf(void);
long bpf_get_current_comm(void *to, __u32 size);
__u32 bpf_get_smp_processor_id(void);
__u64 bpf_get_attach_cookie(void *ctx);
long bpf_task_pt_regs(void *task);
void *bpf_skc_to_tcp_sock(void *sk);
static inline void bpf_tail_call(void *ctx, void *map, __u32 place)
{
}

#endif
