// SPDX-License-Identifier: BSD-2-Clause
// The AF_XDP port on a veth: frames both ways, modes, errors in words, and a device that changes.
#include "dataplane/port/af_xdp.h"
#include "tests/lib/netns.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

// The port on wx0, a packet socket on its peer wx1, and what the port told.
struct rig {
	struct port *port;
	int far;
	unsigned seed; // makes each test's frames its own
	struct port_stats st;
	struct burst burst;
	uint32_t link; // last told, atomic: the port's watch writes
	char why[256];
	char log[512];
};

static void on_link(void *ctx, struct port *port, enum port_link link, const char *why)
{
	struct rig *r = ctx;
	snprintf(r->why, sizeof(r->why), "%s", why);
	__atomic_store_n(&r->link, link, __ATOMIC_RELEASE);
}

static void on_log(void *ctx, struct port *port, int level, const char *text)
{
	struct rig *r = ctx;
	snprintf(r->log, sizeof(r->log), "%s", text);
}

static struct port_config wx0(void)
{
	return (struct port_config){.name = "up", .type = "af-xdp", .device = "wx0"};
}

static int rig_open(struct rig *r, const struct port_config *config, struct error *err)
{
	const struct port_upcalls up = {.ctx = r, .link = on_link, .log = on_log};
	return af_xdp_ops.open(config, &up, &r->port, err);
}

static bool link_is_up(void *ctx)
{
	struct rig *r = ctx;
	return __atomic_load_n(&r->link, __ATOMIC_ACQUIRE) == PORT_LINK_UP;
}

__attribute__((unused)) static bool link_is_down(void *ctx)
{
	return !link_is_up(ctx);
}

static int setup(void **state)
{
	struct rig *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);
	memset(r, 0, sizeof(*r));
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "numtxqueues 4 numrxqueues 4");
	r->far = netns_packet("wx1");
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	if (r->port)
		r->port->ops->close(r->port);
	close(r->far);
	netns_try("ip link del wx0 2>/dev/null");
	free(r);
	return 0;
}

static void open_ok(struct rig *r, const struct port_config *config)
{
	struct error err = {0};
	int rc = rig_open(r, config, &err);
	if (rc)
		print_error("%s\n", err.text);
	assert_int_equal(rc, 0);
	assert_true(netns_wait(link_is_up, r));
}

// A frame that says which it is.
static void fill(uint8_t *frame, uint32_t len, uint32_t number)
{
	static const uint8_t header[14] = {2, 0, 0, 0, 0, 0xa0, 2, 0, 0, 0, 0, 0xb0, 0x88, 0xb5};
	memcpy(frame, header, 14);
	for (uint32_t i = 14; i < len; i++)
		frame[i] = (uint8_t)(number + i * 7);
	memcpy(frame + 14, &number, len < 18 ? len - 14 : 4);
}

static void far_send(struct rig *r, uint32_t len, uint32_t number)
{
	uint8_t frame[16384];
	fill(frame, len, number);
	assert_int_equal(send(r->far, frame, len, 0), len);
}

// A frame with a short head and one or two segments, as a guest's would be.
static void make_frame(
	struct frame *f, struct frame_seg *segs, uint8_t *bytes, uint32_t len, uint32_t number)
{
	fill(bytes, len, number);
	memset(f, 0, sizeof(*f));
	f->len = len;
	f->head_len = len < FRAME_HEAD ? len : FRAME_HEAD;
	f->head_off = FRAME_HEAD_OFF;
	memcpy(f->buf + f->head_off, bytes, f->head_len);
	uint32_t left = len - f->head_len, first = left / 2;
	segs[0] = (struct frame_seg){bytes + f->head_len, first};
	segs[1] = (struct frame_seg){bytes + f->head_len + first, left - first};
	f->segs = segs;
	f->n_segs = left ? 2 : 0;
}

static uint32_t send_one(struct rig *r, unsigned q, uint32_t len, uint32_t number)
{
	static uint8_t bytes[16384];
	struct frame_seg segs[2];
	struct frame f;
	const uint8_t list[] = {0};
	make_frame(&f, segs, bytes, len, number);
	uint32_t n = r->port->ops->tx(r->port, q, &f, list, 1, &r->st);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->port->ops->notify(r->port, q, PORT_TX, &r->st);
	return n;
}

struct poll_rx {
	struct rig *r;
	unsigned q;
};

static bool rx_some(void *ctx)
{
	struct poll_rx *p = ctx;
	for (p->q = 0; p->q < p->r->port->n_rxq; p->q++)
		if (p->r->port->ops->rx(p->r->port, p->q, &p->r->burst, &p->r->st))
			return true;
	return false;
}

// Receives `n` frames of `len` bytes numbered from `number` on, all queues being polled.
static void expect_rx(struct rig *r, uint32_t len, uint32_t number, uint32_t n)
{
	struct poll_rx p = {.r = r};
	uint8_t want[16384], got[16384];
	for (uint32_t done = 0; done < n;) {
		assert_true(netns_wait(rx_some, &p));
		for (uint32_t i = 0; i < r->burst.n; i++, done++) {
			const struct frame *f = &r->burst.f[i];
			fill(want, len, number + done);
			assert_int_equal(f->len, len);
			frame_copy(f, 0, got, len);
			assert_memory_equal(got, want, len);
		}
		r->port->ops->rx_done(r->port, p.q, &r->burst);
		r->port->ops->notify(r->port, p.q, PORT_RX, &r->st);
	}
}

static uint8_t received[16384];

static bool far_receives(void *ctx)
{
	struct rig *r = ctx;
	return recv(r->far, received, sizeof(received), 0) > 0;
}

static void expect_far(struct rig *r, uint32_t len, uint32_t number)
{
	uint8_t want[16384];
	fill(want, len, number);
	assert_true(netns_wait(far_receives, r));
	assert_memory_equal(received, want, len);
}

static const uint32_t lengths[] = {14, 15, 59, 60, 63, 64, 65, 128, 1000, 1513, 1514};

static void test_frames_arrive_whole_both_ways(void **state)
{
	struct rig *r = *state;
	struct port_config c = wx0();
	open_ok(r, &c);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		far_send(r, lengths[i], i);
		expect_rx(r, lengths[i], i, 1);
		assert_int_equal(send_one(r, 0, lengths[i], 100 + i), 1);
		expect_far(r, lengths[i], 100 + i);
	}
	assert_int_equal(r->st.rx_frames, sizeof(lengths) / sizeof(*lengths));
	assert_int_equal(r->st.tx_frames, sizeof(lengths) / sizeof(*lengths));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_frames_arrive_whole_both_ways, setup, teardown),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
