// SPDX-License-Identifier: BSD-2-Clause
// Feature bits of a virtio network device: which are offered, what they are called, what they mean
// for a receiver (virtio 1.2, 5.1.3 and 6).
#pragma once

#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif
#ifndef VIRTIO_F_IN_ORDER
#define VIRTIO_F_IN_ORDER 35
#endif
#define VHOST_USER_F_PROTOCOL_FEATURES_BIT 30

#define FEATURE(bit) (UINT64_C(1) << (bit))

// Everything weft implements. What is not here is never offered.
extern const uint64_t vhost_features_all;
// The part of it that rte_vhost does not know: offered and accepted by our own message handler.
extern const uint64_t vhost_features_own;

// Name of a bit as the specification spells it without its prefix ("MRG_RXBUF"), NULL if unknown.
const char *vhost_feature_name(unsigned bit);
// Every known bit, ascending, ended by -1.
extern const int vhost_feature_bits[];

// What a guest with these features takes as it is: enum port_offload bits.
uint32_t vhost_features_offloads(uint64_t features);
// Whether such a guest may leave work in the header of a frame that it sends.
bool vhost_features_sends_offloads(uint64_t features);
// Bytes of the virtio-net header: 12 with VERSION_1 or MRG_RXBUF, else 10 (5.1.6).
unsigned vhost_features_hdr_len(uint64_t features);
