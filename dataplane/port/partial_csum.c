// SPDX-License-Identifier: BSD-2-Clause
// Compares the checksum field of TCP and UDP with the sum of the pseudo header.
#include "dataplane/port/partial_csum.h"

#include "dataplane/frame/checksum.h"
#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define IPV6_HDR_LEN 40u
#define TCP_HDR_LEN  20u
#define UDP_HDR_LEN  8u
#define TCP_CSUM     16u
#define UDP_CSUM     6u

// Length of the packet as its IP header has it: the pseudo header counts no padding.
static uint32_t l4_len(const uint8_t *ip, const struct eth_layers *l)
{
	uint32_t l3_len =
		l->type == ETH_TYPE_IPV4 ? eth_be16(ip + 2) : IPV6_HDR_LEN + eth_be16(ip + 4);
	uint32_t headers = l->l4 - l->l3;
	return l3_len > headers ? l3_len - headers : 0;
}

// Claims a segment if the frame is longer than the device receives any.
static void segment_claim(struct frame *f, const struct eth_layers *l, uint32_t mtu)
{
	if (f->len <= l->l3 + mtu || l->proto != IPPROTO_TCP)
		return;
	uint32_t headers = l->l4 - l->l3 + (frame_head_const(f)[l->l4 + 12] >> 4) * 4u;
	if (headers >= mtu)
		return;
	f->offload.gso_type =
		l->type == ETH_TYPE_IPV4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	f->offload.gso_size = (uint16_t)(mtu - headers);
}

void partial_csum_claim(struct frame *f, uint32_t mtu)
{
	struct eth_layers l;
	if (eth_dissect(f, &l) || l.fragment)
		return;
	uint32_t offset = l.proto == IPPROTO_TCP ? TCP_CSUM : UDP_CSUM;
	uint32_t header = l.proto == IPPROTO_TCP ? TCP_HDR_LEN : UDP_HDR_LEN;
	if ((l.proto != IPPROTO_TCP && l.proto != IPPROTO_UDP) || !frame_pull(f, l.l4 + header))
		return;

	const uint8_t *ip = frame_head_const(f) + l.l3;
	uint32_t len = l4_len(ip, &l);
	if (len < header || l.l4 + len != f->len)
		return; // padded or cut: no sender that leaves checksums undone does that
	bool v4 = l.type == ETH_TYPE_IPV4;
	uint64_t sum = checksum_add(0, ip + (v4 ? 12 : 8), v4 ? 8 : 32);
	uint16_t pseudo = checksum_fold(sum + htonl(len) + htons(l.proto));
	uint16_t field;
	memcpy(&field, frame_head_const(f) + l.l4 + offset, sizeof(field));
	if (field != pseudo)
		return;
	f->offload = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = l.l4,
		.csum_offset = (uint16_t)offset,
	};
	segment_claim(f, &l, mtu);
	(void)offload_check(f); // of headers that contradict themselves nothing is claimed
}
