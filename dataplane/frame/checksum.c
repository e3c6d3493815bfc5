// SPDX-License-Identifier: BSD-2-Clause
// Sums 32-bit words into 64-bit lanes, as wide as the processor has them.
#include "dataplane/frame/checksum.h"

#include <string.h>

// Below this many bytes the wide loops do not pay.
#define WIDE_MIN 128u

typedef uint64_t lanes __attribute__((vector_size(32), aligned(1), may_alias));

// Adds whole blocks of 128 bytes; returns how many bytes that were. Compiled once for the baseline
// and once for AVX2: per 32 bytes a load, a mask, a shift and two additions, in two chains.
static inline __attribute__((always_inline)) size_t add_blocks(
	uint64_t *sum, const uint8_t *p, size_t len)
{
	const lanes low = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
	lanes a = {0}, b = {0}, c = {0}, d = {0};
	size_t done = 0;
	for (; len - done >= 128; done += 128) {
		const lanes *v = (const lanes *)(p + done);
		lanes v0 = v[0], v1 = v[1], v2 = v[2], v3 = v[3];
		a += (v0 & low) + (v1 & low);
		b += (v0 >> 32) + (v1 >> 32);
		c += (v2 & low) + (v3 & low);
		d += (v2 >> 32) + (v3 >> 32);
	}
	a += b;
	c += d;
	a += c;
	*sum += a[0] + a[1] + a[2] + a[3];
	return done;
}

#ifdef __x86_64__
static __attribute__((target("avx2"))) size_t add_blocks_avx2(
	uint64_t *sum, const uint8_t *p, size_t len)
{
	return add_blocks(sum, p, len);
}

static size_t add_wide(uint64_t *sum, const uint8_t *p, size_t len)
{
	if (__builtin_cpu_supports("avx2"))
		return add_blocks_avx2(sum, p, len);
	return add_blocks(sum, p, len);
}
#else
static size_t add_wide(uint64_t *sum, const uint8_t *p, size_t len)
{
	return add_blocks(sum, p, len);
}
#endif

uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	if (len >= WIDE_MIN) {
		size_t n = add_wide(&sum, p, len);
		p += n;
		len -= n;
	}
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t w;
		memcpy(&w, p, 8);
		sum += (w & 0xffffffff) + (w >> 32);
	}
	if (len & 4) {
		uint32_t w;
		memcpy(&w, p, 4);
		sum += w;
		p += 4;
	}
	if (len & 2) {
		uint16_t w;
		memcpy(&w, p, 2);
		sum += w;
		p += 2;
	}
	if (len & 1) {
		uint16_t w = 0;
		memcpy(&w, p, 1);
		sum += w;
	}
	return sum;
}

uint64_t checksum_frame(const struct frame *f, uint32_t off)
{
	uint64_t sum = 0;
	bool odd = false; // the next piece starts at the second byte of a word
	if (off < f->head_len) {
		sum = checksum_add(0, frame_head_const(f) + off, f->head_len - off);
		odd = (f->head_len - off) & 1;
		off = 0;
	} else {
		off -= f->head_len;
	}
	for (unsigned i = 0; i < f->n_segs; i++) {
		struct frame_seg seg = frame_segs_const(f)[i];
		if (off >= seg.len) {
			off -= seg.len;
			continue;
		}
		seg.len -= off;
		if (!odd)
			sum = checksum_add(sum, seg.base + off, seg.len);
		else // a word's bytes change places, and so do those of a sum of words
			sum += __builtin_bswap16(
				checksum_fold(checksum_add(0, seg.base + off, seg.len)));
		odd ^= seg.len & 1;
		off = 0;
	}
	return sum;
}
