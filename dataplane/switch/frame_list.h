// SPDX-License-Identifier: BSD-2-Clause
// Some of the frames of a burst, in their order.
#pragma once

#include "dataplane/frame/frame.h"

struct frame_list {
	uint32_t n;
	uint8_t f[FRAME_BURST]; // indexes into burst.f
};
