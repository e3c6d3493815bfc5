// SPDX-License-Identifier: BSD-2-Clause
// A Linux interface in place of a guest: packet sockets, as fast as they go.
#include "tests/bench/gen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOT_BYTES  2048u
#define RING_SLOTS  8192u
#define BLOCK_BYTES (1u << 20)
#define FRAME_ROOM  (SLOT_BYTES - 256u) // behind a slot's header

struct gen_packet {
	int rx, tx;
	uint8_t *ring; // of received frames
	unsigned next;
	unsigned n;
	struct mmsghdr msg[GEN_BATCH_MAX];
	struct iovec iov[GEN_BATCH_MAX];
	uint8_t frame[GEN_BATCH_MAX][SLOT_BYTES] __attribute__((aligned(64)));
};

static int open_socket(int ifindex, int protocol)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)protocol),
		.sll_ifindex = ifindex};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
	if (protocol && bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int map_ring(struct gen_packet *p)
{
	struct tpacket_req req = {.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = RING_SLOTS / (BLOCK_BYTES / SLOT_BYTES),
		.tp_frame_size = SLOT_BYTES,
		.tp_frame_nr = RING_SLOTS};
	int version = TPACKET_V2;

	if (setsockopt(p->rx, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
		setsockopt(p->rx, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		return -errno;
	p->ring = mmap(NULL, (size_t)RING_SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		p->rx, 0);
	return p->ring == MAP_FAILED ? -errno : 0;
}

int gen_packet_open(struct gen *g, struct gen_guest *w, const char *device)
{
	struct gen_packet *p;
	struct packet_mreq all = {
		.mr_ifindex = (int)if_nametoindex(device), .mr_type = PACKET_MR_PROMISC};
	struct sockaddr_ll *to;

	if (!all.mr_ifindex)
		return -ENODEV;
	if (g->size[g->n_sizes - 1] > FRAME_ROOM)
		return -EMSGSIZE;
	p = aligned_alloc(64, (sizeof(*p) + 63) & ~63ull);
	to = calloc(1, sizeof(*to));
	if (!p || !to) {
		free(p);
		free(to);
		return -ENOMEM;
	}
	memset(p, 0, sizeof(*p));
	w->packet = p;
	w->mask = (uint16_t)(g->opt.ring - 1);
	p->rx = open_socket(all.mr_ifindex, ETH_P_ALL);
	p->tx = open_socket(all.mr_ifindex, 0);
	to->sll_family = AF_PACKET;
	to->sll_ifindex = all.mr_ifindex;
	for (unsigned i = 0; i < GEN_BATCH_MAX; i++) {
		p->iov[i].iov_base = p->frame[i];
		p->msg[i].msg_hdr.msg_iov = &p->iov[i];
		p->msg[i].msg_hdr.msg_iovlen = 1;
		p->msg[i].msg_hdr.msg_name = to;
		p->msg[i].msg_hdr.msg_namelen = sizeof(*to);
	}
	if (p->rx < 0 || p->tx < 0)
		return p->rx < 0 ? p->rx : p->tx;
	setsockopt(p->rx, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all));
	return map_ring(p);
}

void gen_packet_close(struct gen_guest *w)
{
	struct gen_packet *p = w->packet;

	if (p->ring && p->ring != MAP_FAILED)
		munmap(p->ring, (size_t)RING_SLOTS * SLOT_BYTES);
	if (p->rx >= 0)
		close(p->rx);
	if (p->tx >= 0)
		close(p->tx);
	free(p->msg[0].msg_hdr.msg_name);
	free(p);
	w->packet = NULL;
}

uint64_t gen_packet_rx(struct gen *g, struct gen_guest *w)
{
	struct gen_packet *p = w->packet;
	struct tpacket_stats drops;
	socklen_t len = sizeof(drops);
	uint64_t n = 0;

	g->now = g->latency ? clock_ticks() : 0;
	for (; n < g->batch; n++) {
		struct tpacket2_hdr *h = (void *)(p->ring + (size_t)p->next * SLOT_BYTES);
		uint32_t status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
		const uint8_t *frame = (uint8_t *)h + h->tp_mac;

		if (!(status & TP_STATUS_USER))
			break;
		// Others talk on an interface too (neighbour discovery): only what is ours counts.
		gen_verify(g, w, frame, h->tp_snaplen);
		if (status & TP_STATUS_LOSING &&
			!getsockopt(p->rx, SOL_PACKET, PACKET_STATISTICS, &drops, &len))
			w->st.overrun += drops.tp_drops;
		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		p->next = (p->next + 1) % RING_SLOTS;
	}
	return n;
}

void gen_packet_tx(struct gen *g, struct gen_guest *w)
{
	struct gen_packet *p = w->packet;
	unsigned n = w->budget < g->batch ? w->budget : g->batch;
	struct gen_flow *f = &w->flow[w->dst];
	int sent;

	if (!n || w->dst > g->n)
		return;
	for (unsigned i = 0; i < n; i++) {
		uint32_t address = g->many ? (f->address + i) % g->addresses : 0;

		gen_write_frame(g, w, p->frame[i], 0, f->seq + i);
		if (w->dst != g->n)
			memcpy(p->frame[i] + 4, &address, 2);
		memcpy(p->frame[i] + 10, &address, 2);
		p->iov[i].iov_len = g->size[0];
	}
	sent = sendmmsg(p->tx, p->msg, n, MSG_DONTWAIT);
	if (sent <= 0) {
		w->st.tx_full++;
		return;
	}
	f->seq += (unsigned)sent;
	f->address = g->many ? (f->address + (unsigned)sent) % g->addresses : 0;
	w->st.tx_frames += (unsigned)sent;
	w->st.tx_bytes += (uint64_t)sent * g->size[0];
	w->budget -= (unsigned)sent;
}
