// SPDX-License-Identifier: BSD-2-Clause
// Another size of the table of addresses, while frames flow: another limit, or more room as more are known.
//
// Control fills a new table from the old one and publishes it with a plan: workers look up and learn
// in the one or in the other, never in none. What they learnt in the old one meanwhile is taken over
// after the grace period.
#include "dataplane/switch/sw.h"

#include "dataplane/port/cycles.h"

#include <errno.h>
#include <stdlib.h>

// The room of a table that has become too small, times this.
#define GROWTH 4u

struct known {
	uint64_t key;
	uint32_t where, seen;
};

struct all {
	struct known *list;
	uint32_t n, max;
};

static int collect(void *ctx, uint64_t key, uint32_t where, uint32_t seen)
{
	struct all *all = ctx;

	if (all->n < all->max)
		all->list[all->n++] = (struct known){key, where, seen};
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const int32_t d =
		(int32_t)(((const struct known *)a)->seen - ((const struct known *)b)->seen);

	return d < 0 ? -1 : d > 0;
}

// Static addresses first; then, oldest first, what was learnt: the table itself decides who has to
// go when it is full.
static int fill(struct fdb *to, struct all *all)
{
	struct fdb_change change;

	for (uint32_t i = 0; i < all->n; i++) {
		const struct known *k = &all->list[i];
		if (k->where & FDB_STATIC &&
			fdb_set(to, k->key, (uint16_t)FDB_PORT(k->where), k->seen) < 0)
			return -ENOSPC;
	}
	if (all->n > to->max)
		qsort(all->list, all->n, sizeof(*all->list), by_age);
	for (uint32_t i = 0; i < all->n; i++) {
		const struct known *k = &all->list[i];
		if (!(k->where & FDB_STATIC))
			fdb_learn(to, k->key, (uint16_t)FDB_PORT(k->where), k->seen, &change);
	}
	return 0;
}

static int copy(const struct fdb *from, struct fdb *to)
{
	struct all all = {.max = fdb_count(from) + FDB_WAYS};
	int rc = -ENOMEM;

	all.list = malloc(all.max * sizeof(*all.list));
	if (all.list) {
		fdb_foreach(from, collect, &all);
		rc = fill(to, &all);
	}
	free(all.list);
	return rc;
}

// What is in the old table alone: learnt since it was copied, or without room in the new one.
static int settle(void *ctx, uint64_t key, uint32_t where, uint32_t seen)
{
	struct sw *sw = ctx;
	struct fdb *fdb = sw->common.fdb;
	struct fdb_change change;
	uint32_t now;

	if (fdb_find(fdb, key, &now) != FDB_NONE)
		return 0;
	if (fdb_count(fdb) < fdb->max)
		fdb_learn(fdb, key, (uint16_t)FDB_PORT(where), seen, &change);
	if (fdb_find(fdb, key, &now) == FDB_NONE)
		sw_say_forgotten(sw, key, FDB_PORT(where));
	return 0;
}

// Replaces the table by one for up to `max` addresses, with room for n at least. 0, -ENOMEM, or -ENOSPC if those known do
// not go in; nothing has changed then.
static int replace(struct sw *sw, uint32_t max, uint32_t n)
{
	struct fdb *old = sw->common.fdb, *fdb;
	uint32_t room = sw_fdb_room(max);

	while (room < n)
		room *= GROWTH;
	int rc = fdb_new(max, room, &fdb);
	if (rc < 0)
		return rc;
	rc = copy(old, fdb);
	if (rc == 0) {
		sw->common.fdb = fdb;
		rc = sw_publish(sw);
	}
	if (rc < 0) {
		sw->common.fdb = old;
		fdb_free(fdb);
		return rc;
	}
	fdb_foreach(old, settle, sw);
	fdb_free(old);
	return 0;
}

void sw_grow_fdb(struct sw *sw)
{
	const struct fdb *fdb = sw->common.fdb;

	// A flood must not make it grow for ever.
	if (fdb_count(fdb) < fdb->max && fdb->room / GROWTH < fdb->max)
		replace(sw, fdb->max, fdb->room + 1);
}

int switch_set_fdb_max(struct sw *sw, uint32_t max, struct error *err)
{
	const struct fdb *old = sw->common.fdb;

	max = max ? max : FDB_MAX_DEFAULT;
	if (max == old->max)
		return 0;
	if (max > FDB_MAX_LIMIT)
		return error_set(err, -EINVAL, "fdb.max", "fdb.max: at most %u addresses, not %u",
			FDB_MAX_LIMIT, max);
	if (max < old->n_static)
		return error_set(err, -EINVAL, "fdb.max",
			"fdb.max: there are %u static addresses, which always stay; delete some of "
			"them first",
			old->n_static);
	const uint32_t n = fdb_count(old);
	int rc = replace(sw, max, n < max ? n : max);
	if (rc < 0)
		return error_set(
			err, rc, "fdb.max", "no memory or no room for the addresses known");
	sw->config.fdb_max = max;
	return 0;
}
