// SPDX-License-Identifier: BSD-2-Clause
// Drives one port's operations, and compares what comes out at its far end.
#include "tests/lib/port_rig.h"

#include "tests/lib/netns.h"

#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

// --- what the port tells ---

static void on_link(void *ctx, struct port *port, enum port_link link, const char *why)
{
	struct port_rig *r = ctx;
	pthread_mutex_lock(&r->lock);
	r->link = link;
	r->n_link++;
	snprintf(r->why, sizeof(r->why), "%s", why);
	pthread_mutex_unlock(&r->lock);
}

static void on_log(void *ctx, struct port *port, int level, const char *text)
{
	struct port_rig *r = ctx;
	pthread_mutex_lock(&r->lock);
	size_t used = strlen(r->log);
	snprintf(r->log + used, sizeof(r->log) - used, "%s\n", text);
	pthread_mutex_unlock(&r->lock);
}

void rig_init(struct port_rig *r)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	r->far = -1;
}

void rig_fini(struct port_rig *r)
{
	rig_close(r);
	if (r->far >= 0)
		close(r->far);
}

struct port_rig *rig_new(void)
{
	struct port_rig *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);
	rig_init(r);
	return r;
}

struct port_rig *rig_new_veth(const char *options)
{
	struct port_rig *r = rig_new();
	netns_veth("wx0", 0xa0, "wx1", 0xb0, options);
	r->far = netns_packet("wx1");
	return r;
}

int rig_teardown(void **state)
{
	struct port_rig *r = *state;
	rig_fini(r);
	netns_try("ip link del wx0 2>/dev/null");
	free(r);
	return 0;
}

int rig_open(struct port_rig *r, const struct port_config *config, struct error *err)
{
	const struct port_upcalls up = {.ctx = r, .link = on_link, .log = on_log};
	return port_new(config, &up, &r->port, err);
}

void rig_close(struct port_rig *r)
{
	port_free(r->port);
	r->port = NULL;
	r->link = PORT_LINK_DOWN;
}

void rig_open_ok(struct port_rig *r, const struct port_config *config)
{
	struct error err = {0};
	int rc = rig_open(r, config, &err);
	if (rc)
		print_error("%s\n", err.text);
	assert_int_equal(rc, 0);
	rig_wait_link(r, PORT_LINK_UP);
}

struct awaited {
	struct port_rig *r;
	enum port_link link;
	const char *text;
};

static bool link_is(void *ctx)
{
	struct awaited *a = ctx;
	pthread_mutex_lock(&a->r->lock);
	bool is = a->r->link == a->link;
	pthread_mutex_unlock(&a->r->lock);
	return is;
}

static bool log_has(void *ctx)
{
	struct awaited *a = ctx;
	pthread_mutex_lock(&a->r->lock);
	bool has = strstr(a->r->log, a->text) != NULL;
	pthread_mutex_unlock(&a->r->lock);
	return has;
}

void rig_wait_link(struct port_rig *r, enum port_link link)
{
	assert_true(netns_wait(link_is, &(struct awaited){.r = r, .link = link}));
}

void rig_wait_log(struct port_rig *r, const char *text)
{
	if (!netns_wait(log_has, &(struct awaited){.r = r, .text = text}))
		fail_msg("not logged: %s; but: %s", text, r->log);
}

void rig_clear_log(struct port_rig *r)
{
	pthread_mutex_lock(&r->lock);
	r->log[0] = 0;
	pthread_mutex_unlock(&r->lock);
}

bool rig_why_has(struct port_rig *r, const char *text)
{
	pthread_mutex_lock(&r->lock);
	bool has = strstr(r->why, text) != NULL;
	pthread_mutex_unlock(&r->lock);
	return has;
}

// --- frames ---

void rig_fill(uint8_t *frame, uint32_t len, uint32_t number)
{
	static const uint8_t header[14] = {2, 0, 0, 0, 0, 0xa0, 2, 0, 0, 0, 0, 0xb0, 0x88, 0xb5};
	memcpy(frame, header, 14);
	for (uint32_t i = 14; i < len; i++)
		frame[i] = (uint8_t)(number + i * 7 + i / 256);
	memcpy(frame + 14, &number, len < 18 ? len - 14 : 4);
}

void rig_make(struct frame *f, struct frame_seg segs[2], uint8_t *bytes, uint32_t len)
{
	memset(f, 0, sizeof(*f));
	f->len = len;
	f->head_len = (uint16_t)(len < FRAME_HEAD ? len : FRAME_HEAD);
	f->head_off = FRAME_HEAD_OFF;
	memcpy(frame_head(f), bytes, f->head_len);
	uint32_t left = len - f->head_len, first = left / 3;
	segs[0] = (struct frame_seg){first, bytes + f->head_len};
	segs[1] = (struct frame_seg){left - first, bytes + f->head_len + first};
	frame_set_segs(f, segs, left ? 2 : 0);
}

// After its carrier came back a device drops what it is given, in silence, until the kernel's link watch has opened its queue.
static bool far_runs(void *ctx)
{
	struct port_rig *r = ctx;
	struct sockaddr_ll addr;
	socklen_t len = sizeof(addr);
	struct ifreq request = {0};
	if (getsockname(r->far, (struct sockaddr *)&addr, &len) ||
		!if_indextoname((unsigned)addr.sll_ifindex, request.ifr_name))
		return true; // it has gone, and sending will say so
	return ioctl(r->far, SIOCGIFFLAGS, &request) || (request.ifr_flags & IFF_RUNNING);
}

void rig_far_send(struct port_rig *r, uint32_t len, uint32_t number)
{
	static uint8_t frame[RIG_FRAME_MAX];
	rig_fill(frame, len, number);
	assert_true(netns_wait(far_runs, r));
	// A packet socket reports once that its device was down.
	if (send(r->far, frame, len, 0) != (ssize_t)len)
		assert_int_equal(send(r->far, frame, len, 0), len);
}

static bool rx_some(void *ctx)
{
	struct port_rig *r = ctx;
	for (r->q = 0; r->q < r->port->n_rxq; r->q++)
		if (r->port->ops->rx(r->port, r->q, &r->burst, FRAME_BURST, &r->st))
			return true;
	return false;
}

bool rig_rx(struct port_rig *r)
{
	return netns_wait(rx_some, r);
}

void rig_rx_done(struct port_rig *r)
{
	r->port->ops->rx_done(r->port, r->q, &r->burst);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->port->ops->notify(r->port, r->q, PORT_RX, &r->st);
}

void rig_expect_rx(struct port_rig *r, uint32_t len, uint32_t number)
{
	static uint8_t want[RIG_FRAME_MAX], got[RIG_FRAME_MAX];
	assert_true(rig_rx(r));
	const struct frame *f = &r->burst.f[0];
	assert_int_equal(r->burst.n, 1);
	assert_int_equal(f->len, len);
	rig_fill(want, len, number);
	frame_copy(f, 0, got, len);
	assert_memory_equal(got, want, len);
	rig_rx_done(r);
}

uint32_t rig_tx(struct port_rig *r, unsigned q, uint32_t len, uint32_t number)
{
	static uint8_t bytes[RIG_FRAME_MAX];
	static const uint8_t list[] = {0};
	struct frame_seg segs[2];
	struct frame f;
	rig_fill(bytes, len, number);
	rig_make(&f, segs, bytes, len);
	uint32_t n = r->port->ops->tx(r->port, q, &f, list, 1, &r->st);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->port->ops->notify(r->port, q, PORT_TX, &r->st);
	return n;
}

struct far_frame {
	struct port_rig *r;
	uint8_t *bytes;
	ssize_t len;
};

static bool far_receives(void *ctx)
{
	struct far_frame *f = ctx;
	f->len = recv(f->r->far, f->bytes, RIG_FRAME_MAX, 0);
	return f->len > 0;
}

void rig_expect_far(struct port_rig *r, uint32_t len, uint32_t number)
{
	static uint8_t want[RIG_FRAME_MAX], got[RIG_FRAME_MAX];
	struct far_frame f = {.r = r, .bytes = got};
	assert_true(netns_wait(far_receives, &f));
	assert_int_equal(f.len, len);
	rig_fill(want, len, number);
	assert_memory_equal(got, want, len);
}

void rig_exchange(struct port_rig *r, uint32_t len)
{
	static uint32_t number;
	rig_far_send(r, len, ++number);
	rig_expect_rx(r, len, number);
	assert_int_equal(rig_tx(r, 0, len, ++number), 1);
	rig_expect_far(r, len, number);
}

// --- description ---

struct telling {
	char text[65536];
	size_t used;
	struct {
		char prefix[64];
		int next; // number of the next entry of a list, -1 in an object
	} level[8];
	unsigned depth;
};

static const char *key_of(struct telling *t, const char *key, char *number)
{
	if (key)
		return key;
	snprintf(number, 16, "%d", t->level[t->depth].next++);
	return number;
}

static void say(struct telling *t, const char *key, const char *value)
{
	char number[16], prefix[64];
	key = key_of(t, key, number);
	memcpy(prefix, t->level[t->depth].prefix, sizeof(prefix));
	t->used += (size_t)snprintf(
		t->text + t->used, sizeof(t->text) - t->used, "%s%s=%s\n", prefix, key, value);
	assert_true(t->used < sizeof(t->text));
}

static void say_str(void *ctx, const char *key, const char *value)
{
	say(ctx, key, value);
}

static void say_num(void *ctx, const char *key, uint64_t value)
{
	char text[32];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	say(ctx, key, text);
}

static void say_flag(void *ctx, const char *key, bool value)
{
	say(ctx, key, value ? "true" : "false");
}

static void deeper(struct telling *t, const char *key, int next)
{
	char number[16], prefix[64];
	key = key_of(t, key, number);
	assert_true(t->depth < 7);
	memcpy(prefix, t->level[t->depth].prefix, sizeof(prefix));
	snprintf(t->level[t->depth + 1].prefix, sizeof(prefix), "%.40s%.20s.", prefix, key);
	t->level[++t->depth].next = next;
}

static void say_open(void *ctx, const char *key)
{
	deeper(ctx, key, -1);
}

static void say_open_list(void *ctx, const char *key)
{
	deeper(ctx, key, 0);
}

static void say_close(void *ctx)
{
	struct telling *t = ctx;
	assert_true(t->depth > 0);
	t->depth--;
}

const char *rig_describe(struct port_rig *r)
{
	static struct telling t;
	const struct describer to = {.ctx = &t,
		.str = say_str,
		.num = say_num,
		.flag = say_flag,
		.open = say_open,
		.open_list = say_open_list,
		.close = say_close};
	memset(&t, 0, sizeof(t));
	r->port->ops->describe(r->port, &to);
	assert_int_equal(t.depth, 0);
	return t.text;
}

const char *rig_says(struct port_rig *r, const char *key)
{
	static char value[1024];
	char start[128];
	snprintf(start, sizeof(start), "\n%s=", key);
	const char *text = rig_describe(r), *at = strstr(text, start);
	if (!strncmp(text, start + 1, strlen(start) - 1))
		at = text - 1;
	if (!at)
		return "";
	at += strlen(start);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\n"), at);
	return value;
}

uint64_t rig_number(struct port_rig *r, const char *key)
{
	const char *value = rig_says(r, key);
	if (!*value)
		fail_msg("the port says nothing of %s", key);
	return strtoull(value, NULL, 10);
}
