// SPDX-License-Identifier: BSD-2-Clause
// Feature bits of a virtio network device: which are offered, what they are called, what they mean
// for a receiver.
#include "dataplane/port/vhost_features.h"

#include "dataplane/port/port.h"

#include <stddef.h>

static const struct feature {
	unsigned bit;
	const char *name;
} features[] = {
	{VIRTIO_NET_F_CSUM, "CSUM"},
	{VIRTIO_NET_F_GUEST_CSUM, "GUEST_CSUM"},
	{VIRTIO_NET_F_MTU, "MTU"},
	{VIRTIO_NET_F_GUEST_TSO4, "GUEST_TSO4"},
	{VIRTIO_NET_F_GUEST_TSO6, "GUEST_TSO6"},
	{VIRTIO_NET_F_GUEST_ECN, "GUEST_ECN"},
	{VIRTIO_NET_F_HOST_TSO4, "HOST_TSO4"},
	{VIRTIO_NET_F_HOST_TSO6, "HOST_TSO6"},
	{VIRTIO_NET_F_HOST_ECN, "HOST_ECN"},
	{VIRTIO_NET_F_MRG_RXBUF, "MRG_RXBUF"},
	{VIRTIO_NET_F_CTRL_VQ, "CTRL_VQ"},
	{VIRTIO_NET_F_CTRL_RX, "CTRL_RX"},
	{VIRTIO_NET_F_GUEST_ANNOUNCE, "GUEST_ANNOUNCE"},
	{VIRTIO_NET_F_MQ, "MQ"},
	{VHOST_F_LOG_ALL, "LOG_ALL"},
	{VIRTIO_F_ANY_LAYOUT, "ANY_LAYOUT"},
	{VIRTIO_RING_F_INDIRECT_DESC, "INDIRECT_DESC"},
	{VIRTIO_RING_F_EVENT_IDX, "EVENT_IDX"},
	{VHOST_USER_F_PROTOCOL_FEATURES_BIT, "PROTOCOL_FEATURES"},
	{VIRTIO_F_VERSION_1, "VERSION_1"},
	{VIRTIO_F_IN_ORDER, "IN_ORDER"},
	{VIRTIO_NET_F_GUEST_USO4, "GUEST_USO4"},
	{VIRTIO_NET_F_GUEST_USO6, "GUEST_USO6"},
	{VIRTIO_NET_F_HOST_USO, "HOST_USO"},
};

#define N_FEATURES (sizeof(features) / sizeof(features[0]))

const int vhost_feature_bits[] = {0, 1, 3, 7, 8, 9, 11, 12, 13, 15, 17, 18, 21, 22, 26, 27, 28, 29,
	30, 32, 35, 54, 55, 56, -1};
_Static_assert(sizeof(vhost_feature_bits) / sizeof(int) == N_FEATURES + 1, "one bit per name");

const uint64_t vhost_features_own = FEATURE(VIRTIO_NET_F_GUEST_USO4) |
				    FEATURE(VIRTIO_NET_F_GUEST_USO6) |
				    FEATURE(VIRTIO_NET_F_HOST_USO);

const uint64_t vhost_features_all =
	FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_MTU) |
	FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6) |
	FEATURE(VIRTIO_NET_F_GUEST_ECN) | FEATURE(VIRTIO_NET_F_HOST_TSO4) |
	FEATURE(VIRTIO_NET_F_HOST_TSO6) | FEATURE(VIRTIO_NET_F_HOST_ECN) |
	FEATURE(VIRTIO_NET_F_MRG_RXBUF) | FEATURE(VIRTIO_NET_F_CTRL_VQ) |
	FEATURE(VIRTIO_NET_F_CTRL_RX) | FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE) |
	FEATURE(VIRTIO_NET_F_MQ) | FEATURE(VHOST_F_LOG_ALL) | FEATURE(VIRTIO_F_ANY_LAYOUT) |
	FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX) |
	FEATURE(VHOST_USER_F_PROTOCOL_FEATURES_BIT) | FEATURE(VIRTIO_F_VERSION_1) |
	FEATURE(VIRTIO_F_IN_ORDER) | FEATURE(VIRTIO_NET_F_GUEST_USO4) |
	FEATURE(VIRTIO_NET_F_GUEST_USO6) | FEATURE(VIRTIO_NET_F_HOST_USO);

const char *vhost_feature_name(unsigned bit)
{
	for (size_t i = 0; i < N_FEATURES; i++)
		if (features[i].bit == bit)
			return features[i].name;
	return NULL;
}

uint32_t vhost_features_offloads(uint64_t have)
{
	static const struct {
		unsigned bit;
		uint32_t offload;
	} map[] = {
		{VIRTIO_NET_F_GUEST_TSO4, PORT_OFFLOAD_TSO4},
		{VIRTIO_NET_F_GUEST_TSO6, PORT_OFFLOAD_TSO6},
		{VIRTIO_NET_F_GUEST_ECN, PORT_OFFLOAD_ECN},
		{VIRTIO_NET_F_GUEST_USO4, PORT_OFFLOAD_USO4},
		{VIRTIO_NET_F_GUEST_USO6, PORT_OFFLOAD_USO6},
	};
	uint32_t offloads = PORT_OFFLOAD_CSUM;

	// A receiver of segments must be one of partial checksums (5.1.3.1).
	if (!(have & FEATURE(VIRTIO_NET_F_GUEST_CSUM)))
		return 0;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (have & FEATURE(map[i].bit))
			offloads |= map[i].offload;
	return offloads;
}

bool vhost_features_sends_offloads(uint64_t have)
{
	return have & FEATURE(VIRTIO_NET_F_CSUM);
}

unsigned vhost_features_hdr_len(uint64_t have)
{
	if (have & (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_NET_F_MRG_RXBUF)))
		return sizeof(struct virtio_net_hdr_mrg_rxbuf);
	return sizeof(struct virtio_net_hdr);
}
