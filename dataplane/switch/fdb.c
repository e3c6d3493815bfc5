// SPDX-License-Identifier: BSD-2-Clause
// Changes to the forwarding database: learning, moving, evicting, forgetting.
#include "dataplane/switch/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

// Buckets that one search for a victim looks at, and buckets swept under one hold of the lock.
#define VICTIM_WINDOW 32u
#define SWEEP_CHUNK   256u
#define HUGE_PAGE     (2u << 20)

int fdb_new(uint32_t max, struct fdb **out)
{
	struct fdb *fdb = aligned_alloc(64, sizeof(*fdb));
	uint32_t bits = 4;

	if (!fdb)
		return -ENOMEM;
	memset(fdb, 0, sizeof(*fdb));
	// Twice as many slots as addresses: full pairs of buckets stay rare.
	while (bits < 28 && ((uint64_t)FDB_WAYS << bits) < 2ull * max)
		bits++;
	fdb->n_buckets = 1u << bits;
	fdb->shift = 64 - bits;
	fdb->max = max;
	size_t size = sizeof(struct fdb_bucket) << bits;
	if (posix_memalign((void **)&fdb->buckets, size >= HUGE_PAGE ? HUGE_PAGE : 4096, size)) {
		free(fdb);
		return -ENOMEM;
	}
	madvise(fdb->buckets, size, MADV_HUGEPAGE); // a wish: fewer TLB misses
	memset(fdb->buckets, 0, size);
	if (getrandom(fdb->secret, sizeof(fdb->secret), GRND_NONBLOCK) != sizeof(fdb->secret)) {
		fdb->secret[0] = 0x9e3779b97f4a7c15ull ^ (uintptr_t)fdb;
		fdb->secret[1] = 0xc2b2ae3d27d4eb4full ^ (uintptr_t)fdb->buckets;
	}
	fdb->secret[0] |= 1;
	fdb->secret[1] |= 1;
	pthread_mutex_init(&fdb->lock, NULL);
	*out = fdb;
	return 0;
}

void fdb_free(struct fdb *fdb)
{
	if (!fdb)
		return;
	pthread_mutex_destroy(&fdb->lock);
	free(fdb->buckets);
	free(fdb);
}

// What follows is done under the lock. The lock's holder is the only writer of key and where.

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

static uint64_t key_of(struct fdb_entry e)
{
	return e.b->key[e.way];
}

static uint32_t where_of(struct fdb_entry e)
{
	return e.b->where[e.way];
}

static void entry_clear(struct fdb *fdb, struct fdb_entry e)
{
	count(fdb, where_of(e), -1);
	__atomic_store_n(&e.b->key[e.way], 0, __ATOMIC_RELAXED);
	// Pairs with the acquiring loads of fdb_probe: a reader that sees what is written to
	// `where` from here on does not find the old key any more.
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void entry_fill(
	struct fdb *fdb, struct fdb_entry e, uint64_t key, uint32_t where, uint32_t now)
{
	count(fdb, where, 1);
	__atomic_store_n(&e.b->where[e.way], where, __ATOMIC_RELEASE);
	__atomic_store_n(fdb_seen(e), now, __ATOMIC_RELAXED);
	__atomic_store_n(&e.b->key[e.way], key, __ATOMIC_RELEASE);
}

// Moves an entry that keeps its key.
static void entry_move(struct fdb *fdb, struct fdb_entry e, uint32_t where)
{
	count(fdb, where_of(e), -1);
	count(fdb, where, 1);
	__atomic_store_n(&e.b->where[e.way], where, __ATOMIC_RELEASE);
	gen_bump(fdb);
}

// An empty slot for `key`, or none if both its buckets are full.
static struct fdb_entry slot_find(const struct fdb *fdb, uint64_t key)
{
	struct fdb_entry empty[2] = {{.b = NULL}, {.b = NULL}};
	unsigned used[2] = {0, 0};
	const uint64_t hash = fdb_hash(fdb, key);

	for (unsigned c = 0; c < 2; c++) {
		struct fdb_bucket *b = c ? fdb_bucket_alt(fdb, hash) : fdb_bucket(fdb, hash);
		for (unsigned i = 0; i < FDB_WAYS; i++) {
			if (b->key[i])
				used[c]++;
			else
				empty[c] = (struct fdb_entry){.b = b, .way = i};
		}
	}
	if (empty[0].b && (used[0] <= FDB_WAYS / 2 || used[0] <= used[1]))
		return empty[0];
	return empty[1];
}

// Who may be evicted for an entry of `port`: its own if it has its share already, else those of
// ports that have more than theirs.
struct victim {
	struct fdb_entry entry;
	uint32_t now, age;
	uint32_t share;
	uint32_t port;
	bool own;
};

static struct victim victim_for(const struct fdb *fdb, uint16_t port, uint32_t now)
{
	uint32_t owners = fdb->n_owners + (fdb->owned[port] == 0);
	uint32_t share = (fdb->max - fdb->n_static) / owners;

	return (struct victim){
		.now = now, .share = share, .port = port, .own = fdb->owned[port] >= share};
}

static void victim_consider(const struct fdb *fdb, struct victim *v, struct fdb_bucket *b)
{
	for (unsigned i = 0; i < FDB_WAYS; i++) {
		if (!b->key[i] || b->where[i] & FDB_STATIC)
			continue;
		uint32_t port = FDB_PORT(b->where[i]);
		if (v->own ? port != v->port : fdb->owned[port] <= v->share)
			continue;
		uint32_t age = v->now - __atomic_load_n(&b->seen[i], __ATOMIC_RELAXED);
		// A stamp from a worker whose clock is a tick ahead is age 0, not 2^32 - 1.
		age = (int32_t)age < 0 ? 0 : age;
		if (!v->entry.b || age > v->age) {
			v->entry = (struct fdb_entry){.b = b, .way = i};
			v->age = age;
		}
	}
}

static void victim_evict(struct fdb *fdb, struct victim *v, struct fdb_change *change)
{
	change->evicted = key_of(v->entry);
	change->evicted_port = (uint16_t)FDB_PORT(where_of(v->entry));
	entry_clear(fdb, v->entry);
	gen_bump(fdb);
}

// Makes room for an entry of `port`: in all, and in one of the key's buckets.
static struct fdb_entry slot_make(
	struct fdb *fdb, uint64_t key, uint16_t port, uint32_t now, struct fdb_change *change)
{
	struct fdb_entry slot = slot_find(fdb, key);

	if (slot.b && fdb->n < fdb->max)
		return slot;
	const uint64_t hash = fdb_hash(fdb, key);
	struct victim v = victim_for(fdb, port, now);
	// With both buckets full, only one of theirs helps.
	victim_consider(fdb, &v, fdb_bucket(fdb, hash));
	victim_consider(fdb, &v, fdb_bucket_alt(fdb, hash));
	if (slot.b) {
		for (unsigned i = 0; i < VICTIM_WINDOW; i++) {
			victim_consider(fdb, &v, &fdb->buckets[fdb->hand]);
			fdb->hand = (fdb->hand + 1) & (fdb->n_buckets - 1);
		}
	}
	if (!v.entry.b)
		return v.entry;
	victim_evict(fdb, &v, change);
	return slot.b ? slot : v.entry;
}

static enum fdb_result learn_locked(
	struct fdb *fdb, uint64_t key, uint16_t port, uint32_t now, struct fdb_change *change)
{
	uint32_t where;
	struct fdb_entry e = fdb_find(fdb, key, &where);

	if (e.b) {
		if (FDB_PORT(where) == port) {
			__atomic_store_n(fdb_seen(e), now, __ATOMIC_RELAXED);
			return FDB_SAME;
		}
		if (where & FDB_STATIC)
			return FDB_KEPT;
		change->old_port = (uint16_t)FDB_PORT(where);
		__atomic_store_n(fdb_seen(e), now, __ATOMIC_RELAXED);
		entry_move(fdb, e, port);
		return FDB_MOVED;
	}
	e = slot_make(fdb, key, port, now, change);
	if (!e.b)
		return FDB_FULL;
	entry_fill(fdb, e, key, port, now);
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
	struct fdb_entry e = fdb_find(fdb, key, &where);
	if (e.b) {
		entry_move(fdb, e, is);
	} else {
		e = slot_make(fdb, key, port, now, &change);
		if (e.b)
			entry_fill(fdb, e, key, is, now);
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
	struct fdb_entry e = fdb_find(fdb, key, &where);
	if (e.b) {
		entry_clear(fdb, e);
		gen_bump(fdb);
	}
	pthread_mutex_unlock(&fdb->lock);
	return e.b ? 0 : -ENOENT;
}

static uint32_t sweep_bucket(struct fdb *fdb, struct fdb_bucket *b, fdb_select *want, void *ctx)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < FDB_WAYS; i++) {
		if (!b->key[i])
			continue;
		uint32_t seen = __atomic_load_n(&b->seen[i], __ATOMIC_RELAXED);
		if (!want(ctx, b->key[i], b->where[i], seen))
			continue;
		entry_clear(fdb, (struct fdb_entry){.b = b, .way = i});
		n++;
	}
	return n;
}

uint32_t fdb_sweep(struct fdb *fdb, fdb_select *want, void *ctx)
{
	uint32_t n = 0;

	// In pieces, so that workers are not kept from learning for long.
	for (uint32_t at = 0; at < fdb->n_buckets; at += SWEEP_CHUNK) {
		uint32_t end =
			at + SWEEP_CHUNK < fdb->n_buckets ? at + SWEEP_CHUNK : fdb->n_buckets;
		uint32_t here = 0;
		pthread_mutex_lock(&fdb->lock);
		for (uint32_t i = at; i < end; i++)
			here += sweep_bucket(fdb, &fdb->buckets[i], want, ctx);
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
	for (uint32_t i = 0; i < fdb->n_buckets; i++) {
		for (unsigned w = 0; w < FDB_WAYS; w++) {
			const struct fdb_bucket *b = &fdb->buckets[i];
			uint64_t key = __atomic_load_n(&b->key[w], __ATOMIC_ACQUIRE);
			if (!key)
				continue;
			uint32_t where = __atomic_load_n(&b->where[w], __ATOMIC_ACQUIRE);
			uint32_t seen = __atomic_load_n(&b->seen[w], __ATOMIC_RELAXED);
			if (__atomic_load_n(&b->key[w], __ATOMIC_RELAXED) != key)
				continue;
			int rc = each(ctx, key, where, seen);
			if (rc)
				return rc;
		}
	}
	return 0;
}
