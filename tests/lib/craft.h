// SPDX-License-Identifier: BSD-2-Clause
// Crafts frames byte by byte for tests, and lends them in pieces of any size.
//
// Layers are appended in order; craft_finish fills in the lengths and checksums that depend on what
// came later. Everything else stays as it was written, so a test can break any byte before or after.
#pragma once

#include "dataplane/frame/frame.h"

#include <stdbool.h>
#include <stdint.h>

#define CRAFT_MAX  (FRAME_LEN_MAX + 64u)
#define CRAFT_SEGS 4096u

struct craft {
	uint32_t len;
	uint32_t l3, l4, hdr_len; // offsets of the last layers appended; hdr_len: of the payload
	uint32_t next;            // where the field is that names the next layer: 1 byte behind IP
	uint8_t proto;
	bool ipv6;
	uint8_t b[CRAFT_MAX];
};

// Ethernet header from station `from` to station `to` (02:00:00:00:00:xx).
void craft_eth(struct craft *c, uint8_t from, uint8_t to);
// A tag; `tpid` goes where the type is.
void craft_tag(struct craft *c, uint16_t tpid, uint16_t tci);
// Sets the type in front and appends `n` bytes.
void craft_type(struct craft *c, uint16_t type, const void *bytes, uint32_t n);
// 10.0.0.`from` to 10.0.0.`to` or fd00::, with options of opt_len (a multiple of 4) bytes.
void craft_ipv4(struct craft *c, uint8_t from, uint8_t to, unsigned opt_len);
void craft_ipv6(struct craft *c, uint8_t from, uint8_t to);
// An extension header of `len` bytes (a multiple of 8), padded with options where it has any.
void craft_ext(struct craft *c, uint8_t type, unsigned len);
void craft_fragment(struct craft *c, unsigned offset8, bool more); // of IPv6
void craft_tcp(struct craft *c, uint16_t sport, uint16_t dport, uint8_t flags, unsigned opt_len);
void craft_udp(struct craft *c, uint16_t sport, uint16_t dport);
void craft_icmpv6(struct craft *c, uint8_t type, const void *body, uint32_t n);
// n bytes that differ by position and by seed.
void craft_payload(struct craft *c, uint32_t n, uint32_t seed);
// Lengths, the IPv4 header's checksum, and the transport checksum: whole, or begun.
void craft_finish(struct craft *c, bool partial);
// The claim that goes with a partial checksum; with gso_type != 0, with a segment too.
struct virtio_net_hdr craft_claim(const struct craft *c, uint8_t gso_type, uint16_t gso_size);

// A view of [bytes, bytes + len) as a port would lend it: min(FRAME_HEAD, len) bytes in the head,
// the rest in segments of at most seg_len bytes (CRAFT_SEGS of them, of which the last takes what
// is left). The claims are those of `claim`, or none for NULL.
void craft_lend(struct frame *f, const uint8_t *bytes, uint32_t len, uint32_t seg_len,
	struct frame_seg *segs, const struct virtio_net_hdr *claim);

// A checksum the slow way: 16-bit words of network order, one by one. Returned as a number.
uint16_t craft_checksum(const uint8_t *bytes, uint32_t len, uint32_t sum);
// Sum of the pseudo header with the addresses in the IP header, for craft_checksum.
uint32_t craft_pseudo(const struct craft *c);
