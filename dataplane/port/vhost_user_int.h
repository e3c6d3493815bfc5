// SPDX-License-Identifier: BSD-2-Clause
// What the files of the vhost-user port share: its state, and who may touch it.
//
// Three threads meet here. Workers see a ring only through ring.active, under RCU. rte_vhost's
// event thread starts and stops rings: it clears ring.active, waits for a grace period, and only
// then lets anything happen to the memory, addresses or descriptors that the ring uses. Control
// opens, closes and describes; for a moment after the start EAL's alarm thread starts rings too.
// They share the state below under `lock`, which no worker takes and which is never held while
// rte_vhost is asked to take locks of its own. The switch is told of the link under it, so that it
// hears of changes in the order in which they happen; what it locks meanwhile, nobody holds who
// calls the port.
//
// The life of a connection: new_connection, messages (before_message .. after_message around what
// rte_vhost does with each), new_device when the first pair is ready, destroy_device,
// destroy_connection.
#pragma once

#include "dataplane/port/dirty_log.h"
#include "dataplane/port/port.h"
#include "dataplane/port/vhost_features.h"
#include "dataplane/port/vhost_ring.h"
#include "dataplane/port/vhost_session.h"

#include <pthread.h>
#include <rte_vhost.h>
#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#define RINGS_MAX (2 * PORT_QUEUES_MAX)
// Lines that a port logs between two ticks at most: a VMM may send what is refused without end.
#define SAYS_MAX 32u

struct ring {
	struct vhost_ring
		*active; // RCU: NULL while no worker may touch it. Written by the event thread
	bool paused;     // it stops for a message and comes back after it. As active
	bool polled;     // the guest never kicks: its worker must not sleep. Set before active
	struct vhost_ring ring;
	bool ready;   // rte_vhost's last word: set up and enabled
	bool enabled; // the VMM's last word; within a message such a ring need not be ready
};

struct vhost_user {
	struct port port;
	struct vhost_user *next; // list of all open ports
	pthread_mutex_t lock;    // guards all below but ring.active
	int vid;                 // rte_vhost's handle of the connection, -1 none
	int connfd;              // its socket, owned by rte_vhost; -1 unknown
	bool running;            // between new_device and destroy_device
	bool stopped;            // a message is being handled: nothing may start
	bool have_mem;           // rte_vhost holds a memory table that passed our checks
	bool suspect;            // said that the guest's memory seems not to be shared
	bool driver;             // features came, and no memory table since
	uint32_t memless_ticks;  // how long that is so
	bool closing;            // memory comes no more: it is about to be unmapped
	bool stuck;              // calls to this VMM held up who made them, which has set this
	uint64_t features;       // negotiated
	uint64_t own_features;   // of these, the ones that rte_vhost does not know
	struct guestmem mem;
	struct dirty_log log;
	bool unlogged; // rings ran under LOG_ALL since the log came, if it did: it may be that of an earlier start
	struct ring ring[RINGS_MAX];
	uint64_t connections, refused;
	uint32_t says; // lines since the last tick; any of the three threads, lock held or not
	char why[256]; // why the link is as it is
	// mode: server: what outlives the daemon. While it is being adopted, the connection that
	// rte_vhost has is our own, which says again what the VMM had said.
	struct vhost_session session;
	bool adopting;
	uint32_t adopt_ticks;   // how long that is so
	uint32_t adopt_request; // what was said again last
	char adopter[16];       // the address of our own end of that connection
};

// Logs for the port. Any of the three threads, lock held or not.
static inline void vhost_user_say(struct vhost_user *vu, int level, const char *text)
{
	if (__atomic_fetch_add(&vu->says, 1, __ATOMIC_RELAXED) < SAYS_MAX && vu->port.up.log)
		vu->port.up.log(vu->port.up.ctx, &vu->port, level, text);
}

// --- vhost_user_rings.c: under lock; event thread, or control while the port closes ---

// Takes rings [from, to) away from the workers, waits until none uses them, and hands their indexes
// back to rte_vhost. While a message is handled they are paused only: what is sent to them waits, and
// flows stay on their queues.
void vhost_user_stop(struct vhost_user *vu, unsigned from, unsigned to);
// The same for rings that do not come back by themselves.
void vhost_user_end(struct vhost_user *vu, unsigned from, unsigned to);
// Starts what can run and does not yet.
void vhost_user_start(struct vhost_user *vu);
// Takes over rte_vhost's memory table, or forgets it. No ring is active: they hold a pointer to ours.
bool vhost_user_load_mem(struct vhost_user *vu);
void vhost_user_drop_mem(struct vhost_user *vu);
// Unmaps the dirty log. No ring is active.
void vhost_user_drop_log(struct vhost_user *vu);

// --- vhost_user_conn.c: connections ---

extern const struct rte_vhost_device_ops vhost_user_device_ops;
// Say that the link is up, with what a guest that works has negotiated, or down, and why. Control or
// event thread, lock held.
void vhost_user_link_up(struct vhost_user *vu);
void vhost_user_link_down(struct vhost_user *vu, const char *why);
// rte_vhost_driver_start, heard at once. Control.
int vhost_user_start_driver(const char *path);
// The port that a connection belongs to, or NULL.
struct vhost_user *vhost_user_find(int vid);
// Lists an open port, so that connections find it; takes it off, so that none does any more.
void vhost_user_list(struct vhost_user *vu);
void vhost_user_unlist(struct vhost_user *vu);
// Calls fn with the first of all open ports, which stay so meanwhile. Lock not held.
void vhost_user_with_list(void (*fn)(struct vhost_user *ports));
// What a port without a connection waits for.
const char *vhost_user_waiting(const struct vhost_user *vu);

// Whether a VMM is there, as far as the kernel knows.
bool vhost_user_has_hung_up(int fd);
// A peer that stops inside a message holds nobody up for long.
void vhost_user_bound_waits(int fd);

// --- vhost_user_adopt.c: a VMM that was connected to the last daemon ---

// Takes over the session that an earlier daemon left for the port's socket, if there is a good one. From
// here on no other VMM can have the port. Control, lock not held, before rte_vhost listens. Returns what
// vhost_user_adopt needs; -1: there is none.
int vhost_user_adopt_find(struct vhost_user *vu);
// Says again what the VMM had said. Control, lock not held, once rte_vhost listens; closes fd. -1 is fine.
void vhost_user_adopt(struct vhost_user *vu, int fd);
// Whether the socket that rte_vhost has accepted is our own connection to it. Lock held.
bool vhost_user_is_adopter(const struct vhost_user *vu, int fd);
// Where a ring goes on that is said again. Event thread, lock held, memory known.
void vhost_user_adopt_base(struct vhost_user *vu, struct vhost_user_msg *msg);
// All was said again: the VMM's connection takes the place of ours. Event thread, lock held.
enum rte_vhost_msg_result vhost_user_adopted(struct vhost_user *vu);
// Lets go of the session, and says so if it was being adopted. Lock held.
void vhost_user_drop_session(struct vhost_user *vu);
// An adoption that never ends is ended. Control, lock held.
void vhost_user_adopt_tick(struct vhost_user *vu);

// --- vhost_user_settle.c: the daemon's start ---

// A port was opened. Control, the list locked.
void vhost_user_settle(void);
// A guest is there. Event thread.
void vhost_user_came(void);
// Whether rings from guests must not start yet. When they may, vhost_user_start is called for all.
bool vhost_user_settling(void);

// --- vhost_user_msg.c: what is done around rte_vhost's handling of each message ---

enum rte_vhost_msg_result vhost_user_before(int vid, void *data);
enum rte_vhost_msg_result vhost_user_after(int vid, void *data);
