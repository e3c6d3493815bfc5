// SPDX-License-Identifier: BSD-2-Clause
// Steers addresses to weft, or remembers them while that is not possible.
#include "dataplane/port/af_xdp_steer.h"

#include <errno.h>
#include <search.h>
#include <string.h>
#include <syslog.h>

_Static_assert(sizeof(struct weft_steer_key) == sizeof(uintptr_t), "a key is its own node");

// --- those that wait for room ---

// The tree holds pointers and never looks behind them: a key fits in one.
static void *as_pointer(const struct weft_steer_key *key)
{
	void *p;
	memcpy(&p, key, sizeof(p));
	return p;
}

static int compare(const void *a, const void *b)
{
	return (a > b) - (a < b);
}

static void nothing(void *key)
{
}

static bool leave(struct af_xdp_steer *s, const struct weft_steer_key *key)
{
	// The node above, or the tree itself for the last one: anything but NULL.
	if (!s->n_waiting || !tdelete(as_pointer(key), &s->waiting, compare))
		return false;
	s->n_waiting--;
	return true;
}

// False if it was there already, or if there is no memory to remember it.
static bool enter(struct af_xdp_steer *s, const struct weft_steer_key *key)
{
	void *p = as_pointer(key);
	if (tfind(p, &s->waiting, compare) || !tsearch(p, &s->waiting, compare))
		return false;
	s->n_waiting++;
	return true;
}

static void leave_all(struct af_xdp_steer *s)
{
	tdestroy(s->waiting, nothing);
	s->waiting = NULL;
	s->n_waiting = 0;
}

// --- the device's own address ---

static void set_own(struct af_xdp_steer *s, const struct weft_steer_key *key, bool add)
{
	const uint64_t bit = 1ull << key->vid % 64;
	if (add)
		s->own_vids[key->vid / 64] |= bit;
	else
		s->own_vids[key->vid / 64] &= ~bit;
	if (!add || s->told_own)
		return;
	// A guest that sends from it would have what is for the host.
	news_log(s->news, LOG_WARNING,
		"%s: another port sends from its own address, "
		"%02x:%02x:%02x:%02x:%02x:%02x: frames for it go to the host all the same; "
		"two stations have one address, or a guest takes the host's",
		s->device, key->mac[0], key->mac[1], key->mac[2], key->mac[3], key->mac[4],
		key->mac[5]);
	s->told_own = true;
}

// --- all of them ---

static void steer(struct af_xdp_steer *s, const struct weft_steer_key *key)
{
	int rc = af_xdp_program_steer(s->program, key);
	if (!rc) {
		leave(s, key);
		return;
	}
	if (!enter(s, key))
		return;
	s->missed = true;
	// Once: somebody may send from ever new addresses.
	if (!s->told_room)
		news_log(s->news, LOG_WARNING,
			"%s: cannot steer one more address (%s), frames for it go to the host "
			"until "
			"others are forgotten: at most %u are steered, see weftctl fdb show",
			s->device, rc == -E2BIG ? "no room" : strerror(-rc), WEFT_XDP_STEERED);
	s->told_room = true;
}

static bool unsteer(struct af_xdp_steer *s, const struct weft_steer_key *key)
{
	return af_xdp_program_unsteer(s->program, key) || leave(s, key);
}

void af_xdp_steer_set(struct af_xdp_steer *s, const struct weft_steer_key *key, bool add)
{
	if (!memcmp(key->mac, s->own, sizeof(s->own)))
		set_own(s, key, add);
	else if (add)
		steer(s, key);
	else
		unsteer(s, key);
}

struct review {
	struct af_xdp_steer *s;
	bool (*counts)(void *ctx, const uint8_t *mac, uint16_t vid);
	void *ctx;
};

static void review_key(void *ctx, const struct weft_steer_key *key)
{
	const struct review *r = ctx;
	if (!r->counts(r->ctx, key->mac, key->vid))
		af_xdp_steer_set(r->s, key, false);
}

void af_xdp_steer_review(struct af_xdp_steer *s,
	bool (*counts)(void *ctx, const uint8_t *mac, uint16_t vid), void *ctx)
{
	struct review r = {s, counts, ctx};
	struct weft_steer_key own = {0};
	leave_all(s);
	af_xdp_program_foreach(s->program, review_key, &r);
	memcpy(own.mac, s->own, sizeof(own.mac));
	for (; own.vid < 4096; own.vid++)
		if (s->own_vids[own.vid / 64] >> (own.vid % 64) & 1)
			review_key(&r, &own);
}

void af_xdp_steer_own(struct af_xdp_steer *s, const uint8_t mac[6])
{
	uint64_t had[64];
	struct weft_steer_key before = {0}, now = {0};
	if (!memcmp(s->own, mac, sizeof(s->own)))
		return;
	memcpy(before.mac, s->own, sizeof(before.mac));
	memcpy(now.mac, mac, sizeof(now.mac));
	memcpy(s->own, mac, sizeof(s->own));
	memcpy(had, s->own_vids, sizeof(had));
	memset(s->own_vids, 0, sizeof(s->own_vids));
	s->told_own = false;
	for (unsigned vid = 0; vid < 4096; vid++) {
		before.vid = now.vid = (uint16_t)vid;
		if (had[vid / 64] >> (vid % 64) & 1)
			steer(s, &before);
		if (unsteer(s, &now))
			set_own(s, &now, true);
	}
}

void af_xdp_steer_tick(struct af_xdp_steer *s)
{
	struct weft_steer_key key;
	if (!s->missed)
		s->told_room = false;
	s->missed = false;
	// A node begins with what it holds; any will do.
	while (s->n_waiting) {
		memcpy(&key, s->waiting, sizeof(key));
		if (af_xdp_program_steer(s->program, &key))
			break;
		leave(s, &key);
	}
}

void af_xdp_steer_init(struct af_xdp_steer *s, const struct af_xdp_program *program,
	const char *device, struct news *news)
{
	s->program = program;
	s->device = device;
	s->news = news;
}

void af_xdp_steer_fini(struct af_xdp_steer *s)
{
	leave_all(s);
}
