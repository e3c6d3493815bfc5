// SPDX-License-Identifier: BSD-2-Clause
// A VMM's connection and what was said over it, kept where the next daemon finds them.
//
// A session is fed from around each message (vhost_user_msg.c). Its record (vhost_record.h) and its
// descriptors are with a keeper (keeper.h). In which order things happen makes up for an end at any
// point: new descriptors are handed over, then the record changes, then old ones are dropped; the record
// is busy from before rte_vhost acts on a message until the VMM has its answer.
//
// Nothing of rte_vhost here. Under the port's lock, all of it. Without a keeper nothing happens.
#pragma once

#include "dataplane/port/keeper.h"
#include "dataplane/port/vhost_record.h"

#include <stdbool.h>
#include <stdint.h>

struct vhost_session {
	const struct port_keeper *keeper;
	struct vhost_record *record; // NULL: nothing is kept. Shared memory, which only we write
	uint64_t id;                 // of the record's file
	uint32_t tokens;             // how many descriptors may be handed over before the next tick
	bool under_way;              // between begin and end of a message
	bool failed;                 // a message was never ended, or could not be taken in
	uint64_t ids[VU_MSG_FDS];    // of the descriptors of the message under way
	unsigned n_ids;
};

// Begins for a new connection, of which nothing was heard yet. keeper may be NULL.
void vhost_session_start(struct vhost_session *s, const struct port_keeper *keeper,
	const char *socket, int connection);
// Goes on with what an earlier daemon left under number `id`; busy until vhost_session_resume. NULL;
// or why not, and nothing is left of it. *is_other is set, and nothing changed, if it is another
// socket's.
const char *vhost_session_load(struct vhost_session *s, const struct port_keeper *keeper,
	const char *socket, uint64_t id, bool *is_other);
void vhost_session_resume(struct vhost_session *s);
// The connection, owned by the keeper; -1: none.
int vhost_session_connection(const struct vhost_session *s);

// A message is about to be acted on.
void vhost_session_begin(struct vhost_session *s);
// It was found good: its descriptors, which stay the caller's.
void vhost_session_hold(struct vhost_session *s, uint32_t request, const int *fds, unsigned n_fds);
// It was acted on: msg as the VMM sent it, or as it was answered. If the VMM waits for a word that all went
// well, it gets it here, over `connection`, so that the record is busy no longer than it waits. True: it
// has been answered.
bool vhost_session_end(struct vhost_session *s, const struct vhost_user_msg *msg, int connection);

// About once a second: tries again what could not be handed over.
void vhost_session_tick(struct vhost_session *s);
// Whether another daemon could go on with it now.
bool vhost_session_is_kept(const struct vhost_session *s);

// The connection has ended or is to end: nothing stays. The VMM sees it closed.
void vhost_session_drop(struct vhost_session *s);
// The port closes: if the daemon ends, and another could go on, all stays for that.
void vhost_session_close(struct vhost_session *s);
