/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef NATIVE_BPF_TRACING_H
#define NATIVE_BPF_TRACING_H

/* A test calls the program with the tracepoint's arguments. */
#define BPF_PROG(name, arguments...) name(arguments)

#endif
