// SPDX-License-Identifier: BSD-2-Clause
// Sends TCP and UDP of both IP versions whose checksums are only begun, alone and as large segments,
// as a guest does (vhost-user) or as a stack does through a veth (packet socket); or is the guest
// that receives them, and checks each frame. For end-to-end tests; all wait with a deadline.
#include "tests/lib/craft.h"
#include "tests/lib/front_guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define N(a)        (sizeof(a) / sizeof((a)[0]))
#define DEADLINE_MS 20000
#define GSO_UDP_L4  5 // VIRTIO_NET_HDR_GSO_UDP_L4
#define ALL_OFFLOADS                                                                           \
	(1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM |                         \
		1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 |            \
		1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << 54 | \
		1ull << 55 | 1ull << 56 /* USO */)

static struct front_guest guest;
static int packet = -1;
static struct craft c;

static int fail(const char *what, int error)
{
	fprintf(stderr, "offload_peer: %s: %s\n", what, strerror(error < 0 ? -error : error));
	return 1;
}

static int guest_open(const char *socket, bool offloads)
{
	struct front_guest_config config = {
		.socket = socket,
		.features = FRONT_GUEST_FEATURES | (offloads ? ALL_OFFLOADS : 0),
		.timeout_ms = DEADLINE_MS,
		.ring_size = 1024,
	};
	int rc = front_guest_init(&guest, &config);
	return rc ? rc : front_guest_connect(&guest);
}

static int packet_open(const char *device)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device)};
	int one = 1;
	packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (packet < 0 || !at.sll_ifindex ||
		setsockopt(packet, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
		bind(packet, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	return 0;
}

static int send_one(const struct virtio_net_hdr *claim)
{
	if (packet < 0)
		return front_guest_send(&guest, 0, claim, c.b, c.len, DEADLINE_MS);
	struct iovec iov[] = {{(void *)claim, sizeof(*claim)}, {c.b, c.len}};
	return writev(packet, iov, 2) < 0 ? -errno : 0;
}

// The table: each protocol, each length, from station 1 to station 2 or back.
static int send_all(uint8_t from, uint8_t to, unsigned vid)
{
	static const struct {
		uint32_t payload;
		uint16_t gso_size;
	} rows[] = {{1, 0}, {2, 0}, {99, 0}, {100, 0}, {1399, 0}, {1400, 0}, {2801, 1400},
		{5000, 1000}, {30001, 1400}, {60000, 1400}};
	unsigned frames = 0, bytes = 0;
	for (unsigned i = 0; i < 4 * N(rows); i++) {
		bool v6 = i & 1, tcp = i & 2;
		uint32_t payload = rows[i / 4].payload, size = rows[i / 4].gso_size;
		uint8_t type = !size  ? 0
			       : !tcp ? GSO_UDP_L4
			       : v6   ? VIRTIO_NET_HDR_GSO_TCPV6
				      : VIRTIO_NET_HDR_GSO_TCPV4;
		craft_eth(&c, from, to);
		if (vid)
			craft_tag(&c, ETH_P_8021Q, (uint16_t)vid);
		if (v6)
			craft_ipv6(&c, from, to);
		else
			craft_ipv4(&c, from, to, 0);
		if (tcp)
			craft_tcp(&c, 80, 5000, 0x10, 12);
		else
			craft_udp(&c, 5353, 5000);
		craft_payload(&c, payload, i);
		craft_finish(&c, true);
		struct virtio_net_hdr claim = craft_claim(&c, type, (uint16_t)size);
		int rc = send_one(&claim);
		if (rc)
			return fail("send", rc);
		frames += size ? (payload + size - 1) / size : 1;
		bytes += payload;
	}
	if (packet < 0 && front_guest_flush(&guest, 0, DEADLINE_MS))
		return fail("flush", ETIMEDOUT);
	printf("%u %u\n", frames, bytes);
	return 0;
}

// --- receiving ---

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

// Payload bytes of a frame that is right; 0 if it is none of ours, -1 if its checksum is broken.
static int check_frame(const uint8_t *b, uint32_t len, const struct virtio_net_hdr *h)
{
	bool v4 = be16(b + 12) == ETH_P_IP, v6 = be16(b + 12) == ETH_P_IPV6;
	uint32_t l3 = 14, l4 = l3 + (v4 ? 20 : 40);
	if ((!v4 && !v6) || len < l4 + 8 || b[5] > 2 || b[11] > 2)
		return 0;
	uint8_t proto = v4 ? b[l3 + 9] : b[l3 + 6];
	uint32_t sum_at = proto == IPPROTO_TCP ? 16 : 6;
	if ((proto != IPPROTO_TCP || len < l4 + 20) && proto != IPPROTO_UDP)
		return 0;
	uint32_t l4_len = v4 ? be16(b + l3 + 2) - 20 : be16(b + l3 + 4);
	uint32_t pseudo = proto + l4_len;
	for (unsigned i = 0; i < (v4 ? 8 : 32); i += 2)
		pseudo += be16(b + l3 + (v4 ? 12 : 8) + i);
	if (l4 + l4_len != len || (v4 && craft_checksum(b + l3, 20, 0) != 0))
		return -1;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		// Begun, and said so: that is right, if the guest agreed to it.
		if (!(guest.features & 1ull << VIRTIO_NET_F_GUEST_CSUM) || h->csum_start != l4 ||
			h->csum_offset != sum_at ||
			be16(b + l4 + sum_at) != (uint16_t)~craft_checksum(NULL, 0, pseudo))
			return -1;
	} else if (craft_checksum(b + l4, l4_len, pseudo) != 0) {
		return -1;
	}
	return (int)(l4_len - (proto == IPPROTO_TCP ? (b[l4 + 12] >> 4) * 4u : 8u));
}

static int receive_all(unsigned want)
{
	static uint8_t b[70000];
	unsigned got = 0, frames = 0, begun = 0;
	// A guest that is up has said something, and the switch knows where it lives.
	craft_eth(&c, 1, 2);
	craft_payload(&c, 46, 0);
	int rc = front_guest_send(&guest, 0, NULL, c.b, c.len, DEADLINE_MS);
	if (rc)
		return fail("send", rc);
	fprintf(stderr, "ready\n");
	while (got < want) {
		struct virtio_net_hdr_mrg_rxbuf h;
		int64_t len = front_guest_recv(&guest, 0, &h, b, sizeof(b), DEADLINE_MS);
		if (len < 0) {
			fprintf(stderr, "%u of %u bytes in %u frames\n", got, want, frames);
			return fail("receive", (int)len);
		}
		int payload = check_frame(b, (uint32_t)len, &h.hdr);
		if (payload < 0) {
			fprintf(stderr, "frame %u of %d bytes is broken\n", frames, (int)len);
			return 1;
		}
		got += (unsigned)payload;
		frames += payload > 0;
		begun += payload > 0 && h.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	}
	printf("%u %u %u\n", frames, got, begun);
	return got == want ? 0 : fail("more than was sent", EPROTO);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	if (!strcmp(what, "send")) {
		int rc = guest_open(argv[2], true);
		return rc ? fail(argv[2], rc) : send_all(1, 2, 0);
	}
	if (!strcmp(what, "far")) {
		int rc = packet_open(argv[2]);
		return rc ? fail(argv[2], rc)
			  : send_all(2, 1, argc > 3 ? (unsigned)atoi(argv[3]) : 0);
	}
	if (!strcmp(what, "receive") && argc > 4) {
		int rc = guest_open(argv[2], !strcmp(argv[3], "full"));
		return rc ? fail(argv[2], rc) : receive_all((unsigned)atoi(argv[4]));
	}
	fprintf(stderr, "usage: offload_peer send SOCKET\n"
			"       offload_peer receive SOCKET full|plain BYTES\n"
			"       offload_peer far DEVICE [VID]\n");
	return 2;
}
