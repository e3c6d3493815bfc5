// SPDX-License-Identifier: BSD-2-Clause
// The forwarding database: which port an address of a VLAN lives on.
//
// A hash table of fixed size. An entry is one word: the port, and what the place of the entry does not
// say of its address. So a look-up is one load, and what it finds is never half of one entry and half
// of another. A secret permutation (a guest that knew it could aim at one place) turns an address into a
// number: its first bits are the slot of first choice, the others are kept in the word. Slots that share
// a cache line are a line: who finds the slot taken gets another of that line, or of a second one that the
// number names too. So nearly every look-up touches one line, most of them one word, and an address
// without room is rare at the highest fill.
//
// Look-up takes no lock. Should an entry come or go meanwhile, one frame sees a port that was right or wrong for it a
// moment ago: whoever uses the port holds it against the members of the frame's VLAN anyway.
//
// Changes are made under one lock. Workers only try it: what could not be learnt now is learnt with
// the next frame. `gen` counts changes of what a look-up could have answered before, so that
// workers may cache answers.
//
// Under a flood of addresses each port keeps its fair share (capacity divided by the ports that
// have entries): a port at or above its share replaces the oldest it finds of its own, a port below
// takes from those above. An entry of a port within its share is never the victim, static entries
// neither. The search for a victim is bounded: it looks at a window of lines, and the next search
// goes on behind it.
#pragma once

#include "dataplane/port/port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// `where` of an entry.
#define FDB_PORT(where) ((where)&0xffu)
_Static_assert(PORT_MAX == 256, "a port is eight bits");
#define FDB_STATIC (1u << 8)
#define FDB_NONE   0xffffffffu // of a look-up: not known

// The word of an entry, 0 if there is none:
//	where | FDB_SECOND if it is in the address's second line | FDB_USED | what fdb_mix() gives, from FDB_TAG_BIT on
#define FDB_WHERE_BITS 9u
#define FDB_WHERE      ((1u << FDB_WHERE_BITS) - 1)
#define FDB_SECOND     (1u << 9)
#define FDB_USED       (1u << 10)
#define FDB_TAG_BIT    11u

#define FDB_KEY_BITS 60u // of a key, and of what fdb_mix() makes of it
// Slots of a line.
#define FDB_WAY_BITS 3u
#define FDB_WAYS     (1u << FDB_WAY_BITS)
// Tables have so many lines at least that a word has room for what their number does not say.
#define FDB_LINE_BITS_MIN (FDB_KEY_BITS - (64 - FDB_TAG_BIT))

_Static_assert(FDB_WAYS * sizeof(uint64_t) == 64, "a line is a cache line");

struct fdb {
	uint64_t *slots;
	// Of each slot, seconds of CLOCK_MONOTONIC; stored by the worker of the source port.
	uint32_t *seen;
	uint32_t secret[3]; // odd multipliers
	uint32_t shift;     // FDB_KEY_BITS - log2(slots)
	uint32_t n_slots;
	uint32_t gen; // written under lock, read by workers once per burst

	pthread_mutex_t lock __attribute__((aligned(64)));
	// Under lock (n also read without).
	uint32_t n, max;
	// Half the slots, or less: a fuller table is slower, and may have no slot for an address.
	uint32_t room;
	// An address found no slot, though fewer are known than may be. Read without the lock too.
	bool crowded;
	uint32_t n_static;
	uint32_t hand;            // slot in whose line the next search for a victim begins
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

// A table for up to `max` addresses, with twice as many slots as `room`: what is beyond that is taken as long as
// there is a slot. 0 or -ENOMEM.
int fdb_new(uint32_t max, uint32_t room, struct fdb **out);
void fdb_free(struct fdb *fdb);

// A permutation of FDB_KEY_BITS bits: no two keys give the same. The lower 32 bits of the key change the upper 28 and
// the other way round, in turns; with a turn less, rows of addresses that differ in one byte meet in few lines for
// some secrets. Each multiplies 32 bits by 32, so that a vector does several keys at once.
static inline uint64_t fdb_mix(const struct fdb *fdb, uint64_t key)
{
	key ^= (uint64_t)((uint32_t)key * fdb->secret[0] >> 4) << 32;
	key ^= (uint32_t)(key >> 32) * fdb->secret[1];
	key ^= key >> 16 & 0x0000ffff0000ffffull;
	key ^= (uint64_t)((uint32_t)key * fdb->secret[2] >> 4) << 32;
	return key;
}

// Back from fdb_mix(): each of its turns undoes itself.
static inline uint64_t fdb_unmix(const struct fdb *fdb, uint64_t mixed)
{
	mixed ^= (uint64_t)((uint32_t)mixed * fdb->secret[2] >> 4) << 32;
	mixed ^= mixed >> 16 & 0x0000ffff0000ffffull;
	mixed ^= (uint32_t)(mixed >> 32) * fdb->secret[1];
	mixed ^= (uint64_t)((uint32_t)mixed * fdb->secret[0] >> 4) << 32;
	return mixed;
}

// The slot of first choice.
static inline uint32_t fdb_slot(const struct fdb *fdb, uint64_t mixed)
{
	return (uint32_t)(mixed >> fdb->shift);
}

// The word of an entry in its first line, but for its `where`.
static inline uint64_t fdb_word(uint64_t mixed)
{
	return mixed << FDB_TAG_BIT | FDB_USED;
}

static inline uint64_t fdb_load(const struct fdb *fdb, uint32_t slot)
{
	return __atomic_load_n(&fdb->slots[slot], __ATOMIC_RELAXED);
}

// Where the second of an entry's last frame is kept.
static inline uint32_t *fdb_seen(const struct fdb *fdb, uint32_t slot)
{
	return &fdb->seen[slot];
}

// The part of fdb_find() that looks beyond the slot of first choice.
uint32_t fdb_find_far(const struct fdb *fdb, uint64_t mixed, uint32_t *where);

// The slot of `key` and its `where`; FDB_NONE for both if it is not known. Any thread.
static inline uint32_t fdb_find(const struct fdb *fdb, uint64_t key, uint32_t *where)
{
	const uint64_t mixed = fdb_mix(fdb, key);
	const uint32_t slot = fdb_slot(fdb, mixed);
	const uint64_t differs = fdb_load(fdb, slot) ^ fdb_word(mixed);

	if (__builtin_expect(differs & ~(uint64_t)FDB_WHERE, 0))
		return fdb_find_far(fdb, mixed, where);
	*where = (uint32_t)differs;
	return slot;
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

// Whether a larger table would be better: quicker, or with a slot for an address that found none. Any thread.
static inline bool fdb_is_small(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->n, __ATOMIC_RELAXED) > fdb->room ||
	       __atomic_load_n(&fdb->crowded, __ATOMIC_RELAXED);
}

static inline uint32_t fdb_count(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->n, __ATOMIC_RELAXED);
}
