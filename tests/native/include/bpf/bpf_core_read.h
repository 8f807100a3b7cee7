/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Members are where the compiler puts them, and every type has the newest of the shapes that the programs know.
 */
#ifndef NATIVE_BPF_CORE_READ_H
#define NATIVE_BPF_CORE_READ_H

#define NATIVE_READ_1(from, a)		   ((from)->a)
#define NATIVE_READ_2(from, a, b)	   ((from)->a->b)
#define NATIVE_READ_3(from, a, b, c)	   ((from)->a->b->c)
#define NATIVE_READ(_1, _2, _3, name, ...) name
#define BPF_CORE_READ(from, members...)	   NATIVE_READ(members, NATIVE_READ_3, NATIVE_READ_2, NATIVE_READ_1)(from, members)

#define bpf_core_read(to, size, from)		bpf_probe_read_kernel(to, size, from)
#define bpf_core_field_exists(field)		((void)sizeof(field), 1)
#define bpf_core_field_offset(field...)		0
#define bpf_core_type_size(type)		sizeof(type)
#define bpf_core_enum_value_exists(type, value) 1

#endif
