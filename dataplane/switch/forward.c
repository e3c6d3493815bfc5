// SPDX-License-Identifier: BSD-2-Clause
// From a burst to one list for each destination: VLAN, policy, learning, look-up.
#include "dataplane/switch/forward.h"

#include "dataplane/frame/eth.h"
#include "dataplane/switch/tape.h"
#include "dataplane/switch/deliver.h"
#include "dataplane/switch/policy.h"

#include <string.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ADDR_MASK  0xffffffffffffull
#define ADDR_GROUP 1ull // the bit of a group address in a key

void forward_init(struct forward *fw, uint32_t worker, bool shared, struct fdb *fdb,
	struct event_ring *events)
{
	memset(fw, 0, sizeof(*fw));
	fw->worker = worker;
	fw->shared = shared;
	fw->fdb = fdb;
	fw->events = events;
	fw->loops = key_burst_choose();
}

// Bursts without news after which sources are sampled, in one of SAMPLE bursts above a size.
#define QUIET_BURSTS 16u
#define SAMPLE       64u
#define SAMPLE_ABOVE 16u

// --- Stage 1: addresses ---

static struct key_classes read_all(struct forward *fw, const struct burst *b)
{
	const struct lane *lane = fw->rxq->lane;

	fw->has_keys = true;
	return fw->loops->read(&fw->key, b, b->n, fw->vid, lane->src, lane->dst);
}

// An address of all frames of a burst, `off` bytes behind their beginning: not 0 if it differs from what the lane
// knows, in any of them.
static inline uint64_t address_differs(
	const struct forward *fw, const struct head_sum *sum, size_t off, uint64_t lane)
{
	const uint64_t any = eth_addr_in8(sum->any + off);

	return (any ^ eth_addr_in8(sum->least + off)) | (fdb_key(any, fw->vid) ^ lane);
}

// What is known of a burst without a look at each frame, if its port knows how they begin. Whether there is a tag, or a
// source of zeros, that is not certain from that alone is looked at frame by frame.
static inline struct key_classes read_sum(struct forward *fw, const struct burst *b)
{
	const struct lane *lane = fw->rxq->lane;
	const struct head_sum *sum = &b->begin;

	if (unlikely(!b->is_summed ||
		     (eth_be16(sum->any + 2 * ETH_ADDR_LEN) & ETH_TYPE_VLAN) == ETH_TYPE_VLAN))
		return read_all(fw, b);
	return (struct key_classes){
		.dst_differs = address_differs(fw, sum, 0, lane->dst),
		.src_differs = address_differs(fw, sum, ETH_ADDR_LEN, lane->src),
		.odd = eth_is_multicast(sum->any) || eth_is_multicast(sum->any + ETH_ADDR_LEN) ||
		       !eth_addr_in8(sum->least + ETH_ADDR_LEN),
	};
}

// Makes the keys of all frames, for who asks for those of single ones.
static inline void need_keys(struct forward *fw)
{
	if (!fw->has_keys)
		read_all(fw, fw->burst);
}

// The source of a frame as a key. Heads are as received until they are delivered.
static inline uint64_t src_key(const struct forward *fw, uint8_t at)
{
	const uint8_t *head = fw->burst->f[at].buf + FRAME_HEAD_OFF;

	return fw->has_keys ? fw->key.src[at] : fdb_key(eth_addr_in8(head + ETH_ADDR_LEN), fw->vid);
}

// Forgets what the lane knows if plan or FDB changed since.
static inline void lane_renew(struct forward *fw, struct lane *lane)
{
	uint64_t epoch = fw->plan->seq << 32 | fdb_gen(fw->fdb);

	if (unlikely(lane->epoch != epoch))
		*lane = (struct lane){.epoch = epoch,
			.to = lane->to,
			.elsewhere = lane->elsewhere,
			.patience = lane->patience};
}

// --- Stage 2: what the port may send ---

static void list_all(struct frame_list *list, uint32_t n)
{
	list->n = n;
	for (unsigned i = 0; i < FRAME_BURST; i++)
		list->f[i] = (uint8_t)i;
}

// Finds each frame's VLAN by its tag, and makes its keys anew.
static void list_vlans(struct forward *fw, struct frame_list *list)
{
	const struct plan_port *in = &fw->plan->port[fw->rxq->id];
	uint32_t n = 0;

	need_keys(fw);
	fw->plain = false;
	for (uint32_t i = 0; i < list->n; i++) {
		const uint8_t at = list->f[i];
		struct frame *f = &fw->burst->f[at];
		uint16_t vid = vlan_ingress(in->vlan, f);
		if (!vid || !port_set_has(&fw->plan->member[vid], fw->rxq->id))
			continue;
		fw->key.dst[at] = fdb_key(fw->key.dst[at] & ADDR_MASK, vid);
		fw->key.src[at] = fdb_key(fw->key.src[at] & ADDR_MASK, vid);
		list->f[n++] = at;
	}
	fw->rxq->stats->drop[DROP_vlan] += list->n - n;
	list->n = n;
}

// A source must be a station's address (802.1Q, 8.7: anything else is not learnt, and no honest
// driver sends it): group and zero addresses make the frame malformed. Frames to link-local group
// addresses end at the bridge.
static void list_addresses(struct forward *fw, struct frame_list *list)
{
	uint64_t *drop = fw->rxq->stats->drop;
	uint32_t n = 0;

	need_keys(fw);
	for (uint32_t i = 0; i < list->n; i++) {
		const uint8_t at = list->f[i];
		if (fw->key.src[at] & ADDR_GROUP || !(fw->key.src[at] & ADDR_MASK))
			drop[DROP_malformed]++;
		else if (eth_is_reserved(eth_dst(&fw->burst->f[at])))
			drop[DROP_reserved]++;
		else
			list->f[n++] = at;
	}
	list->n = n;
}

// --- Stage 3: sources ---

static void say(struct forward *fw, uint64_t key, enum switch_event_kind kind, uint16_t port,
	uint16_t old_port)
{
	event_ring_push(fw->events,
		&(struct fdb_event){.key = key, .kind = kind, .port = port, .old_port = old_port});
}

// Makes the table say that `key` is on this port. False if it has to be tried again. Looking for an
// entry that may go takes long, whether one is found or not: once in a burst is enough.
static bool learn(struct forward *fw, uint64_t key, uint32_t *budget)
{
	const uint16_t id = fw->rxq->id;
	struct fdb_change change;
	enum fdb_result r = fdb_learn(fw->fdb, key, id, fw->now, &change);

	--*budget;
	if (change.evicted || r == FDB_FULL)
		*budget = 0;
	if (change.evicted)
		say(fw, change.evicted, EVENT_FDB_AGED, change.evicted_port, 0);
	if (r == FDB_LEARNT)
		say(fw, key, EVENT_FDB_LEARNT, id, 0);
	else if (r == FDB_MOVED)
		say(fw, key, EVENT_FDB_MOVED, id, change.old_port);
	return r != FDB_BUSY && r != FDB_FULL;
}

// Learns a source that is not where it was, or not at all. False if it has to be tried again.
static bool source_changed(struct forward *fw, uint64_t key, uint32_t where, uint32_t *budget)
{
	if (where != FDB_NONE && where & FDB_STATIC)
		return true;
	return *budget && learn(fw, key, budget);
}

// Whether the sources of a burst are looked at. Always, while addresses come or move; after a while
// without news in one of SAMPLE passes, that the cycle counter picks, as long as the burst is large:
// look-ups of a whole burst wait for each other's lines, a few would wait for their own. A station that
// has moved is noticed within some bursts, or at once in a small one (as an announcement is); one that goes
// on sending is renewed often enough.
static bool are_sources_due(const struct forward *fw, const struct frame_list *list)
{
	// The low bits of the counter may not be random on each machine.
	return fw->rxq->lane->quiet < QUIET_BURSTS || list->n <= SAMPLE_ABOVE ||
	       (fw->cycles ^ fw->cycles >> 7) % SAMPLE == 0;
}

// Whether all are the one that the lane knows, for keys that were made anew.
static bool sources_known(const struct forward *fw, const struct frame_list *list)
{
	const struct lane *lane = fw->rxq->lane;
	uint64_t differs = 0;

	for (uint32_t i = 0; i < list->n; i++)
		differs |= fw->key.src[list->f[i]] ^ lane->src;
	return !differs && lane->src_seen == fw->now;
}

// Looks at sources one by one: learns, and renews. Returns the last frame that was looked at, or -1 if
// its source has to be tried again; whether there was news in *news.
static int learn_sources(struct forward *fw, const struct frame_list *list, bool *news)
{
	const uint32_t id = fw->rxq->id, now = fw->now;
	uint32_t budget = LEARN_MAX, at = 0;
	bool known = false;

	need_keys(fw);
	for (uint32_t i = 0; i < list->n; i++) {
		at = list->f[i];
		uint32_t where;
		const uint32_t slot = fdb_find(fw->fdb, fw->key.src[at], &where);
		known = true;
		if (slot == FDB_NONE || FDB_PORT(where) != id) {
			*news = true;
			known = source_changed(fw, fw->key.src[at], where, &budget);
		} else if (__atomic_load_n(fdb_seen(fw->fdb, slot), __ATOMIC_RELAXED) != now) {
			__atomic_store_n(fdb_seen(fw->fdb, slot), now, __ATOMIC_RELAXED);
		}
	}
	return known ? (int)at : -1;
}

static void sources(struct forward *fw, const struct frame_list *list)
{
	struct lane *lane = fw->rxq->lane;
	bool news = false;
	int last;

	// Most often all frames are at hand, and nothing is new.
	if (likely(fw->plain && list->n == fw->burst->n &&
		    fw->loops->is_known(
			    fw->fdb, fw->burst, list->n, fw->vid, fw->rxq->id, fw->now)))
		last = (int)list->n - 1;
	else
		last = learn_sources(fw, list, &news);
	lane->quiet = news ? 0 : lane->quiet + (lane->quiet < QUIET_BURSTS);
	// Most probably the next burst begins with the last source that was looked at.
	if (last >= 0) {
		lane->src = src_key(fw, (uint8_t)last);
		lane->src_seen = fw->now;
	}
}

// --- Stage 4: destinations ---

// Where frames from this port may go in one VLAN.
struct reach {
	uint16_t vid;
	struct port_set ports;
};

static void reach_make(const struct forward *fw, uint16_t vid, struct reach *reach)
{
	const unsigned id = fw->rxq->id;

	reach->vid = vid;
	reach->ports = fw->plan->member[vid];
	port_set_del(&reach->ports, id);
	if (fw->plan->port[id].isolated)
		for (unsigned i = 0; i < PORT_MAX / 64; i++)
			reach->ports.word[i] &= ~fw->plan->isolated.word[i];
}

static enum drop_reason why_not(const struct forward *fw, uint32_t id, uint16_t vid)
{
	if (id == fw->rxq->id)
		return DROP_hairpin;
	if (!fw->plan->port[id].port)
		return DROP_port_down; // it is being removed; its addresses go next
	if (!port_set_has(&fw->plan->member[vid], id))
		return DROP_vlan;
	return DROP_isolated;
}

// Appends to a destination's list. `n_touched` is the caller's copy of fw->n_touched: through
// memory, each frame would wait for the one before.
static inline void list_append(struct forward *fw, uint32_t *n_touched, uint32_t id, uint8_t at)
{
	struct frame_list *list = &fw->list[id];
	const uint32_t n = list->n;

	fw->touched[*n_touched] = (uint16_t)id;
	*n_touched += n == 0;
	list->f[n] = at;
	list->n = n + 1;
}

static uint32_t flood(struct forward *fw, uint32_t n_touched, const struct port_set *to, uint8_t at)
{
	struct policy *policy = fw->plan->port[fw->rxq->id].policy;

	if (unlikely(policy != NULL) && !policy_flood(policy, fw->cycles, &fw->burst->f[at])) {
		fw->rxq->stats->drop[DROP_storm]++;
		return n_touched;
	}
	fw->burst->f[at].flags |= FRAME_FLOOD;
	for (unsigned w = 0; w < PORT_MAX / 64; w++)
		for (uint64_t set = to->word[w]; set; set &= set - 1)
			list_append(fw, &n_touched, w * 64 + (unsigned)__builtin_ctzll(set), at);
	return n_touched;
}

// Puts one frame on the list of its destination, or on those of all it may reach.
static uint32_t place(struct forward *fw, const struct reach *reach, uint32_t n_touched, uint8_t at)
{
	const uint64_t key = fw->key.dst[at];
	uint32_t where;

	// Group addresses are never in the table.
	if (unlikely(fdb_find(fw->fdb, key, &where) == FDB_NONE))
		return flood(fw, n_touched, &reach->ports, at);
	if (unlikely(!port_set_has(&reach->ports, FDB_PORT(where)))) {
		fw->rxq->stats->drop[why_not(fw, FDB_PORT(where), reach->vid)]++;
		return n_touched;
	}
	list_append(fw, &n_touched, FDB_PORT(where), at);
	return n_touched;
}

// Drops the lists of ports that frames of the burst may not reach, all in VLAN `vid`.
static void lists_within_reach(struct forward *fw)
{
	struct reach reach;
	uint32_t n = 0;

	reach_make(fw, fw->vid, &reach);
	for (uint32_t i = 0; i < fw->n_touched; i++) {
		const uint16_t id = fw->touched[i];
		if (unlikely(!port_set_has(&reach.ports, id))) {
			fw->rxq->stats->drop[why_not(fw, id, reach.vid)] += fw->list[id].n;
			fw->list[id].n = 0;
			continue;
		}
		fw->touched[n++] = id;
	}
	fw->n_touched = (uint16_t)n;
}

static void destinations(struct forward *fw, const struct frame_list *list)
{
	uint8_t ports[FRAME_BURST];
	struct reach reach = {.vid = 0};
	uint32_t n_touched = 0;

	// All frames, all of one VLAN, all to addresses that are known.
	if (likely(fw->plain && list->n == fw->burst->n &&
		    fw->loops->find(fw->fdb, fw->burst, list->n, fw->vid, ports))) {
		fw->n_touched = (uint16_t)fw->loops->sort(ports, list->n, fw->list, fw->touched);
		lists_within_reach(fw);
		return;
	}
	need_keys(fw);
	for (uint32_t i = 0; i < list->n; i++) {
		const uint16_t vid = fdb_key_vid(fw->key.dst[list->f[i]]);
		if (unlikely(reach.vid != vid))
			reach_make(fw, vid, &reach);
		n_touched = place(fw, &reach, n_touched, list->f[i]);
	}
	fw->n_touched = (uint16_t)n_touched;
}

// The next burst may well begin where this one ended: its last frame's destination, if it is one
// that the frame reached alone.
static void remember_destination(struct forward *fw, const struct frame_list *list)
{
	struct lane *lane = fw->rxq->lane;

	if (fw->n_touched != 1 || !list->n)
		return;
	const uint8_t last = list->f[list->n - 1];
	const struct frame_list *to = &fw->list[fw->touched[0]];
	if (to->f[to->n - 1] != last || fw->burst->f[last].flags & FRAME_FLOOD)
		return;
	// Only ports with access to one VLAN ever ask for it.
	lane->dst = fdb_key(eth_addr_in8(fw->burst->f[last].buf + FRAME_HEAD_OFF), fw->vid);
	lane->dst_port = fw->touched[0];
}

static void deliver_touched(struct forward *fw)
{
	for (unsigned i = 0; i < fw->n_touched; i++) {
		struct frame_list *list = &fw->list[fw->touched[i]];
		// Else each short list would begin with waiting for its first lines.
		if (i + 1u < fw->n_touched)
			deliver_soon(fw, fw->touched[i + 1], fw->list[fw->touched[i + 1]].n);
		const uint8_t last = list->f[list->n - 1];
		const uint32_t n = list->n;
		deliver(fw, fw->touched[i], list);
		list->n = 0;
		if (i + 1u == fw->n_touched)
			deliver_remember(fw, fw->touched[i], last, n);
	}
	fw->n_touched = 0;
}

// A burst that does not go to one place as a whole.
static void forward_apart(struct forward *fw, struct key_classes c, bool src_known)
{
	const struct plan_port *in = &fw->plan->port[fw->rxq->id];
	struct frame_list list;

	list_all(&list, fw->burst->n);
	if (unlikely(in->tape != NULL))
		tape_frames(in->tape, fw->worker, CAPTURE_RX, fw->burst->f, list.f, list.n);
	if (c.tagged || in->vlan.is_trunk) {
		list_vlans(fw, &list);
		src_known = sources_known(fw, &list);
	}
	if (unlikely(c.odd))
		list_addresses(fw, &list);
	if (unlikely(in->policy != NULL))
		policy_filter(in->policy, fw->cycles, fw->burst->f, &list, fw->rxq->stats);
	if (!src_known && are_sources_due(fw, &list))
		sources(fw, &list);
	destinations(fw, &list);
	remember_destination(fw, &list);
	deliver_touched(fw);
}

uint32_t forward_queue(struct forward *fw, const struct plan_rxq *rq, struct burst *b)
{
	const uint32_t max = deliver_room(fw, rq);

	b->is_summed = false;
	if (!max || !rq->ops->rx(rq->port, rq->q, b, max, rq->stats))
		return 0;
	forward(fw, rq, b);
	rq->ops->rx_done(rq->port, rq->q, b);
	forward_touch_rx(fw, rq);
	return b->n;
}

void forward(struct forward *fw, const struct plan_rxq *rq, struct burst *b)
{
	const struct plan_port *in = &fw->plan->port[rq->id];
	struct lane *lane = rq->lane;

	fw->burst = b;
	fw->rxq = rq;
	fw->plain = true;
	fw->each = 1;
	fw->is_short = fw->is_spread = fw->has_keys = false;
	fw->vid = in->vlan.untagged;
	lane_renew(fw, lane);
	const struct key_classes c = read_sum(fw, b);
	const bool src_known = !c.src_differs && lane->src_seen == fw->now;
	if (likely(in->plain && src_known && !c.dst_differs && !c.tagged)) {
		struct frame_list all;
		list_all(&all, b->n);
		deliver(fw, lane->dst_port, &all);
		// Most often all of the last burst went there too, in a queue that nobody had to choose.
		if (unlikely(fw->is_spread || lane->to.q || lane->to.part != FRAME_BURST ||
			     lane->to.each != 1))
			deliver_remember(fw, lane->dst_port, (uint8_t)(b->n - 1), b->n);
	} else {
		forward_apart(fw, c, src_known);
	}
	if (unlikely(fw->n_retries))
		deliver_retry(fw);
}
