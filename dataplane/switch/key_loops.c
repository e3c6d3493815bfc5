// SPDX-License-Identifier: BSD-2-Clause
// The loops over the addresses of a burst. Compiled once per instruction set (see meson.build), with
// BURST_ISA naming the table to export.
#include "dataplane/frame/eth.h"
#include "dataplane/switch/key_burst.h"

#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define unlikely(x) __builtin_expect(!!(x), 0)

#define STRINGIFY(x) #x
#define STRING(x)    STRINGIFY(x)
#define PASTE(a, b)  a##b
#define SYMBOL(a, b) PASTE(a, b)

#define ADDR_MASK 0xffffffffffffull
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ADDR_GROUP 1ull    // the bit of a group address in a key
#define TYPE_VLAN  0x0081u // ETH_TYPE_VLAN as it is loaded
#else
#error "keys are made for little-endian machines"
#endif

// --- Reading ---

#ifdef __AVX2__

// The keys of all frames. Returns whether one has a tag.
static inline bool read_keys(
	struct burst_keys *keys, const struct burst *b, uint32_t n, uint64_t in_vlan)
{
	// Destination and source, each in the lower six bytes of a word.
	const __m128i pick = _mm_setr_epi8(0, 1, 2, 3, 4, 5, -1, -1, 6, 7, 8, 9, 10, 11, -1, -1);
	const __m128i vlan = _mm_set1_epi64x((long long)in_vlan);
	const __m128i type = _mm_set1_epi16(TYPE_VLAN);
	__m128i tagged = _mm_setzero_si128();

	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *head = b->f[i].buf + FRAME_HEAD_OFF;
		const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)head);
		const __m128i both = _mm_or_si128(_mm_shuffle_epi8(first, pick), vlan);

		tagged = _mm_or_si128(tagged, _mm_cmpeq_epi16(first, type));
		_mm_storel_epi64((__m128i *)(void *)&keys->dst[i], both);
		_mm_storeh_pd((double *)(void *)&keys->src[i], _mm_castsi128_pd(both));
	}
	return _mm_extract_epi16(tagged, ETH_ADDR_LEN);
}

#else

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline bool read_keys(
	struct burst_keys *keys, const struct burst *b, uint32_t n, uint64_t in_vlan)
{
	uint32_t tagged = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *head = b->f[i].buf + FRAME_HEAD_OFF;
		const uint64_t to = load64(head), from = load64(head + ETH_ADDR_LEN);

		keys->dst[i] = (to & ADDR_MASK) | in_vlan;
		keys->src[i] = (from & ADDR_MASK) | in_vlan;
		tagged |= from >> 48 == TYPE_VLAN;
	}
	return tagged;
}

#endif

static struct key_classes read(struct burst_keys *keys, const struct burst *b, uint32_t n,
	uint16_t vid, uint64_t last_src, uint64_t last_dst)
{
	const uint64_t in_vlan = (uint64_t)vid << 48;
	struct key_classes c = {.tagged = read_keys(keys, b, n, in_vlan)};
	uint64_t group = 0, zero = 0;

	for (uint32_t i = 0; i < n; i++) {
		c.dst_differs |= keys->dst[i] ^ last_dst;
		c.src_differs |= keys->src[i] ^ last_src;
		group |= keys->dst[i] | keys->src[i];
		zero |= keys->src[i] == in_vlan;
	}
	c.odd = (group & ADDR_GROUP) | zero;
	return c;
}

// --- Looking up ---

static bool find(const struct fdb *shared, const uint64_t *key, uint32_t n, uint8_t *port)
{
	const struct fdb fdb = fdb_constants(shared);
	uint64_t offset[FRAME_BURST];

	for (uint32_t i = 0; i < n; i++)
		offset[i] = fdb_bucket_offset(&fdb, fdb_hash(&fdb, key[i]));
	// Look-ups do not depend on each other, so the CPU has about ten of them on the way at once;
	// to prefetch them in a loop of their own costs more than it gains.
	for (uint32_t i = 0; i < n; i++) {
		uint32_t where;

		if (unlikely(!fdb_probe(fdb_bucket_at(&fdb, offset[i]), key[i], &where).b) &&
			!fdb_find(&fdb, key[i], &where).b)
			return false;
		port[i] = (uint8_t)FDB_PORT(where);
	}
	return true;
}

static bool is_known(const struct fdb *shared, const uint64_t *key, uint32_t first, uint32_t n,
	uint32_t step, uint32_t port, uint32_t now)
{
	const struct fdb fdb = fdb_constants(shared);
	uint32_t differs = 0;

	for (uint32_t i = first; i < n; i += step) {
		uint32_t where;
		struct fdb_entry e = fdb_find(&fdb, key[i], &where);

		if (unlikely(!e.b))
			return false;
		differs |= (FDB_PORT(where) ^ port) |
			   (__atomic_load_n(fdb_seen(e), __ATOMIC_RELAXED) ^ now);
	}
	return !differs;
}

// --- Sorting ---

#ifdef __AVX2__

#define HALF 64u
_Static_assert(FRAME_BURST == 2 * HALF, "a burst is two words of bits");

static const uint8_t places[HALF] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
	18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

static inline uint64_t low_bits(uint32_t n)
{
	return n < HALF ? (1ull << n) - 1 : ~0ull;
}

// The first frame of those that are left.
static inline uint32_t first_left(uint64_t low, uint64_t high)
{
	return low ? (uint32_t)__builtin_ctzll(low) : HALF + (uint32_t)__builtin_ctzll(high);
}

#endif

#ifdef __AVX512VBMI2__

// One list after the other: all frames of a port at once, without a branch that depends on them.
static uint32_t sort(const uint8_t *port, uint32_t n, struct frame_list *list, uint16_t *touched)
{
	const __m512i ports_low = _mm512_loadu_si512(port);
	const __m512i ports_high = _mm512_loadu_si512(port + HALF);
	const __m512i low = _mm512_loadu_si512(places);
	const __m512i high = _mm512_add_epi8(low, _mm512_set1_epi8(HALF));
	uint64_t left_low = low_bits(n), left_high = n > HALF ? low_bits(n - HALF) : 0;
	uint32_t n_touched = 0;

	while (left_low | left_high) {
		const uint8_t id = port[first_left(left_low, left_high)];
		const __m512i same = _mm512_set1_epi8((char)id);
		const uint64_t in_low = _mm512_mask_cmpeq_epi8_mask(left_low, ports_low, same);
		const uint64_t in_high = _mm512_mask_cmpeq_epi8_mask(left_high, ports_high, same);
		const uint32_t n_low = (uint32_t)__builtin_popcountll(in_low);
		uint8_t *to = list[id].f;

		_mm512_storeu_si512(to, _mm512_maskz_compress_epi8(in_low, low));
		_mm512_storeu_si512(to + n_low, _mm512_maskz_compress_epi8(in_high, high));
		list[id].n = n_low + (uint32_t)__builtin_popcountll(in_high);
		left_low ^= in_low;
		left_high ^= in_high;
		touched[n_touched++] = id;
	}
	return n_touched;
}

#elif defined(__AVX2__)

// Which of HALF bytes are these.
static inline uint64_t equal_bits(const uint8_t *bytes, __m256i these)
{
	const __m256i *v = (const __m256i *)(const void *)bytes;
	const __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256(v), these);
	const __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256(v + 1), these);

	return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
							     << 32;
}

// Writes the places of the bits, plus `base`; up to HALF bytes behind `to` may be written. Returns its end.
static inline uint8_t *put_places(uint8_t *to, uint64_t bits, uint32_t base)
{
	if (!bits)
		return to;
	const uint32_t first = (uint32_t)__builtin_ctzll(bits);
	const uint64_t run = bits >> first;
	const __m256i *from = (const __m256i *)(const void *)places;
	const __m256i add = _mm256_set1_epi8((char)(base + first));
	__m256i *out = (__m256i *)(void *)to;

	// Most often neighbours, as guests send several frames to one place in a row.
	if (!(run & (run + 1))) {
		_mm256_storeu_si256(out, _mm256_add_epi8(_mm256_loadu_si256(from), add));
		_mm256_storeu_si256(out + 1, _mm256_add_epi8(_mm256_loadu_si256(from + 1), add));
		return to + __builtin_popcountll(run);
	}
	for (; bits; bits &= bits - 1)
		*to++ = (uint8_t)(base + (uint32_t)__builtin_ctzll(bits));
	return to;
}

// One list after the other.
static uint32_t sort(const uint8_t *port, uint32_t n, struct frame_list *list, uint16_t *touched)
{
	uint64_t left_low = low_bits(n), left_high = n > HALF ? low_bits(n - HALF) : 0;
	uint32_t n_touched = 0;

	while (left_low | left_high) {
		const uint8_t id = port[first_left(left_low, left_high)];
		const __m256i same = _mm256_set1_epi8((char)id);
		const uint64_t in_low = equal_bits(port, same) & left_low;
		const uint64_t in_high = equal_bits(port + HALF, same) & left_high;
		uint8_t *begin = list[id].f;
		uint8_t *end = put_places(put_places(begin, in_low, 0), in_high, HALF);

		list[id].n = (uint32_t)(end - begin);
		left_low ^= in_low;
		left_high ^= in_high;
		touched[n_touched++] = id;
	}
	return n_touched;
}

#else

static uint32_t sort(const uint8_t *port, uint32_t n, struct frame_list *list, uint16_t *touched)
{
	uint32_t n_touched = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct frame_list *to = &list[port[i]];

		touched[n_touched] = port[i];
		n_touched += to->n == 0;
		to->f[to->n++] = (uint8_t)i;
	}
	return n_touched;
}

#endif

const struct key_burst_ops SYMBOL(key_burst_, BURST_ISA) = {
	.isa = STRING(BURST_ISA),
	.read = read,
	.find = find,
	.is_known = is_known,
	.sort = sort,
};
