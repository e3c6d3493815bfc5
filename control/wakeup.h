// SPDX-License-Identifier: BSD-2-Clause
// How long sleeping cores may take to wake up: a request to the kernel's power management (PM QoS).
//
// It is for all cores of the host; of several requests the shortest counts. It lives as long as a
// descriptor of the file is open, so it ends with weftd, however that ends. Control thread only.
#pragma once

#include "dataplane/switch/switch.h"

#include <stdbool.h>
#include <stdint.h>

#define WAKEUP_FILE "/dev/cpu_dma_latency"
#define WAKEUP_ANY  (-1) // no request; the kernel's word for it too

struct wakeup;

// Opens the file, before privileges are dropped, and asks for `us` microseconds or WAKEUP_ANY. What is
// not granted is logged, and tried again by wakeup_tick. `file` must outlive it. NULL: out of memory.
struct wakeup *wakeup_new(const char *file, int32_t us);
void wakeup_free(struct wakeup *w);

// Asks for something else. -errno with *err filled: what was asked for before stays.
int wakeup_set(struct wakeup *w, int32_t us, struct error *err);

// Whether what was asked for at the start is still not granted: why, and what to do about it.
bool wakeup_lacks(const struct wakeup *w, struct error *what, const char **remedy);

// About once a second: asks again for what was not granted at the start.
void wakeup_tick(struct wakeup *w);
