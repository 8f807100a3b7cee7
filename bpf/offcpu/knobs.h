/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space tells this object alone.
 */
#ifndef EBREC_OFFCPU_KNOBS_H
#define EBREC_OFFCPU_KNOBS_H

#include "ebrec.h"

struct offcpu_knobs {
	__u64 secret; /* drawn for each recording: hashes of kernel pointers with it tell nothing of those */
};

const volatile struct offcpu_knobs offcpu_knobs SEC(".rodata.knobs") = {};

#endif
