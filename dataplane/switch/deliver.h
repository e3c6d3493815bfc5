// SPDX-License-Identifier: BSD-2-Clause
// Gives lists of frames to their destinations, in the form each of them takes.
#pragma once

#include "dataplane/switch/forward_state.h"

// Delivers the frames of the burst at hand that `list` names to port `id`, which exists. May change
// *list. What finds no room is kept for deliver_retry. Worker.
void deliver(struct forward *fw, uint32_t id, struct frame_list *list);

// About n frames will be delivered to port `id` soon, which exists: what that writes may be fetched
// meanwhile. Worker.
void deliver_soon(struct forward *fw, uint32_t id, uint32_t n);

// Offers once more what found no room, drops what still finds none. Worker, after the last deliver
// of a burst.
void deliver_retry(struct forward *fw);
