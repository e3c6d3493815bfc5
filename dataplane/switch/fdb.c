// SPDX-License-Identifier: BSD-2-Clause
// The forwarding database but for its quickest look-up: learning, moving, evicting, forgetting.
#include "dataplane/switch/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

// Candidates, and lines, that one search for a victim looks at; slots swept under one hold of the lock.
#define VICTIM_CANDIDATES 128u
#define VICTIM_LINES      128u
#define SWEEP_CHUNK       1024u
#define HUGE_PAGE         (2u << 20)

// Memory for a table, all 0; a wish for huge pages: fewer TLB misses.
static void *table_new(size_t size)
{
	void *p = NULL;

	if (posix_memalign(&p, size >= HUGE_PAGE ? HUGE_PAGE : 4096, size))
		return NULL;
	madvise(p, size, MADV_HUGEPAGE);
	return memset(p, 0, size);
}

static void make_secret(struct fdb *fdb)
{
	if (getrandom(fdb->secret, sizeof(fdb->secret), GRND_NONBLOCK) != sizeof(fdb->secret)) {
		fdb->secret[0] = 0x9e3779b9u ^ (uint32_t)(uintptr_t)fdb;
		fdb->secret[1] = 0x85ebca6bu ^ (uint32_t)(uintptr_t)fdb->slots;
		fdb->secret[2] = 0xc2b2ae35u ^ (uint32_t)(uintptr_t)fdb->seen;
	}
	for (unsigned i = 0; i < 3; i++)
		fdb->secret[i] |= 1;
}

int fdb_new(uint32_t max, uint32_t room, struct fdb **out)
{
	struct fdb *fdb = aligned_alloc(64, sizeof(*fdb));
	uint32_t bits = FDB_LINE_BITS_MIN + FDB_WAY_BITS;

	if (!fdb)
		return -ENOMEM;
	memset(fdb, 0, sizeof(*fdb));
	// Twice as many slots: full pairs of lines stay rare.
	while (bits < FDB_KEY_BITS - 32 && 1ull << bits < 2ull * room)
		bits++;
	fdb->n_slots = 1u << bits;
	fdb->shift = FDB_KEY_BITS - bits;
	fdb->max = max;
	fdb->room = room;
	fdb->slots = table_new(fdb->n_slots * sizeof(*fdb->slots));
	fdb->seen = table_new(fdb->n_slots * sizeof(*fdb->seen));
	pthread_mutex_init(&fdb->lock, NULL);
	if (!fdb->slots || !fdb->seen) {
		fdb_free(fdb);
		return -ENOMEM;
	}
	make_secret(fdb);
	*out = fdb;
	return 0;
}

void fdb_free(struct fdb *fdb)
{
	if (!fdb)
		return;
	pthread_mutex_destroy(&fdb->lock);
	free(fdb->slots);
	free(fdb->seen);
	free(fdb);
}

// --- Looking up ---

// A slot of the line that is the second one of what is in the line of `slot`, and the other way round.
static uint32_t second_slot(const struct fdb *fdb, uint32_t slot, uint64_t mixed)
{
	const uint32_t line_bits = FDB_KEY_BITS - FDB_WAY_BITS - fdb->shift;
	const uint32_t by = (uint32_t)mixed * fdb->secret[1] >> (32 - line_bits) | 1;

	return slot ^ by << FDB_WAY_BITS;
}

// The i-th slot of the line of `slot`, beginning with that.
static uint32_t way_of(uint32_t slot, uint32_t i)
{
	return slot ^ i;
}

uint32_t fdb_find_far(const struct fdb *fdb, uint64_t mixed, uint32_t *where)
{
	uint64_t word = fdb_word(mixed);
	uint32_t slot = fdb_slot(fdb, mixed);

	for (unsigned line = 0; line < 2; line++) {
		for (unsigned i = 0; i < FDB_WAYS; i++) {
			const uint64_t differs = fdb_load(fdb, way_of(slot, i)) ^ word;
			if (differs & ~(uint64_t)FDB_WHERE)
				continue;
			*where = (uint32_t)differs;
			return way_of(slot, i);
		}
		slot = second_slot(fdb, slot, mixed);
		word |= FDB_SECOND;
	}
	*where = FDB_NONE;
	return FDB_NONE;
}

// --- Changes, all under the lock: its holder is the only writer of slots ---

static void gen_bump(struct fdb *fdb)
{
	__atomic_store_n(&fdb->gen, fdb->gen + 1, __ATOMIC_RELEASE);
}

static void count(struct fdb *fdb, uint32_t where, int by)
{
	__atomic_store_n(&fdb->n, fdb->n + by, __ATOMIC_RELAXED);
	if (where & FDB_STATIC) {
		fdb->n_static += by;
		return;
	}
	uint32_t *owned = &fdb->owned[FDB_PORT(where)];
	if (by > 0)
		fdb->n_owners += *owned == 0;
	*owned += by;
	if (by < 0)
		fdb->n_owners -= *owned == 0;
}

static uint32_t where_of(const struct fdb *fdb, uint32_t slot)
{
	return fdb_load(fdb, slot) & FDB_WHERE;
}

// The key of a word in this slot.
static uint64_t key_of(const struct fdb *fdb, uint32_t slot, uint64_t word)
{
	const uint64_t tag = word >> FDB_TAG_BIT;
	const uint32_t first = word & FDB_SECOND ? second_slot(fdb, slot, tag) : slot;
	const uint32_t line_shift = fdb->shift + FDB_WAY_BITS;
	const uint64_t line = (uint64_t)(first >> FDB_WAY_BITS) << line_shift;

	return fdb_unmix(fdb, line | (tag & ((1ull << line_shift) - 1)));
}

static void entry_clear(struct fdb *fdb, uint32_t slot)
{
	count(fdb, where_of(fdb, slot), -1);
	__atomic_store_n(&fdb->slots[slot], 0, __ATOMIC_RELAXED);
}

static void entry_fill(struct fdb *fdb, uint32_t slot, uint64_t key, uint32_t where, uint32_t now)
{
	const uint64_t mixed = fdb_mix(fdb, key);
	const bool second = (slot ^ fdb_slot(fdb, mixed)) >= FDB_WAYS;

	count(fdb, where, 1);
	__atomic_store_n(fdb_seen(fdb, slot), now, __ATOMIC_RELAXED);
	__atomic_store_n(&fdb->slots[slot], fdb_word(mixed) | (second ? FDB_SECOND : 0) | where,
		__ATOMIC_RELEASE);
}

// Moves an entry that keeps its key.
static void entry_move(struct fdb *fdb, uint32_t slot, uint32_t where)
{
	const uint64_t word = fdb_load(fdb, slot);

	count(fdb, (uint32_t)(word & FDB_WHERE), -1);
	count(fdb, where, 1);
	__atomic_store_n(
		&fdb->slots[slot], (word & ~(uint64_t)FDB_WHERE) | where, __ATOMIC_RELEASE);
	gen_bump(fdb);
}

// An empty slot for `key`: its first choice, or another of its first line, or of its second; FDB_NONE if
// both are full.
static uint32_t slot_find(const struct fdb *fdb, uint64_t key)
{
	const uint64_t mixed = fdb_mix(fdb, key);
	uint32_t slot = fdb_slot(fdb, mixed);

	for (unsigned line = 0; line < 2; line++) {
		for (unsigned i = 0; i < FDB_WAYS; i++)
			if (!fdb_load(fdb, way_of(slot, i)))
				return way_of(slot, i);
		slot = second_slot(fdb, slot, mixed);
	}
	return FDB_NONE;
}

// Who may be evicted for an entry of `port`: its own if it has its share already, else those of
// ports that have more than theirs.
struct victim {
	uint32_t slot; // FDB_NONE: none yet
	uint32_t now, age;
	uint32_t n_candidates;
	uint32_t share;
	uint32_t port;
	bool own;
};

static struct victim victim_for(const struct fdb *fdb, uint16_t port, uint32_t now)
{
	uint32_t owners = fdb->n_owners + (fdb->owned[port] == 0);
	uint32_t share = (fdb->max - fdb->n_static) / owners;

	return (struct victim){.slot = FDB_NONE,
		.now = now,
		.share = share,
		.port = port,
		.own = fdb->owned[port] >= share};
}

// Considers all entries of the line of `any`.
static void victim_consider(const struct fdb *fdb, struct victim *v, uint32_t any)
{
	for (unsigned i = 0; i < FDB_WAYS; i++) {
		const uint32_t slot = way_of(any, i);
		if (!fdb_load(fdb, slot) || where_of(fdb, slot) & FDB_STATIC)
			continue;
		v->n_candidates++;
		uint32_t port = FDB_PORT(where_of(fdb, slot));
		if (v->own ? port != v->port : fdb->owned[port] <= v->share)
			continue;
		uint32_t age = v->now - __atomic_load_n(fdb_seen(fdb, slot), __ATOMIC_RELAXED);
		// A stamp from a worker whose clock is a tick ahead is age 0, not 2^32 - 1.
		age = (int32_t)age < 0 ? 0 : age;
		if (v->slot == FDB_NONE || age > v->age) {
			v->slot = slot;
			v->age = age;
		}
	}
}

static void victim_evict(struct fdb *fdb, const struct victim *v, struct fdb_change *change)
{
	const uint64_t word = fdb_load(fdb, v->slot);

	change->evicted = key_of(fdb, v->slot, word);
	change->evicted_port = (uint16_t)FDB_PORT(word);
	entry_clear(fdb, v->slot);
	gen_bump(fdb);
}

// Makes room for an entry of `port`: in all, and in one of the key's lines.
static uint32_t slot_make(
	struct fdb *fdb, uint64_t key, uint16_t port, uint32_t now, struct fdb_change *change)
{
	const uint32_t slot = slot_find(fdb, key);

	if (slot != FDB_NONE && fdb->n < fdb->max)
		return slot;
	if (fdb->n < fdb->max)
		__atomic_store_n(&fdb->crowded, true, __ATOMIC_RELAXED);
	const uint64_t mixed = fdb_mix(fdb, key);
	const uint32_t first = fdb_slot(fdb, mixed);
	struct victim v = victim_for(fdb, port, now);
	// With both lines full, only one of theirs helps.
	victim_consider(fdb, &v, first);
	victim_consider(fdb, &v, second_slot(fdb, first, mixed));
	if (slot != FDB_NONE) {
		for (unsigned i = 0; i < VICTIM_LINES && v.n_candidates < VICTIM_CANDIDATES; i++) {
			victim_consider(fdb, &v, fdb->hand);
			fdb->hand = (fdb->hand + FDB_WAYS) & (fdb->n_slots - 1);
		}
	}
	if (v.slot == FDB_NONE)
		return FDB_NONE;
	victim_evict(fdb, &v, change);
	return slot != FDB_NONE ? slot : v.slot;
}

static enum fdb_result learn_locked(
	struct fdb *fdb, uint64_t key, uint16_t port, uint32_t now, struct fdb_change *change)
{
	uint32_t where;
	uint32_t slot = fdb_find(fdb, key, &where);

	if (slot != FDB_NONE) {
		if (FDB_PORT(where) == port) {
			__atomic_store_n(fdb_seen(fdb, slot), now, __ATOMIC_RELAXED);
			return FDB_SAME;
		}
		if (where & FDB_STATIC)
			return FDB_KEPT;
		change->old_port = (uint16_t)FDB_PORT(where);
		__atomic_store_n(fdb_seen(fdb, slot), now, __ATOMIC_RELAXED);
		entry_move(fdb, slot, port);
		return FDB_MOVED;
	}
	slot = slot_make(fdb, key, port, now, change);
	if (slot == FDB_NONE)
		return FDB_FULL;
	entry_fill(fdb, slot, key, port, now);
	return FDB_LEARNT;
}

enum fdb_result fdb_learn(
	struct fdb *fdb, uint64_t key, uint16_t port, uint32_t now, struct fdb_change *change)
{
	*change = (struct fdb_change){0};
	if (pthread_mutex_trylock(&fdb->lock) != 0)
		return FDB_BUSY;
	enum fdb_result r = learn_locked(fdb, key, port, now, change);
	pthread_mutex_unlock(&fdb->lock);
	return r;
}

int fdb_set(struct fdb *fdb, uint64_t key, uint16_t port, uint32_t now)
{
	uint32_t where, is = port | FDB_STATIC;
	struct fdb_change change;
	int rc = 0;

	pthread_mutex_lock(&fdb->lock);
	uint32_t slot = fdb_find(fdb, key, &where);
	if (slot != FDB_NONE) {
		entry_move(fdb, slot, is);
	} else {
		slot = slot_make(fdb, key, port, now, &change);
		if (slot != FDB_NONE)
			entry_fill(fdb, slot, key, is, now);
		else
			rc = -ENOSPC;
	}
	pthread_mutex_unlock(&fdb->lock);
	return rc;
}

int fdb_del(struct fdb *fdb, uint64_t key)
{
	uint32_t where;

	pthread_mutex_lock(&fdb->lock);
	uint32_t slot = fdb_find(fdb, key, &where);
	if (slot != FDB_NONE) {
		entry_clear(fdb, slot);
		gen_bump(fdb);
	}
	pthread_mutex_unlock(&fdb->lock);
	return slot != FDB_NONE ? 0 : -ENOENT;
}

uint32_t fdb_sweep(struct fdb *fdb, fdb_select *want, void *ctx)
{
	uint32_t n = 0;

	// In pieces, so that workers are not kept from learning for long.
	for (uint32_t at = 0; at < fdb->n_slots; at += SWEEP_CHUNK) {
		uint32_t here = 0;
		pthread_mutex_lock(&fdb->lock);
		for (uint32_t slot = at; slot < at + SWEEP_CHUNK; slot++) {
			const uint64_t word = fdb_load(fdb, slot);
			if (!word ||
				!want(ctx, key_of(fdb, slot, word), word & FDB_WHERE,
					__atomic_load_n(fdb_seen(fdb, slot), __ATOMIC_RELAXED)))
				continue;
			entry_clear(fdb, slot);
			here++;
		}
		if (here)
			gen_bump(fdb);
		pthread_mutex_unlock(&fdb->lock);
		n += here;
	}
	return n;
}

int fdb_foreach(const struct fdb *fdb,
	int (*each)(void *ctx, uint64_t key, uint32_t where, uint32_t seen), void *ctx)
{
	for (uint32_t slot = 0; slot < fdb->n_slots; slot++) {
		const uint64_t word = __atomic_load_n(&fdb->slots[slot], __ATOMIC_ACQUIRE);
		const uint32_t seen = __atomic_load_n(fdb_seen(fdb, slot), __ATOMIC_RELAXED);
		int rc = word ? each(ctx, key_of(fdb, slot, word), word & FDB_WHERE, seen) : 0;
		if (rc)
			return rc;
	}
	return 0;
}
