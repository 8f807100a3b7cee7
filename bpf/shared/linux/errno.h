/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The three numbers that libbpf's usdt.bpf.h wants of the kernel's header, so that none is needed to build. They are
 * the same on every architecture.
 */
#ifndef EBREC_LINUX_ERRNO_H
#define EBREC_LINUX_ERRNO_H

#define ENOENT 2
#define ESRCH  3
#define EINVAL 22

#endif
