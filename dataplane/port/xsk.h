// SPDX-License-Identifier: BSD-2-Clause
// One AF_XDP socket with its UMEM and four rings, as the kernel's UAPI has it.
//
// Each socket has a UMEM of its own: queues then come and go by themselves, the kernel's bounds
// checks are per queue, and no fill ring is shared between workers. libxdp's socket layer is not
// used because it knows neither multi-buffer nor transmit metadata.
#pragma once

#include "dataplane/port/error.h"

#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// UAPI newer than the oldest headers that weft builds with.
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4) // Linux 6.6
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif
#ifndef XDP_TX_METADATA
#define XDP_TX_METADATA (1 << 1) // Linux 6.8
#endif
#ifndef XDP_UMEM_TX_METADATA_LEN
#define XDP_UMEM_TX_METADATA_LEN (1 << 2) // Linux 6.11
#endif
#ifndef XDP_TXMD_FLAGS_CHECKSUM
#define XDP_TXMD_FLAGS_CHECKSUM (1 << 1)
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 // Linux 6.17
#endif

// struct xsk_tx_metadata of the kernel: lies right before the frame's bytes.
struct xsk_txmd {
	uint64_t flags;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint32_t unused;
	uint64_t launch_time;
};
#define XSK_TXMD_LEN 24u
_Static_assert(sizeof(struct xsk_txmd) == XSK_TXMD_LEN, "as the kernel lays it out");

// One of the four rings. `prod` and `cons` are the indexes as we know them; the side that is ours
// is never read back from the shared memory. Used by the one worker that owns this direction.
struct xsk_ring {
	uint32_t *producer, *consumer, *flags; // shared with the kernel
	void *entries;                         // struct xdp_desc (rx, tx) or uint64_t
	uint32_t mask, size;
	uint32_t prod, cons;
	void *map;
	size_t map_len;
} __attribute__((aligned(64)));

struct xsk_config {
	int ifindex;
	uint32_t queue;
	uint32_t rx_ring;    // entries of fill and receive ring, a power of two
	uint32_t tx_ring;    // of transmit and completion ring, a power of two
	uint32_t chunk_size; // 2048 or 4096
	uint32_t n_chunks;
	bool zerocopy;      // bind for zero-copy, or fail
	bool frags;         // frames may span several chunks (XDP_USE_SG)
	bool tx_csum;       // ask for checksum offload by transmit metadata
	uint32_t busy_poll; // budget in frames; 0 off
};

struct xsk {
	int fd;
	uint8_t *umem;
	size_t umem_len;
	bool bound;
	bool huge;          // UMEM is in huge pages
	bool zerocopy;      // what the kernel says is in use
	bool tx_csum;       // the kernel takes checksum requests
	bool busy_poll;     // busy-polling was accepted
	uint32_t tx_budget; // frames that one wake-up sends in copy mode
	struct xsk_ring fill, comp, rx, tx;
};

// Makes the UMEM, the rings and binds. On failure fills err with a sentence that holds the remedy
// and returns -errno with nothing left behind. Control or event thread.
int xsk_open(struct xsk *xsk, const struct xsk_config *config, struct error *err);
// Closes; a zeroed or failed xsk is fine. No worker uses it any more.
void xsk_close(struct xsk *xsk);

// The kernel's own counters. 0 or -errno. Any thread.
int xsk_statistics(const struct xsk *xsk, struct xdp_statistics *out);

// False once the kernel has unbound the socket because its device went away or to another namespace.
// Any thread.
bool xsk_is_bound(const struct xsk *xsk);

// Entries the kernel has produced and we have not taken, at least until `want` are known.
static inline uint32_t xsk_ring_avail(struct xsk_ring *r, uint32_t want)
{
	uint32_t n = r->prod - r->cons;
	if (n < want) {
		// Pairs with the kernel's release of the index in xskq_prod_submit().
		r->prod = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
		n = r->prod - r->cons;
	}
	return n;
}

// Entries that we may fill, at least until `want` are known.
static inline uint32_t xsk_ring_room(struct xsk_ring *r, uint32_t want)
{
	uint32_t n = r->size - (r->prod - r->cons);
	if (n < want) {
		// Pairs with the kernel's release of the index in xskq_cons_release().
		r->cons = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
		n = r->size - (r->prod - r->cons);
	}
	return n;
}

// The kernel asks for a system call before it looks at this ring.
static inline bool xsk_ring_needs_wakeup(const struct xsk_ring *r)
{
	return __atomic_load_n(r->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP;
}
