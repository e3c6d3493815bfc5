// SPDX-License-Identifier: BSD-2-Clause
// The port in memory.
#include "tests/lib/fake_port.h"

#include "dataplane/frame/offload.h"
#include "dataplane/port/cycles.h"
#include "tests/lib/head_sum.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct fake_queue {
	struct fake_frame *in; // not yet given back
	uint32_t n_in, max_in, n_lent;
	uint32_t room, late_room;
	int kick;
	struct fake_calls calls;
	// Outside the lock: workers must exclude each other in tx and notify of one queue.
	uint32_t in_tx;
	uint64_t n_tx;
};

struct fake_port {
	struct port port;
	pthread_mutex_t lock;
	pthread_cond_t received;
	struct fake_queue q[PORT_QUEUES_MAX];
	struct fake_frame *out;
	uint32_t n_out, max_out;
	bool forgetful, ordered, spills;
	uint32_t view_len;
	uint64_t cost, slow_tx;
	struct frame_seg *views[FRAME_BURST];
	uint32_t last_seq[256];
	char steered[1 << 18];
	struct fake_port *next;
};

static struct fake_port *ports;
static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;
static int set_rc;

static struct fake_port *fake(struct port *port)
{
	return (struct fake_port *)port;
}

struct port *fake_find(const char *name)
{
	struct fake_port *p;

	pthread_mutex_lock(&ports_lock);
	for (p = ports; p && strcmp(p->port.config.name, name) != 0; p = p->next)
		;
	pthread_mutex_unlock(&ports_lock);
	return p ? &p->port : NULL;
}

// --- Operations ---

static int open_as(const struct port_ops *ops, const struct port_config *config,
	const struct port_upcalls *up, struct port **out, struct error *err)
{
	if (strcmp(config->device, "broken") == 0)
		return error_set(err, -EINVAL, "device", "device: it is broken");
	struct fake_port *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);
	assert(p);
	memset(p, 0, sizeof(*p));
	int rc = port_init(&p->port, ops, config, up);
	assert(rc == 0);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->received, NULL);
	p->port.n_rxq = p->port.n_txq = config->queues ? config->queues : 1;
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
		p->q[q].room = UINT32_MAX;
	for (unsigned q = 0; q < p->port.n_rxq; q++) {
		p->q[q].kick = eventfd(0, EFD_NONBLOCK);
		assert(p->q[q].kick >= 0);
		port_watch(&p->port, q, p->q[q].kick);
	}
	pthread_mutex_lock(&ports_lock);
	p->next = ports;
	ports = p;
	pthread_mutex_unlock(&ports_lock);
	*out = &p->port;
	fake_set_link(&p->port, PORT_LINK_UP, "it is a fake");
	return 0;
}

static int fake_open(const struct port_config *config, const struct port_upcalls *up,
	struct port **out, struct error *err)
{
	return open_as(&fake_port_ops, config, up, out, err);
}

static int steered_open(const struct port_config *config, const struct port_upcalls *up,
	struct port **out, struct error *err)
{
	return open_as(&fake_steered_ops, config, up, out, err);
}

static void fake_close(struct port *port)
{
	struct fake_port *p = fake(port), **at = &ports;

	pthread_mutex_lock(&ports_lock);
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	pthread_mutex_unlock(&ports_lock);
	const uint32_t n_rxq = port->n_rxq;
	port_fini(port);
	for (unsigned q = 0; q < n_rxq; q++) {
		struct fake_queue *fq = &p->q[q];
		for (uint32_t i = 0; i < fq->n_in; i++)
			free(fq->in[i].bytes);
		free(fq->in);
		close(fq->kick);
	}
	fake_forget(port);
	free(p->out);
	for (unsigned i = 0; i < FRAME_BURST; i++)
		free(p->views[i]);
	pthread_cond_destroy(&p->received);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int fake_set(struct port *port, const struct port_config *config, struct error *err)
{
	if (set_rc)
		return error_set(err, set_rc, "mtu", "mtu: no");
	if (strcmp(config->device, port->config.device) != 0)
		return -ENOTSUP;
	__atomic_store_n(&port->mtu, config->mtu ? config->mtu : 1500, __ATOMIC_RELAXED);
	return 0;
}

static void fake_describe(struct port *port, const struct describer *to)
{
	to->str(to->ctx, "kind", "fake");
}

static void fake_steer(struct port *port, const uint8_t *mac, uint16_t vid, bool add)
{
	struct fake_port *p = fake(port);
	const size_t used = strlen(p->steered);

	snprintf(p->steered + used, sizeof(p->steered) - used,
		"%c%02x:%02x:%02x:%02x:%02x:%02x %u\n", add ? '+' : '-', mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5], vid);
}

static void fake_steer_check(
	struct port *port, bool (*counts)(void *ctx, const uint8_t *mac, uint16_t vid), void *ctx)
{
	const char *said = fake(port)->steered;
	uint8_t mac[6];
	unsigned vid;
	char sign;

	// Of each once, twice does no harm.
	for (const char *end = said + strlen(said); said < end; said = strchr(said, '\n') + 1)
		if (sscanf(said, "%c%hhx:%hhx:%hhx:%hhx:%hhx:%hhx %u", &sign, mac, mac + 1, mac + 2,
			    mac + 3, mac + 4, mac + 5, &vid) == 8 &&
			sign == '+' && !counts(ctx, mac, (uint16_t)vid))
			fake_steer(port, mac, (uint16_t)vid, false);
}

static void lend_in_views(struct fake_port *p, uint32_t i, struct frame *f)
{
	const uint32_t n = (f->seg.len + p->view_len - 1) / p->view_len;

	p->views[i] = realloc(p->views[i], n * sizeof(**p->views));
	assert(p->views[i]);
	for (uint32_t v = 0; v < n; v++) {
		uint32_t left = f->seg.len - v * p->view_len;
		p->views[i][v].base = f->seg.base + v * p->view_len;
		p->views[i][v].len = left < p->view_len ? left : p->view_len;
	}
	frame_set_segs(f, p->views[i], n);
}

static bool sums;

void fake_set_sums(bool on)
{
	sums = on;
}

static uint32_t fake_rx(
	struct port *port, unsigned q, struct burst *b, uint32_t max, struct port_stats *st)
{
	struct fake_port *p = fake(port);
	struct fake_queue *fq = &p->q[q];

	pthread_mutex_lock(&p->lock);
	fq->calls.rx++;
	assert(max > 0 && max <= FRAME_BURST);
	assert(fq->n_lent == 0); // what was lent before was given back
	uint32_t n = fq->n_in < max ? fq->n_in : max;
	burst_begin(b);
	for (uint32_t i = 0; i < n; i++) {
		const struct fake_frame *from = &fq->in[i];
		struct frame *f = &b->f[i];
		frame_begin(f, from->len, from->len < FRAME_HEAD ? from->len : FRAME_HEAD);
		f->seg = (struct frame_seg){from->len - f->head_len, from->bytes + f->head_len};
		f->offload = from->offload;
		memcpy(frame_head(f), from->bytes, f->head_len);
		if (p->view_len && f->n_segs)
			lend_in_views(p, i, f);
		int rc = offload_check(f);
		assert(rc == 0);
		burst_add(b);
		st->rx_bytes += f->len;
	}
	if (sums)
		b->begin = head_sum_of(b);
	b->is_summed = sums;
	fq->n_lent = n;
	pthread_mutex_unlock(&p->lock);
	if (n) {
		st->rx_frames += n;
		st->rx_bursts++;
		for (uint64_t from = cycles(); p->cost && cycles() - from < p->cost;)
			;
	}
	return n;
}

static uint32_t fake_rx_backlog(struct port *port, unsigned q, uint32_t want, struct port_stats *st)
{
	struct fake_port *p = fake(port);
	uint32_t n;

	pthread_mutex_lock(&p->lock);
	n = p->q[q].n_in;
	n = p->spills ? PORT_BACKLOG_UNKNOWN : n < want ? n : want;
	pthread_mutex_unlock(&p->lock);
	return n;
}

static void fake_rx_done(struct port *port, unsigned q, struct burst *b)
{
	struct fake_port *p = fake(port);
	struct fake_queue *fq = &p->q[q];

	pthread_mutex_lock(&p->lock);
	fq->calls.rx_done++;
	assert(fq->n_lent == b->n);
	for (uint32_t i = 0; i < fq->n_lent; i++) {
		memset(fq->in[i].bytes, 0xdd, fq->in[i].len); // nobody may look any more
		free(fq->in[i].bytes);
	}
	fq->n_in -= fq->n_lent;
	memmove(fq->in, fq->in + fq->n_lent, fq->n_in * sizeof(*fq->in));
	fq->n_lent = 0;
	pthread_mutex_unlock(&p->lock);
}

// Under lock.
static void check_order(struct fake_port *p, const uint8_t *bytes)
{
	uint32_t seq, flow;

	memcpy(&seq, bytes + 14, 4);
	memcpy(&flow, bytes + 18, 4);
	assert(flow < 256);
	assert(seq > p->last_seq[flow]);
	p->last_seq[flow] = seq;
}

// Under lock.
static void take(struct fake_port *p, unsigned q, const struct frame *f)
{
	uint32_t sum = f->head_len;

	for (unsigned i = 0; i < f->n_segs; i++)
		sum += frame_segs_const(f)[i].len;
	assert(sum == f->len);
	assert(f->head_off + f->head_len <= sizeof(f->buf));
	if (p->n_out == p->max_out) {
		p->max_out = p->max_out ? 2 * p->max_out : 64;
		p->out = realloc(p->out, p->max_out * sizeof(*p->out));
		assert(p->out);
	}
	struct fake_frame *to = &p->out[p->n_out++];
	*to = (struct fake_frame){.len = f->len, .q = (uint16_t)q};
	if (f->flags & FRAME_OFFLOAD)
		to->offload = offload_header(f, port_load(&p->port.offloads));
	if (!p->forgetful || p->ordered) {
		to->bytes = malloc(f->len);
		assert(to->bytes);
		frame_copy(f, 0, to->bytes, f->len);
		if (p->ordered)
			check_order(p, to->bytes);
		if (p->forgetful) {
			free(to->bytes);
			to->bytes = NULL;
		}
	}
}

static void enter_tx(struct fake_queue *fq)
{
	assert(__atomic_exchange_n(&fq->in_tx, 1, __ATOMIC_RELAXED) == 0);
	fq->n_tx++; // a race for ThreadSanitizer to see
}

static void leave_tx(struct fake_queue *fq)
{
	__atomic_store_n(&fq->in_tx, 0, __ATOMIC_RELAXED);
}

static void fake_tx_fetch(struct port *port, unsigned q, uint32_t n, uint32_t longest)
{
	struct fake_port *p = fake(port);
	struct fake_queue *fq = &p->q[q];

	enter_tx(fq);
	pthread_mutex_lock(&p->lock);
	fq->calls.fetched += n;
	pthread_mutex_unlock(&p->lock);
	leave_tx(fq);
}

static uint32_t fake_tx_room(struct port *port, unsigned q, uint32_t want, struct port_stats *st)
{
	struct fake_port *p = fake(port);
	struct fake_queue *fq = &p->q[q];
	uint32_t room;

	enter_tx(fq);
	pthread_mutex_lock(&p->lock);
	assert(want > 0);
	room = fq->room < want ? fq->room : want;
	pthread_mutex_unlock(&p->lock);
	leave_tx(fq);
	return room;
}

static uint32_t fake_tx(struct port *port, unsigned q, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st)
{
	struct fake_port *p = fake(port);
	struct fake_queue *fq = &p->q[q];
	uint32_t done;

	enter_tx(fq);
	pthread_mutex_lock(&p->lock);
	fq->calls.tx++;
	assert(n > 0 && n <= FRAME_BURST);
	assert(q < port_load(&port->n_txq));
	for (done = 0; done < n && fq->room; done++) {
		take(p, q, &f[list[done]]);
		st->tx_frames++;
		st->tx_bytes += f[list[done]].len;
		fq->room -= fq->room != UINT32_MAX;
	}
	if (done < n) {
		fq->room = fq->late_room;
		fq->late_room = 0;
	}
	const uint64_t slow = p->slow_tx;
	p->slow_tx = 0;
	pthread_cond_broadcast(&p->received);
	pthread_mutex_unlock(&p->lock);
	for (uint64_t from = cycles(); slow && cycles() - from < slow;)
		;
	st->tx_bursts++;
	leave_tx(fq);
	return done;
}

static void fake_notify(struct port *port, unsigned q, unsigned dirs, struct port_stats *st)
{
	struct fake_port *p = fake(port);

	if (dirs & PORT_TX)
		enter_tx(&p->q[q]);
	pthread_mutex_lock(&p->lock);
	assert(dirs && !(dirs & ~(unsigned)(PORT_RX | PORT_TX)));
	p->q[q].calls.notify_rx += !!(dirs & PORT_RX);
	p->q[q].calls.notify_tx += !!(dirs & PORT_TX);
	pthread_mutex_unlock(&p->lock);
	st->notified++;
	if (dirs & PORT_TX)
		leave_tx(&p->q[q]);
}

static bool fake_arm(struct port *port, unsigned q)
{
	struct fake_port *p = fake(port);

	pthread_mutex_lock(&p->lock);
	p->q[q].calls.arm++;
	p->q[q].calls.armed = true;
	bool more = p->q[q].n_in > 0;
	pthread_mutex_unlock(&p->lock);
	return more;
}

static void fake_disarm(struct port *port, unsigned q)
{
	struct fake_port *p = fake(port);

	pthread_mutex_lock(&p->lock);
	p->q[q].calls.disarm++;
	p->q[q].calls.armed = false;
	pthread_mutex_unlock(&p->lock);
}

#define COMMON                                                                          \
	.close = fake_close, .set = fake_set, .describe = fake_describe, .rx = fake_rx, \
	.rx_backlog = fake_rx_backlog, .rx_done = fake_rx_done, .tx = fake_tx,          \
	.tx_room = fake_tx_room, .tx_fetch = fake_tx_fetch, .notify = fake_notify,      \
	.arm = fake_arm, .disarm = fake_disarm

const struct port_ops fake_port_ops = {.type = "fake", .open = fake_open, COMMON};
const struct port_ops fake_steered_ops = {.type = "fake-nic",
	.open = steered_open,
	.rx_spills = true,
	.steer = fake_steer,
	.steer_check = fake_steer_check,
	COMMON};

// --- The test's side ---

void fake_send_offload(struct port *port, unsigned q, const void *bytes, uint32_t len,
	const struct virtio_net_hdr *offload)
{
	struct fake_port *p = fake(port);
	struct fake_queue *fq = &p->q[q];

	assert(len >= FRAME_LEN_MIN);
	pthread_mutex_lock(&p->lock);
	if (fq->n_in == fq->max_in) {
		fq->max_in = fq->max_in ? 2 * fq->max_in : 64;
		fq->in = realloc(fq->in, fq->max_in * sizeof(*fq->in));
		assert(fq->in);
	}
	struct fake_frame *f = &fq->in[fq->n_in++];
	*f = (struct fake_frame){.len = len, .bytes = malloc(len)};
	assert(f->bytes);
	memcpy(f->bytes, bytes, len);
	if (offload)
		f->offload = *offload;
	bool armed = fq->calls.armed;
	pthread_mutex_unlock(&p->lock);
	if (armed)
		eventfd_write(fq->kick, 1);
}

void fake_send(struct port *port, unsigned q, const void *bytes, uint32_t len)
{
	fake_send_offload(port, q, bytes, len, NULL);
}

uint32_t fake_backlog(struct port *port)
{
	struct fake_port *p = fake(port);
	uint32_t n = 0;

	pthread_mutex_lock(&p->lock);
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
		n += p->q[q].n_in;
	pthread_mutex_unlock(&p->lock);
	return n;
}

uint32_t fake_n_received(struct port *port)
{
	struct fake_port *p = fake(port);

	pthread_mutex_lock(&p->lock);
	uint32_t n = p->n_out;
	pthread_mutex_unlock(&p->lock);
	return n;
}

struct fake_frame fake_received(struct port *port, uint32_t i)
{
	struct fake_port *p = fake(port);

	pthread_mutex_lock(&p->lock);
	assert(i < p->n_out);
	struct fake_frame f = p->out[i];
	pthread_mutex_unlock(&p->lock);
	return f;
}

void fake_forget(struct port *port)
{
	struct fake_port *p = fake(port);

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < p->n_out; i++)
		free(p->out[i].bytes);
	p->n_out = 0;
	pthread_mutex_unlock(&p->lock);
}

bool fake_wait(struct port *port, uint32_t n)
{
	struct fake_port *p = fake(port);
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&p->lock);
	while (p->n_out < n && rc == 0)
		rc = pthread_cond_timedwait(&p->received, &p->lock, &until);
	bool ok = p->n_out >= n;
	pthread_mutex_unlock(&p->lock);
	return ok;
}

void fake_set_room(struct port *port, unsigned q, uint32_t n)
{
	pthread_mutex_lock(&fake(port)->lock);
	fake(port)->q[q].room = n;
	pthread_mutex_unlock(&fake(port)->lock);
}

void fake_set_spills(struct port *port, bool spills)
{
	pthread_mutex_lock(&fake(port)->lock);
	fake(port)->spills = spills;
	pthread_mutex_unlock(&fake(port)->lock);
}

void fake_set_late_room(struct port *port, unsigned q, uint32_t n)
{
	pthread_mutex_lock(&fake(port)->lock);
	fake(port)->q[q].late_room = n;
	pthread_mutex_unlock(&fake(port)->lock);
}

void fake_set_link(struct port *port, enum port_link link, const char *why)
{
	__atomic_store_n(&port->link, link, __ATOMIC_RELAXED);
	if (port->up.link)
		port->up.link(port->up.ctx, port, link, why);
}

void fake_set_queues(struct port *port, uint32_t n_txq)
{
	__atomic_store_n(&port->n_txq, n_txq, __ATOMIC_RELAXED);
}

void fake_set_offloads(struct port *port, uint32_t offloads)
{
	__atomic_store_n(&port->offloads, offloads, __ATOMIC_RELAXED);
}

void fake_set_view_len(struct port *port, uint32_t len)
{
	pthread_mutex_lock(&fake(port)->lock);
	fake(port)->view_len = len;
	pthread_mutex_unlock(&fake(port)->lock);
}

void fake_set_forgetful(struct port *port, bool forgetful)
{
	pthread_mutex_lock(&fake(port)->lock);
	fake(port)->forgetful = forgetful;
	pthread_mutex_unlock(&fake(port)->lock);
}

void fake_set_slow_tx(struct port *port, uint64_t ticks)
{
	struct fake_port *p = fake(port);

	pthread_mutex_lock(&p->lock);
	p->slow_tx = ticks;
	pthread_mutex_unlock(&p->lock);
}

void fake_set_cost(struct port *port, uint64_t ticks)
{
	pthread_mutex_lock(&fake(port)->lock);
	fake(port)->cost = ticks;
	pthread_mutex_unlock(&fake(port)->lock);
}

void fake_check_order(struct port *port)
{
	pthread_mutex_lock(&fake(port)->lock);
	fake(port)->ordered = true;
	pthread_mutex_unlock(&fake(port)->lock);
}

struct fake_calls fake_calls(struct port *port, unsigned q)
{
	pthread_mutex_lock(&fake(port)->lock);
	struct fake_calls c = fake(port)->q[q].calls;
	pthread_mutex_unlock(&fake(port)->lock);
	return c;
}

const char *fake_steered(struct port *port)
{
	return fake(port)->steered;
}

void fake_set_fails(int rc)
{
	set_rc = rc;
}
