// SPDX-License-Identifier: BSD-2-Clause
// What every port can do, whatever is behind it: a guest, a NIC or the host.
#pragma once

#include "dataplane/frame/frame.h"
#include "dataplane/frame/offload.h"
#include "dataplane/port/error.h"
#include "dataplane/port/keeper.h"
#include "dataplane/port/stats.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define PORT_NAME_MAX   32
#define PORT_QUEUES_MAX 16 // queue pairs, or queues of a device
#define PORT_MAX        256
#define WORKERS_MAX     32

// Frames that the kernel holds for each queue of a device: powers of two.
#define PORT_RX_RING_DEFAULT 4096u
#define PORT_RX_RING_LEAST   1024u
#define PORT_RX_RING_MOST    32768u

enum port_link { PORT_LINK_DOWN, PORT_LINK_UP };

// Halves of a queue pair, seen from the switch: PORT_RX lends frames, PORT_TX takes them.
enum port_dir { PORT_RX = 1 << 0, PORT_TX = 1 << 1 };

// An answer of port_ops.rx_backlog: it is not known, or frames that are not lent now may be lost.
#define PORT_BACKLOG_UNKNOWN UINT32_MAX

// What the receiver behind a port can finish by itself: enum offload, under the port's names.
enum port_offload {
	PORT_OFFLOAD_CSUM = OFFLOAD_CSUM,
	PORT_OFFLOAD_TSO4 = OFFLOAD_TSO4,
	PORT_OFFLOAD_TSO6 = OFFLOAD_TSO6,
	PORT_OFFLOAD_ECN = OFFLOAD_ECN,
	PORT_OFFLOAD_USO4 = OFFLOAD_USO4,
	PORT_OFFLOAD_USO6 = OFFLOAD_USO6,
};

// As the configuration file says it; strings are copied by the port.
struct port_config {
	char name[PORT_NAME_MAX];
	char type[16]; // "vhost-user", "af-xdp", "tap"
	// vhost-user
	char socket[108];
	bool client;           // mode: client; weft connects, the VMM listens
	uint32_t queues;       // pairs offered; 0: the default (1)
	uint64_t features_off; // virtio-net feature bits not to offer
	char socket_owner[32]; // "user:group" of a server socket; "" leaves it
	uint32_t socket_mode;  // permissions of a server socket; 0: 0660
	// af-xdp, tap
	char device[16];
	enum { XDP_MODE_AUTO, XDP_MODE_ZEROCOPY, XDP_MODE_COPY, XDP_MODE_GENERIC } xdp_mode;
	bool share_host;    // share: host
	uint32_t busy_poll; // SO_BUSY_POLL budget in frames; 0: off
	uint32_t rx_ring;   // frames that the kernel holds for each queue; 0: PORT_RX_RING_DEFAULT
	// all
	uint32_t mtu; // 0: the type's default (1500; the device's)
};

struct port;
struct port_rxq;

// What a port tells the switch. Called from the control thread or from a thread of the port's own
// (vhost-events), never from a worker. `ctx` is the one given to port_new.
struct port_upcalls {
	void *ctx;
	// The link went up or down; `why` is a sentence ("guest connected: ..."). The port may hold a
	// lock of its own: no operation of it may be called from here, nor by who holds a lock that
	// is taken here.
	void (*link)(void *ctx, struct port *port, enum port_link link, const char *why);
	// Something an operator wants to know; rate-limited by the caller of this.
	void (*log)(void *ctx, struct port *port, int syslog_level, const char *text);
	// The guest's addresses must be announced (it arrived by migration). mac is 6 bytes.
	void (*announce)(void *ctx, struct port *port, const uint8_t *mac);
	// Where what a port needs to go on outlives the daemon; outlives the port. NULL: nowhere.
	const struct port_keeper *keeper;
};

// Lets a port describe itself without knowing JSON. Calls nest: open .. close makes an object,
// open_list .. close a list (whose entries have key NULL).
struct describer {
	void *ctx;
	void (*str)(void *ctx, const char *key, const char *value);
	void (*num)(void *ctx, const char *key, uint64_t value);
	void (*flag)(void *ctx, const char *key, bool value);
	void (*open)(void *ctx, const char *key);
	void (*open_list)(void *ctx, const char *key);
	void (*close)(void *ctx);
};

// The operations of a type. Threads: C control, E the port's event thread, W the queue's worker.
struct port_ops {
	const char *type;

	// C. Makes the port in *out with its queues; link comes up later through upcalls->link.
	// On failure fills err and returns -errno with nothing left behind.
	int (*open)(const struct port_config *config, const struct port_upcalls *upcalls,
		struct port **out, struct error *err);
	// C. No worker uses the port any more. Takes everything down and frees it.
	void (*close)(struct port *port);
	// C. Applies what can change while open (mtu, busy_poll, features of the next connection).
	// -ENOTSUP: the port must be closed and opened with the new configuration.
	int (*set)(struct port *port, const struct port_config *config, struct error *err);
	// C. Adds what is particular to this type to a description of the port.
	void (*describe)(struct port *port, const struct describer *to);
	// C, about once a second: link checks, reconnects, slow housekeeping. May be NULL.
	void (*tick)(struct port *port);
	// C. The switch learnt or forgot that `mac` (6 bytes) in `vid` lives on another port than
	// this one: for a NIC shared with the host, which must steer the address. `vid` is the tag
	// as it is on this port's wire, 0 for frames that are untagged there; a trunk hears of its
	// native VLAN in both forms. May be NULL.
	void (*steer)(struct port *port, const uint8_t *mac, uint16_t vid, bool add);
	// C. Takes back each address that steer told of and `counts` denies: some of what was to be
	// told was lost, or tags changed; all that is known is told of after it. `counts` is called under
	// locks of the port's. May be NULL where steer is.
	void (*steer_check)(struct port *port,
		bool (*counts)(void *ctx, const uint8_t *mac, uint16_t vid), void *ctx);

	// W. Lends up to `max` frames (1..FRAME_BURST) of queue `q`; fills b->n, b->flags, b->bytes,
	// b->longest and each frame's head and segments, its claims checked (offload_check). The views
	// stay valid until rx_done. Counts what it drops in *st, and rx_frames, rx_bytes, rx_bursts of
	// what it lends. Returns b->n.
	uint32_t (*rx)(struct port *port, unsigned q, struct burst *b, uint32_t max,
		struct port_stats *st);
	// W. How many frames rx would find now, at most `want`, that stay where they are until they are lent.
	// 0: none, and rx need not be called. Or PORT_BACKLOG_UNKNOWN. May be NULL: not known.
	uint32_t (*rx_backlog)(struct port *port, unsigned q, uint32_t want, struct port_stats *st);
	// Frames that rx does not lend in time are lost: whoever sends them cannot be held up.
	bool rx_spills;
	// W. Gives the frames of the last rx back, once, after all destinations have copied.
	void (*rx_done)(struct port *port, unsigned q, struct burst *b);
	// W. Copies the frames f[list[0..n)] into queue `q` in this order, in which `list` ascends, and publishes them
	// once.
	// Stops at the first that finds no room; frames that can never fit are dropped, counted in
	// *st, and passed over. Returns how many entries of `list` were dealt with. Counts tx_*.
	uint32_t (*tx)(struct port *port, unsigned q, const struct frame *f, const uint8_t *list,
		uint32_t n, struct port_stats *st);
	// W. How many frames like the last ones queue `q` has room for now, at most `want`; an estimate,
	// for who decides whether to lend them already. `want` where tx would not keep them for want of
	// room. Excludes tx. May be NULL: not known.
	uint32_t (*tx_room)(struct port *port, unsigned q, uint32_t want, struct port_stats *st);
	// W. tx of queue `q` will be called soon, with about n frames of `longest` bytes at most: looks for
	// room for them, and fetches what tx will write. A hint that decides nothing. Excludes tx. May be NULL.
	void (*tx_fetch)(struct port *port, unsigned q, uint32_t n, uint32_t longest);
	// W. Once per pass for each queue that was touched, after the worker's full fence: tells
	// the other side if it wants to be told. `dirs` says by what: PORT_RX by rx_done, PORT_TX
	// by tx. With several workers the owner of receive queue `q` calls with PORT_RX while
	// another calls with PORT_TX, so each touches its own half only; calls with PORT_TX, like
	// tx, exclude each other.
	void (*notify)(struct port *port, unsigned q, unsigned dirs, struct port_stats *st);

	// W. Before sleep: asks to be woken for queue `q`. True if there is work already (the
	// worker will not sleep). Undone by disarm.
	bool (*arm)(struct port *port, unsigned q);
	void (*disarm)(struct port *port, unsigned q);
};

// One receive queue as a worker polls it. `fd` wakes its worker: the port sets it with port_watch()
// when it appears and clears it before it closes it.
struct port_rxq {
	pthread_mutex_t lock; // guards fd and epfd, between control and the port's event thread
	int fd;               // readable (edge) when there is work; -1 none
	int epfd;             // epoll set of the worker that owns the queue; -1 none
	uint32_t worker;      // owner. Written by control, read by control
};

// The part of a port that the switch sees; each type embeds it as its first member.
struct port {
	const struct port_ops *ops;
	struct port_upcalls up;
	struct port_config config; // control only
	uint32_t id;               // index in the switch, set by it before use
	uint64_t cycles_hz;        // of the cycle counter; likewise

	// Read by workers, written by control or the event thread with single atomic stores.
	uint32_t n_rxq;    // receive queues that may have work; fixed from open to close
	uint32_t rxq_live; // bit q: something is behind receive queue q now; for people
	uint32_t n_txq;    // transmit queues in use now, >= 1; flows are spread over them
	uint32_t offloads; // enum port_offload of the receiver behind this port
	uint32_t link;     // enum port_link
	uint32_t mtu;      // longest L3 packet it takes without segmentation offload

	struct port_rxq rxq[PORT_QUEUES_MAX];
	// A transmit queue that several workers may use is locked once per list.
	uint32_t tx_locks[PORT_QUEUES_MAX];
	struct port_stats *stats[WORKERS_MAX]; // per worker, owned by the port; NULL where unused
};

// Every type there is, ended by NULL.
extern const struct port_ops *const port_types[];

// Finds the type named in config and opens a port. See port_ops.open.
int port_new(const struct port_config *config, const struct port_upcalls *up, struct port **out,
	struct error *err);
// Closes and frees; NULL is fine. C, after a grace period.
void port_free(struct port *port);

// For the types: initialises the embedded part (mutexes, defaults, stats). 0 or -ENOMEM.
int port_init(struct port *port, const struct port_ops *ops, const struct port_config *config,
	const struct port_upcalls *up);
void port_fini(struct port *port);

// E, C, or the worker of the queue. Sets (or with fd -1 clears) what wakes the worker of a receive
// queue.
void port_watch(struct port *port, unsigned q, int fd);
// C. Moves a receive queue's wake-up to another worker's epoll set (-1: none).
void port_assign(struct port *port, unsigned q, int epfd);

// Sum over workers.
void port_stats_sum(const struct port *port, struct port_stats *sum);

static inline uint32_t port_load(const uint32_t *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}
