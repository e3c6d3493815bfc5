// SPDX-License-Identifier: BSD-2-Clause
// A Linux interface in place of a guest: receives through a packet socket, sends as a network card's peer
// would (gen_send.bpf.c).
#include "bpf/gen_send.skel.h"
#include "tests/bench/gen.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
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
	int rx;
	uint8_t *ring; // of received frames
	unsigned next;
	struct gen_send *send;
	int holder; // a device that the program is attached to
};

// Frames of one run of the program at most: to begin one costs as much as a hundred frames.
#define SEND_MAX 256u

static int open_socket(int ifindex)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at))) {
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

// A device of our own that nothing goes through, with the program on it. For programs that are in use
// the kernel keeps a direct call; else it would make one for each run and take it back, which takes
// 20 ms each time.
static int hold_program(int program)
{
	struct ifreq r = {.ifr_name = "gen-hold%d", .ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &r))
		err = -errno;
	else
		err = bpf_xdp_attach(
			(int)if_nametoindex(r.ifr_name), program, XDP_FLAGS_DRV_MODE, NULL);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int gen_packet_open(struct gen *g, struct gen_guest *w, const char *device)
{
	struct packet_mreq all = {
		.mr_ifindex = (int)if_nametoindex(device), .mr_type = PACKET_MR_PROMISC};
	struct gen_packet *p;

	if (!all.mr_ifindex)
		return -ENODEV;
	if (g->size[g->n_sizes - 1] > FRAME_ROOM)
		return -EMSGSIZE;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	w->packet = p;
	w->mask = (uint16_t)(g->opt.ring - 1);
	p->holder = -1;
	p->rx = open_socket(all.mr_ifindex);
	if (p->rx < 0)
		return p->rx;
	setsockopt(p->rx, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all));
	p->send = gen_send__open_and_load();
	if (!p->send)
		return -errno;
	p->send->bss->ifindex = (uint32_t)all.mr_ifindex;
	p->send->bss->n_addresses = g->addresses;
	p->holder = hold_program(bpf_program__fd(p->send->progs.gen_send));
	return p->holder < 0 ? p->holder : map_ring(p);
}

void gen_packet_close(struct gen_guest *w)
{
	struct gen_packet *p = w->packet;

	if (p->ring && p->ring != MAP_FAILED)
		munmap(p->ring, (size_t)RING_SLOTS * SLOT_BYTES);
	if (p->rx >= 0)
		close(p->rx);
	if (p->holder >= 0)
		close(p->holder);
	gen_send__destroy(p->send);
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

// What the interface has no room for is lost, as on a wire.
void gen_packet_tx(struct gen *g, struct gen_guest *w)
{
	struct gen_packet *p = w->packet;
	struct gen_send__bss *job = p->send->bss;
	struct gen_flow *f = &w->flow[w->dst];
	const uint32_t n = w->budget < SEND_MAX ? w->budget : SEND_MAX;
	uint8_t frame[FRAME_ROOM] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = g->size[0],
		.repeat = (int)n, .batch_size = 64, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	if (!n || w->dst > g->n)
		return;
	memcpy(frame, &f->first[0], sizeof(f->first[0]));
	job->full = g->write == GEN_FULL;
	job->to_one = w->dst != g->n;
	job->address = f->address;
	job->seq = f->seq;
	job->time = g->now;
	if (bpf_prog_test_run_opts(bpf_program__fd(p->send->progs.gen_send), &run))
		g->broken = "the kernel cannot run a program on frames of its own (Linux 5.18 can)";
	w->st.tx_frames += job->seq - f->seq;
	w->st.tx_bytes += (job->seq - f->seq) * g->size[0];
	w->budget -= (uint32_t)(job->seq - f->seq);
	f->seq = job->seq;
	f->address = job->address;
}
