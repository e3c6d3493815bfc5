// SPDX-License-Identifier: BSD-2-Clause
// The loops over the addresses of a burst. Compiled once per instruction set (see meson.build), with
// BURST_ISA naming the table to export.
#include "dataplane/frame/eth.h"
#include "dataplane/switch/key_burst.h"

#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#ifndef __has_feature
#define __has_feature(x) 0
#endif
// The race detector does not know that each of a vector's loads from the table is one of an entry.
#if defined(__AVX2__) && !defined(__SANITIZE_THREAD__) && !__has_feature(thread_sanitizer)
#define FIND_WIDE
#endif

#define likely(x)   __builtin_expect(!!(x), 1)
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

// Of a burst's frames, as bits: two words.
#define HALF 64u
_Static_assert(FRAME_BURST == 2 * HALF, "a burst is two words of bits");

#ifdef __AVX2__
static inline uint64_t low_bits(uint32_t n)
{
	return n < HALF ? (1ull << n) - 1 : ~0ull;
}
#endif

// --- Reading ---

// What frames have in common so far, beside their keys' bits.
struct common {
	uint64_t dst_differs, src_differs, ones, tagged, zero;
};

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

// Reads frames [i, n) one by one.
static inline void read_each(struct burst_keys *keys, const struct burst *b, uint32_t i, uint32_t n,
	uint64_t in_vlan, uint64_t last_src, uint64_t last_dst, struct common *c)
{
	for (; i < n; i++) {
		const uint8_t *head = b->f[i].buf + FRAME_HEAD_OFF;
		const uint64_t to = load64(head), from = load64(head + ETH_ADDR_LEN);
		const uint64_t dst = (to & ADDR_MASK) | in_vlan, src = (from & ADDR_MASK) | in_vlan;

		keys->dst[i] = dst;
		keys->src[i] = src;
		c->dst_differs |= dst ^ last_dst;
		c->src_differs |= src ^ last_src;
		c->ones |= dst | src;
		c->tagged |= from >> 48 == TYPE_VLAN;
		c->zero |= src == in_vlan;
	}
}

#ifdef __AVX2__

// The first 16 bytes of frames i and i + 2.
static inline __m256i two_heads(const struct burst *b, uint32_t i)
{
	const uint8_t *low = b->f[i].buf + FRAME_HEAD_OFF, *high = b->f[i + 2].buf + FRAME_HEAD_OFF;

	return _mm256_inserti128_si256(
		_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)low)),
		_mm_loadu_si128((const __m128i *)(const void *)high), 1);
}

static inline uint64_t any_bits(__m256i v)
{
	const __m128i half =
		_mm_or_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	return (uint64_t)_mm_cvtsi128_si64(half) | (uint64_t)_mm_extract_epi64(half, 1);
}

// Reads frames four by four; returns how many.
static inline uint32_t read_wide(struct burst_keys *keys, const struct burst *b, uint32_t n,
	uint64_t in_vlan, uint64_t last_src, uint64_t last_dst, struct common *c)
{
	// Destination and source, each in the lower six bytes of a word.
	const __m256i pick = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(0, 1, 2, 3, 4, 5, -1, -1, 6, 7, 8, 9, 10, 11, -1, -1));
	const __m256i vlan = _mm256_set1_epi64x((long long)in_vlan);
	const __m256i dst_was = _mm256_set1_epi64x((long long)last_dst);
	const __m256i src_was = _mm256_set1_epi64x((long long)last_src);
	const __m256i type = _mm256_set1_epi16(TYPE_VLAN);
	const __m256i type_at = _mm256_set_epi64x(0xffffll << 32, 0, 0xffffll << 32, 0);
	__m256i dst_differs = _mm256_setzero_si256(), src_differs = dst_differs, ones = dst_differs,
		tagged = dst_differs, zero = dst_differs;
	uint32_t i = 0;

	for (; i + 4 <= n; i += 4) {
		const __m256i even = two_heads(b, i), odd = two_heads(b, i + 1);
		const __m256i even_keys = _mm256_shuffle_epi8(even, pick);
		const __m256i odd_keys = _mm256_shuffle_epi8(odd, pick);
		const __m256i dst =
			_mm256_or_si256(_mm256_unpacklo_epi64(even_keys, odd_keys), vlan);
		const __m256i src =
			_mm256_or_si256(_mm256_unpackhi_epi64(even_keys, odd_keys), vlan);

		_mm256_storeu_si256((__m256i *)(void *)&keys->dst[i], dst);
		_mm256_storeu_si256((__m256i *)(void *)&keys->src[i], src);
		dst_differs = _mm256_or_si256(dst_differs, _mm256_xor_si256(dst, dst_was));
		src_differs = _mm256_or_si256(src_differs, _mm256_xor_si256(src, src_was));
		ones = _mm256_or_si256(ones, _mm256_or_si256(dst, src));
		zero = _mm256_or_si256(zero, _mm256_cmpeq_epi64(src, vlan));
		tagged = _mm256_or_si256(tagged, _mm256_or_si256(_mm256_cmpeq_epi16(even, type),
							 _mm256_cmpeq_epi16(odd, type)));
	}
	c->dst_differs = any_bits(dst_differs);
	c->src_differs = any_bits(src_differs);
	c->ones = any_bits(ones);
	c->zero = any_bits(zero);
	c->tagged = any_bits(_mm256_and_si256(tagged, type_at));
	return i;
}

#else

static inline uint32_t read_wide(struct burst_keys *keys, const struct burst *b, uint32_t n,
	uint64_t in_vlan, uint64_t last_src, uint64_t last_dst, struct common *c)
{
	return 0;
}

#endif

static struct key_classes read(struct burst_keys *keys, const struct burst *b, uint32_t n,
	uint16_t vid, uint64_t last_src, uint64_t last_dst)
{
	const uint64_t in_vlan = (uint64_t)vid << 48;
	struct common c = {.zero = 0};
	const uint32_t done = read_wide(keys, b, n, in_vlan, last_src, last_dst, &c);

	read_each(keys, b, done, n, in_vlan, last_src, last_dst, &c);
	return (struct key_classes){
		.dst_differs = c.dst_differs,
		.src_differs = c.src_differs,
		.tagged = c.tagged,
		.odd = (c.ones & ADDR_GROUP) || c.zero,
	};
}

// --- Looking up ---

// Where the addresses of a burst are in the table. The word that is expected there, in halves, is of use while that
// is found out.
struct places {
	uint32_t slot[FRAME_BURST], where[FRAME_BURST], low[FRAME_BURST], high[FRAME_BURST];
};

// The address that stands `off` bytes behind the beginning of a frame, as a key.
static inline uint64_t key_at(const struct burst *b, uint32_t i, size_t off, uint64_t in_vlan)
{
	return eth_addr_in8(b->f[i].buf + FRAME_HEAD_OFF + off) | in_vlan;
}

#ifdef FIND_WIDE

#define GROUP 8u // keys in two vectors: one has the lower halves, one the upper

// As fdb_mix(), eight keys.
static inline void mix(__m256i *low, __m256i *high, const __m256i *secret)
{
	__m256i l = *low, h = *high;

	h = _mm256_xor_si256(h, _mm256_srli_epi32(_mm256_mullo_epi32(l, secret[0]), 4));
	l = _mm256_xor_si256(l, _mm256_mullo_epi32(h, secret[1]));
	l = _mm256_xor_si256(l, _mm256_srli_epi32(l, 16));
	h = _mm256_xor_si256(h, _mm256_srli_epi32(h, 16));
	h = _mm256_xor_si256(h, _mm256_srli_epi32(_mm256_mullo_epi32(l, secret[2]), 4));
	*low = l;
	*high = h;
}

static inline __m128i two_words(const void *low, const void *high)
{
	const __m128i v = _mm_loadl_epi64((const __m128i *)low);

	return _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(v), (const double *)high));
}

// Words 0, 1, 4 and 5 of eight, or 2, 3, 6 and 7: halves() brings them into their order.
static inline __m256i four_words(const void *a, const void *b, const void *c, const void *d)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(two_words(a, b)), two_words(c, d), 1);
}

// The lower and the upper halves of eight words.
static inline void halves(__m256i a, __m256i b, __m256i *low, __m256i *high)
{
	const __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);

	*low = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88));
	*high = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd));
}

// Says where the addresses of n frames, a multiple of GROUP, are by their first choice, and starts fetching that.
static inline void choose_first(struct places *p, const struct fdb *fdb, const struct burst *b,
	uint32_t n, size_t off, uint64_t in_vlan)
{
	const uint64_t *slots = fdb->slots;
	const __m256i used = _mm256_set1_epi32(FDB_USED);
	const __m256i mask = _mm256_set1_epi32(0xffff);
	const __m256i vlan = _mm256_set1_epi32((int)(in_vlan >> 32));
	const __m128i shift = _mm_cvtsi32_si128((int)fdb->shift - 32);
	__m256i secret[3];

	for (unsigned i = 0; i < 3; i++)
		secret[i] = _mm256_set1_epi32((int)fdb->secret[i]);
	for (uint32_t i = 0; i < n; i += GROUP) {
		const uint8_t *at = b->f[i].buf + FRAME_HEAD_OFF + off;
		const size_t step = sizeof(b->f[0]);
		__m256i low, high;

		halves(four_words(at, at + step, at + 4 * step, at + 5 * step),
			four_words(at + 2 * step, at + 3 * step, at + 6 * step, at + 7 * step),
			&low, &high);
		high = _mm256_or_si256(_mm256_and_si256(high, mask), vlan);
		mix(&low, &high, secret);
		_mm256_storeu_si256((__m256i *)(void *)&p->slot[i], _mm256_srl_epi32(high, shift));
		_mm256_storeu_si256((__m256i *)(void *)&p->low[i],
			_mm256_or_si256(_mm256_slli_epi32(low, FDB_TAG_BIT), used));
		_mm256_storeu_si256((__m256i *)(void *)&p->high[i],
			_mm256_or_si256(_mm256_slli_epi32(high, FDB_TAG_BIT),
				_mm256_srli_epi32(low, 32 - FDB_TAG_BIT)));
		for (uint32_t k = 0; k < GROUP; k++)
			__builtin_prefetch(&slots[p->slot[i + k]]);
	}
}

static inline __m256i load_eight(const uint32_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

// Looks at the slots of first choice of n <= HALF addresses from `first` on. Returns a bit for each that is not there;
// of the others where[] is right in its lower bits.
static inline uint64_t look(struct places *p, const uint64_t *slots, uint32_t first, uint32_t n)
{
	uint64_t there = 0;

	for (uint32_t i = 0; i < n; i += GROUP) {
		const uint32_t *s = &p->slot[first + i];
		__m256i low, high;

		halves(four_words(&slots[s[0]], &slots[s[1]], &slots[s[4]], &slots[s[5]]),
			four_words(&slots[s[2]], &slots[s[3]], &slots[s[6]], &slots[s[7]]), &low,
			&high);
		low = _mm256_xor_si256(low, load_eight(&p->low[first + i]));
		high = _mm256_xor_si256(high, load_eight(&p->high[first + i]));
		_mm256_storeu_si256((__m256i *)(void *)&p->where[first + i], low);
		high = _mm256_or_si256(high, _mm256_srli_epi32(low, FDB_WHERE_BITS));
		high = _mm256_cmpeq_epi32(high, _mm256_setzero_si256());
		there |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(high)) << i;
	}
	return ~there & low_bits(n);
}

// A bit for each of four differences that is one of `where` alone.
static inline uint32_t same_address(__m256i differs)
{
	const __m256i others = _mm256_srli_epi64(differs, FDB_WHERE_BITS);

	return (uint32_t)_mm256_movemask_pd(
		_mm256_castsi256_pd(_mm256_cmpeq_epi64(others, _mm256_setzero_si256())));
}

// Looks through the line of first choice of the i-th address, without a branch that depends on where it is. What is
// found is read once more, as it may have changed.
static inline bool look_around(struct places *p, const uint64_t *slots, uint32_t i)
{
	const uint64_t word = p->low[i] | (uint64_t)p->high[i] << 32;
	const uint32_t line = p->slot[i] & ~(FDB_WAYS - 1);
	const __m256i *v = (const __m256i *)(const void *)&slots[line];
	const __m256i want = _mm256_set1_epi64x((long long)word);
	const uint32_t found = same_address(_mm256_xor_si256(_mm256_load_si256(v), want)) |
			       same_address(_mm256_xor_si256(_mm256_load_si256(v + 1), want)) << 4;
	const uint32_t slot = line | (uint32_t)__builtin_ctz(found | 1u << (FDB_WAYS - 1));
	const uint64_t differs = __atomic_load_n(&slots[slot], __ATOMIC_RELAXED) ^ word;

	p->slot[i] = slot;
	p->where[i] = (uint32_t)differs;
	return differs <= FDB_WHERE;
}

// As locate(), as many of n frames as groups can be made of. How many is in *n.
static inline bool locate_wide(struct places *p, const struct fdb *fdb, const struct burst *b,
	uint32_t *n, size_t off, uint64_t in_vlan)
{
	*n -= *n % GROUP;
	choose_first(p, fdb, b, *n, off, in_vlan);
	for (uint32_t first = 0; first < *n; first += HALF) {
		uint64_t far = look(p, fdb->slots, first, *n - first < HALF ? *n - first : HALF);

		for (; far; far &= far - 1) {
			const uint32_t i = first + (uint32_t)__builtin_ctzll(far);
			uint32_t where;
			if (likely(look_around(p, fdb->slots, i)))
				continue;
			p->slot[i] = fdb_find(fdb, key_at(b, i, off, in_vlan), &where);
			if (p->slot[i] == FDB_NONE)
				return false;
			p->where[i] = where;
		}
	}
	return true;
}

#else

static inline bool locate_wide(struct places *p, const struct fdb *fdb, const struct burst *b,
	uint32_t *n, size_t off, uint64_t in_vlan)
{
	*n = 0;
	return true;
}

#endif

// Finds out where the addresses of n frames are, each `off` bytes behind its frame's beginning: their slots, and
// `where` (in the lower bits). False if one is not known.
static inline bool locate(struct places *p, const struct fdb *fdb, const struct burst *b,
	uint32_t n, size_t off, uint16_t vid)
{
	const uint64_t in_vlan = (uint64_t)vid << 48;
	uint32_t i = n;

	if (!locate_wide(p, fdb, b, &i, off, in_vlan))
		return false;
	for (; i < n; i++) {
		uint32_t where;

		p->slot[i] = fdb_find(fdb, key_at(b, i, off, in_vlan), &where);
		p->where[i] = where;
		if (unlikely(p->slot[i] == FDB_NONE))
			return false;
	}
	return true;
}

static bool find(
	const struct fdb *fdb, const struct burst *b, uint32_t n, uint16_t vid, uint8_t *port)
{
	struct places p;

	if (!locate(&p, fdb, b, n, 0, vid))
		return false;
	for (uint32_t i = 0; i < n; i++)
		port[i] = (uint8_t)FDB_PORT(p.where[i]);
	return true;
}

static bool is_known(const struct fdb *fdb, const struct burst *b, uint32_t n, uint16_t vid,
	uint32_t port, uint32_t now)
{
	struct places p;
	uint32_t differs = 0;

	if (!locate(&p, fdb, b, n, ETH_ADDR_LEN, vid))
		return false;
	for (uint32_t i = 0; i < n; i++)
		differs |= ((uint32_t)FDB_PORT(p.where[i]) ^ port) |
			   (__atomic_load_n(fdb_seen(fdb, p.slot[i]), __ATOMIC_RELAXED) ^ now);
	return !differs;
}

// --- Sorting ---

#ifdef __AVX2__

static const uint8_t places[HALF] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
	18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

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
