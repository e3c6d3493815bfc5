// SPDX-License-Identifier: BSD-2-Clause
// The internet checksum (RFC 1071) over buffers and over the pieces of a frame.
//
// A sum is kept in 64 bits, in the byte order of memory: words are added as they are loaded, and
// what a fold gives is stored as it is. Sums of 2^31 bytes do not overflow.
#pragma once

#include "dataplane/frame/frame.h"

#include <stddef.h>
#include <stdint.h>

// Adds `len` bytes, at any address, to `sum`; an odd last byte counts as if a zero followed. Each
// byte is read once. Any thread.
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);

// Sum of the bytes [off, end of frame) of head and segments, whatever the lengths of the pieces.
// `off` is inside the frame. Each byte is read once. Worker thread.
uint64_t checksum_frame(const struct frame *f, uint32_t off);

// To 16 bits with end-around carry. 0 only for a sum of 0.
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}
