/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every probe includes, and nothing else: kernel types, configuration, filters, rings and histograms.
 */
#ifndef EBREC_H
#define EBREC_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "config.h"
#include "loss.h"
#include "compat.h"
#include "registers.h"
#include "task.h"
#include "filter.h"
#include "thin.h"
#include "ring.h"
#include "hist.h"

#endif
