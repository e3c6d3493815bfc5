// SPDX-License-Identifier: BSD-2-Clause
// Between reads.c, which judges accesses, and reads_ops.c, which makes them.
#pragma once

#include "tests/unit/virtq_pair.h"

extern struct pair p;

// From begin to end accesses to p.ram are judged, as those of one operation of one side.
void begin(bool is_device, const char *op);
void end(void);

// The same, where the operation must have been just these: r read, w write, f full fence, in order.
void end_as(const char *accesses);

bool was_read(size_t offset);
void forget_reads(void);

// Fills what the driver writes with other nearly right values.
void randomise(void);
uint32_t rnd(uint32_t n);

void device_round(uint64_t *n_good);
void driver_round(void);

// Looks at avail->idx twice: whether that is noticed, and the memory differs.
bool second_look_is_seen(void);
