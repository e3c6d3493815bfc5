// SPDX-License-Identifier: BSD-2-Clause
// Gives lists of frames to their destinations, in the form each of them takes.
#pragma once

#include "dataplane/switch/forward_state.h"

// Delivers the frames of the burst at hand that `list` names to port `id`, which exists. May change
// *list. What finds no room is kept for deliver_retry. Worker.
void deliver(struct forward *fw, uint32_t id, struct frame_list *list);

// Remembers for deliver_room where the burst went: n of its frames to port `id`, frame `at` the last of them.
// If some found no room, that is remembered already. Worker, after deliver.
void deliver_remember(struct forward *fw, uint32_t id, uint8_t at, uint32_t n);

// How many frames (0..FRAME_BURST) the queue may lend: as many as there is room for where its last
// ones went, if that is a reason to wait at all and there is patience left. Worker, before rx.
uint32_t deliver_room(struct forward *fw, const struct plan_rxq *rq);

// About n frames will be delivered to port `id` soon, which exists: what that writes may be fetched
// meanwhile. Worker.
void deliver_soon(struct forward *fw, uint32_t id, uint32_t n);

// Offers once more what found no room, drops what still finds none. Worker, after the last deliver
// of a burst.
void deliver_retry(struct forward *fw);
