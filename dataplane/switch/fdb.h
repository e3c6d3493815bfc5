// SPDX-License-Identifier: BSD-2-Clause
// The forwarding database: which port an address of a VLAN lives on.
//
// A hash table of fixed size. A bucket is one cache line with four entries, their keys side by side so
// that one instruction can compare them all; a key lives in either
// of two buckets that a secret hash chooses (a guest that knew it could aim at one bucket). Keys go
// to the first bucket while that is half empty, else to the emptier of the two, so that nearly
// every look-up touches one line and full buckets are rare at the highest fill.
//
// Look-up takes no lock: key, value and key again are read; a writer takes the key away before it
// changes the value. Should an entry change to another key and back in between, one frame sees a
// port that was right or wrong for it a moment ago: whoever uses the port holds it against the
// members of the frame's VLAN anyway.
//
// Changes are made under one lock. Workers only try it: what could not be learnt now is learnt with
// the next frame. `gen` counts changes of what a look-up could have answered before, so that
// workers may cache answers.
//
// Under a flood of addresses each port keeps its fair share (capacity divided by the ports that
// have entries): a port at or above its share replaces the oldest it finds of its own, a port below
// takes from those above. An entry of a port within its share is never the victim, static entries
// neither. The search for a victim is bounded: it looks at a window of buckets, and the next search
// goes on behind it.
#pragma once

#include "dataplane/port/port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
// The race detector does not know that a vector's load is one for each key in it.
#if defined(__AVX2__) && !defined(__SANITIZE_THREAD__) && !__has_feature(thread_sanitizer)
#define FDB_WIDE
#include <immintrin.h>
#endif

#define FDB_WAYS        4u
#define FDB_BUCKET_BITS 6u // of an offset within a bucket

// `where` of an entry.
#define FDB_PORT(where) ((where)&0xffu)
_Static_assert(PORT_MAX == 256, "a port is eight bits");
#define FDB_STATIC (1u << 16)
#define FDB_NONE   0xffffffffu // of a look-up: not known

struct fdb_bucket {
	uint64_t key[FDB_WAYS];   // fdb_key(); 0: empty
	uint32_t where[FDB_WAYS]; // port | FDB_STATIC
	uint32_t seen
		[FDB_WAYS]; // seconds of CLOCK_MONOTONIC; stored by the worker of the source port
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct fdb_bucket) == 1 << FDB_BUCKET_BITS, "a bucket is a cache line");

// An entry: one of the ways of a bucket. No bucket: no entry.
struct fdb_entry {
	struct fdb_bucket *b;
	uint32_t way;
};

struct fdb {
	struct fdb_bucket *buckets;
	uint64_t secret[2]; // odd multipliers
	uint32_t shift;     // 64 - log2(buckets)
	uint32_t n_buckets;
	uint32_t gen; // written under lock, read by workers once per burst

	pthread_mutex_t lock __attribute__((aligned(64)));
	// Under lock (n also read without).
	uint32_t n, max;
	uint32_t n_static;
	uint32_t hand;            // where the next search for a victim begins
	uint32_t owned[PORT_MAX]; // learnt entries of each port
	uint32_t n_owners;        // ports with any
};

// An address in a VLAN as one word: the address in memory order, the VLAN (1..4094) above it.
static inline uint64_t fdb_key(uint64_t addr, uint16_t vid)
{
	return addr | (uint64_t)vid << 48;
}

static inline uint16_t fdb_key_vid(uint64_t key)
{
	return (uint16_t)(key >> 48);
}

// A table for up to `max` addresses. 0 or -ENOMEM.
int fdb_new(uint32_t max, struct fdb **out);
void fdb_free(struct fdb *fdb);

// Two multiplications: with one, rows of consecutive addresses meet in few buckets for one secret
// in ten.
static inline uint64_t fdb_hash(const struct fdb *fdb, uint64_t key)
{
	uint64_t h = key * fdb->secret[0];

	return (h ^ h >> 28) * fdb->secret[1];
}

// The bucket of first choice, in two steps: a loop makes the offsets (in bytes) of several keys at once.
static inline uint64_t fdb_bucket_offset(const struct fdb *fdb, uint64_t hash)
{
	return hash >> (fdb->shift - FDB_BUCKET_BITS) & ~0ull << FDB_BUCKET_BITS;
}

static inline struct fdb_bucket *fdb_bucket_at(const struct fdb *fdb, uint64_t offset)
{
	return (struct fdb_bucket *)(void *)((uint8_t *)fdb->buckets + offset);
}

static inline struct fdb_bucket *fdb_bucket(const struct fdb *fdb, uint64_t hash)
{
	return fdb_bucket_at(fdb, fdb_bucket_offset(fdb, hash));
}

// The bucket of second choice.
static inline struct fdb_bucket *fdb_bucket_alt(const struct fdb *fdb, uint64_t hash)
{
	return fdb_bucket(fdb, hash * fdb->secret[0]);
}

// Where the second of an entry's last frame is kept.
static inline uint32_t *fdb_seen(struct fdb_entry e)
{
	return &e.b->seen[e.way];
}

// Whether a way has this key, and which: any if none has. Which of the four it is cannot be predicted, so
// nothing branches on it.
static inline bool fdb_way(const struct fdb_bucket *b, uint64_t key, uint32_t *way)
{
#ifdef FDB_WIDE
	// A vector's load is one for each key in it: aligned eight bytes are never torn.
	const __m256i keys = _mm256_load_si256((const __m256i *)(const void *)b->key);
	const __m256i equal = _mm256_cmpeq_epi64(keys, _mm256_set1_epi64x((long long)key));
	const unsigned found = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(equal));

	__atomic_signal_fence(__ATOMIC_ACQUIRE); // loads stay in their order on x86
	*way = (uint32_t)__builtin_ctz(found | 1u << (FDB_WAYS - 1));
	return found;
#else
	const uint32_t in_0 = __atomic_load_n(&b->key[0], __ATOMIC_ACQUIRE) == key;
	const uint32_t in_1 = __atomic_load_n(&b->key[1], __ATOMIC_ACQUIRE) == key;
	const uint32_t in_2 = __atomic_load_n(&b->key[2], __ATOMIC_ACQUIRE) == key;
	const uint32_t in_3 = __atomic_load_n(&b->key[3], __ATOMIC_ACQUIRE) == key;

	*way = in_1 + 2u * in_2 + 3u * in_3;
	return in_0 | in_1 | in_2 | in_3;
#endif
}

// Looks through one bucket. The entry (for its `where` at *where), or none.
static inline struct fdb_entry fdb_probe(struct fdb_bucket *b, uint64_t key, uint32_t *where)
{
	uint32_t way;
	const bool found = fdb_way(b, key, &way);
	const uint32_t w = __atomic_load_n(&b->where[way], __ATOMIC_ACQUIRE);

	// The second look: pairs with the release fence of a writer between taking the key away and
	// storing the value. It does not replace the first: behind a value that was there before the
	// key, it would find the key all the same.
	if (__builtin_expect(!found || __atomic_load_n(&b->key[way], __ATOMIC_RELAXED) != key, 0))
		return (struct fdb_entry){.b = NULL};
	*where = w;
	return (struct fdb_entry){.b = b, .way = way};
}

// The entry of `key`, whose hash this is, and its `where`; none if there is none (*where is then
// FDB_NONE). Any thread.
static inline struct fdb_entry fdb_find_hash(
	const struct fdb *fdb, uint64_t key, uint64_t hash, uint32_t *where)
{
	struct fdb_entry e = fdb_probe(fdb_bucket(fdb, hash), key, where);

	if (__builtin_expect(!e.b, 0)) {
		*where = FDB_NONE;
		e = fdb_probe(fdb_bucket_alt(fdb, hash), key, where);
	}
	return e;
}

static inline struct fdb_entry fdb_find(const struct fdb *fdb, uint64_t key, uint32_t *where)
{
	return fdb_find_hash(fdb, key, fdb_hash(fdb, key), where);
}

// What a look-up needs of a table, for a loop to keep in registers: nothing of it ever changes.
static inline struct fdb fdb_constants(const struct fdb *fdb)
{
	return (struct fdb){
		.buckets = fdb->buckets,
		.secret = {fdb->secret[0], fdb->secret[1]},
		.shift = fdb->shift,
	};
}

static inline uint32_t fdb_gen(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->gen, __ATOMIC_ACQUIRE);
}

enum fdb_result {
	FDB_SAME,   // it was there already; its time is renewed
	FDB_LEARNT, // new
	FDB_MOVED,  // was on change->old_port
	FDB_KEPT,   // a static entry says otherwise and stays
	FDB_BUSY,   // the lock is taken: try with the next frame
	FDB_FULL,   // no room that this port may take
};

// What fdb_learn did beside its result.
struct fdb_change {
	uint16_t old_port;     // FDB_MOVED
	uint16_t evicted_port; // of evicted
	uint64_t evicted;      // key that had to go for it, or 0
};

// Worker or control: `key` was seen as a source on `port` at second `now`.
enum fdb_result fdb_learn(
	struct fdb *fdb, uint64_t key, uint16_t port, uint32_t now, struct fdb_change *change);

// Control. A static entry, instead of whatever is there. 0, or -ENOSPC.
int fdb_set(struct fdb *fdb, uint64_t key, uint16_t port, uint32_t now);
// Control. 0 or -ENOENT.
int fdb_del(struct fdb *fdb, uint64_t key);

// Control. Removes all entries that `want` selects, telling each to `gone` (may be NULL; called
// with the lock held in passing). Returns how many.
typedef bool fdb_select(void *ctx, uint64_t key, uint32_t where, uint32_t seen);
uint32_t fdb_sweep(struct fdb *fdb, fdb_select *want, void *ctx);

// Control. Calls `each` for every entry until it returns non-zero, and returns that.
int fdb_foreach(const struct fdb *fdb,
	int (*each)(void *ctx, uint64_t key, uint32_t where, uint32_t seen), void *ctx);

static inline uint32_t fdb_count(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->n, __ATOMIC_RELAXED);
}
