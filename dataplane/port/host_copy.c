// SPDX-License-Identifier: BSD-2-Clause
// Lends the frames in a packet socket's ring (PACKET_MMAP, TPACKET_V2).
#include "dataplane/port/host_copy.h"

#include "dataplane/frame/eth.h"
#include "dataplane/port/partial_csum.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_SLOTS    512u
#define SLOT_SMALL 2048u  // holds the kernel's header and a frame of a usual MTU
#define SLOT_LARGE 16384u // the largest: jumbo frames
#define BLOCK      (1u << 18)

struct host_copy {
	int fd;
	uint8_t *map;
	size_t map_len;
	uint32_t slot_len;
	uint32_t next, n_lent; // the worker's: slots lent are the n_lent before next
};

// Group addresses only. The filter runs before the copy.
static int set_filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(*code), .filter = code};
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int set_up(struct host_copy *c, int ifindex)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
	int version = TPACKET_V2, one = 1;
	struct tpacket_req req = {
		.tp_block_size = BLOCK,
		.tp_frame_size = c->slot_len,
		.tp_frame_nr = N_SLOTS,
		.tp_block_nr = (unsigned)(c->map_len / BLOCK),
	};
	if (set_filter(c->fd) ||
		setsockopt(c->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
		setsockopt(c->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
		setsockopt(c->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		return -errno;
	void *map = mmap(NULL, c->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	c->map = map;
	// Last: from here on frames arrive.
	return bind(c->fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

int host_copy_new(int ifindex, uint32_t mtu, struct host_copy **out, struct error *err)
{
	struct host_copy *c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(err, -ENOMEM, "", "out of memory");
	c->slot_len = mtu <= 1600 ? SLOT_SMALL : SLOT_LARGE;
	c->map_len = (size_t)N_SLOTS * c->slot_len;
	// Protocol 0: nothing arrives before the filter is there.
	c->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = c->fd < 0 ? -errno : set_up(c, ifindex);
	if (rc) {
		host_copy_free(c);
		return error_set(err, rc, "share",
			"cannot receive the broadcasts that are shared with the host: %s",
			strerror(-rc));
	}
	*out = c;
	return 0;
}

void host_copy_free(struct host_copy *c)
{
	if (!c)
		return;
	if (c->map)
		munmap(c->map, c->map_len);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

int host_copy_fd(const struct host_copy *c)
{
	return c->fd;
}

uint32_t host_copy_lost(const struct host_copy *c)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);
	getsockopt(c->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
	return stats.tp_drops;
}

static struct tpacket2_hdr *slot(const struct host_copy *c, uint32_t i)
{
	return (struct tpacket2_hdr *)(c->map + (size_t)(i % N_SLOTS) * c->slot_len);
}

// Views the frame in a slot. A tag that the kernel took off goes back behind the addresses.
static bool view(const struct host_copy *c, struct frame *f, uint8_t *base, uint32_t status,
	struct port_stats *st)
{
	struct tpacket2_hdr h;
	memcpy(&h, base, sizeof(h));
	if (h.tp_snaplen < h.tp_len || h.tp_mac > c->slot_len ||
		h.tp_len > c->slot_len - h.tp_mac) {
		st->drop[DROP_too_long]++;
		return false;
	}
	if (h.tp_len < FRAME_LEN_MIN) {
		st->drop[DROP_too_short]++;
		return false;
	}
	uint8_t *data = base + h.tp_mac, *head = f->buf + FRAME_HEAD_OFF;
	uint32_t tag = status & TP_STATUS_VLAN_VALID ? ETH_TAG_LEN : 0;
	uint32_t n = h.tp_len < FRAME_HEAD ? h.tp_len : FRAME_HEAD;
	memcpy(head, data, 12);
	if (tag) {
		eth_put_be16(head + 12,
			status & TP_STATUS_VLAN_TPID_VALID ? h.tp_vlan_tpid : ETH_TYPE_VLAN);
		eth_put_be16(head + 14, h.tp_vlan_tci);
	}
	memcpy(head + 12 + tag, data + 12, n - 12);
	frame_begin(f, h.tp_len + tag, n + tag);
	f->seg = (struct frame_seg){.base = data + n, .len = h.tp_len - n};
	if (status & TP_STATUS_CSUMNOTREADY)
		partial_csum_claim(f, FRAME_LEN_MAX);
	return true;
}

uint32_t host_copy_rx(struct host_copy *c, struct burst *b, uint32_t max, struct port_stats *st)
{
	burst_begin(b);
	while (b->n < max && c->n_lent < N_SLOTS / 2) {
		struct tpacket2_hdr *h = slot(c, c->next);
		// Pairs with the kernel's barrier in __packet_set_status().
		uint32_t status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
		if (!(status & TP_STATUS_USER))
			break;
		c->next++;
		c->n_lent++;
		struct frame *f = &b->f[b->n];
		if (!view(c, f, (uint8_t *)h, status, st))
			continue;
		burst_add(b);
	}
	if (!b->n) {
		host_copy_rx_done(c);
		return 0;
	}
	st->rx_frames += b->n;
	st->rx_bytes += b->bytes;
	st->rx_bursts++;
	return b->n;
}

void host_copy_rx_done(struct host_copy *c)
{
	for (; c->n_lent > 0; c->n_lent--)
		// The copies out of the slot come before. Pairs with __packet_get_status().
		__atomic_store_n(&slot(c, c->next - c->n_lent)->tp_status, TP_STATUS_KERNEL,
			__ATOMIC_RELEASE);
}

bool host_copy_has_work(const struct host_copy *c)
{
	return __atomic_load_n(&slot(c, c->next)->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}
