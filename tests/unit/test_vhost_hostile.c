// SPDX-License-Identifier: BSD-2-Clause
// What a hostile front end or guest may try. Each case must be refused or counted, and the port, and
// any other port, must work afterwards.
#include "dataplane/port/dirty_log.h"
#include "dataplane/port/vhost_features.h"
#include "dataplane/port/vhost_user.h"

#include "tests/lib/echo.h"

#include <errno.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

static struct echo *port;

static int open_port(void **state)
{
	struct port_config c = {.queues = 2};

	port = echo_start(&c);
	return 0;
}

static int close_port(void **state)
{
	echo_stop(port);
	return 0;
}

static void guest_init(struct front_guest *g, struct front_guest_config c)
{
	c.socket = port->path;
	assert_int_equal(front_guest_init(g, &c), 0);
}

// A guest that did nothing wrong works.
static void still_works(void)
{
	struct front_guest g;
	unsigned up = port->links_up;

	guest_init(&g, (struct front_guest_config){0});
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	for (unsigned i = 0; i < 20; i++)
		echo_round_trip(&g, 0, 60 + i * 70, i);
	front_guest_fini(&g);
}

// Meets and negotiates, so that messages may follow; every message asks for an answer.
static void meet(struct front_guest *g, struct front_guest_config c)
{
	guest_init(g, c);
	assert_int_equal(front_guest_meet(g), 0);
	assert_int_equal(front_guest_negotiate(g), 0);
	g->front.ack = true;
}

static int plain_file(uint64_t size)
{
	char path[] = "weft-test-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int memory_file(uint64_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static bool is_on_tmpfs(int fd)
{
	struct statfs fs;

	assert_int_equal(fstatfs(fd, &fs), 0);
	return fs.f_type == TMPFS_MAGIC;
}

#define MIB (UINT64_C(1) << 20)

static void memory_tables_that_cannot_be(void **state)
{
	const int good = memory_file(4 * MIB), shorter = memory_file(MIB),
		  pipe_like = eventfd(0, 0);
	const int disk = plain_file(4 * MIB);
	const struct {
		struct vhost_front_region r[2];
		unsigned n;
		const char *says;
	} cases[] = {
		{{{0, 4 * MIB, 0x1000, 0, disk}}, 1, "share=on"},
		{{{0, 4 * MIB, 0x1000, 0, pipe_like}}, 1, "share=on"},
		{{{0, 4 * MIB, 0x1000, 0, shorter}}, 1, "shorter"},
		{{{0, 4 * MIB, 0x1000, MIB, good}}, 1, "shorter"},
		{{{0, 0, 0x1000, 0, good}}, 1, "empty or wraps"},
		{{{-MIB, 4 * MIB, 0x1000, 0, good}}, 1, "empty or wraps"},
		{{{0, 4 * MIB, -MIB, 0, good}}, 1, "empty or wraps"},
		{{{0, 4 * MIB, 0x1000, -MIB, good}}, 1, "empty or wraps"},
		{{{0, 2 * MIB, 0x1000, 0, good}, {MIB, 2 * MIB, 0x800000, 0, good}}, 2, "overlap"},
		{{{0}}, 0, "not shared"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct front_guest g;
		// The working directory of a test may itself be on tmpfs.
		if (cases[i].r[0].fd == disk && is_on_tmpfs(disk))
			continue;

		meet(&g, (struct front_guest_config){0});
		assert_int_equal(
			vhost_front_set_mem_table(&g.front, cases[i].r, cases[i].n), -EREMOTEIO);
		assert_non_null(strstr(port->log, cases[i].says));
		assert_true(strlen(port->log) < 256); // what an event has room for
		front_guest_fini(&g);
	}
	close(good);
	close(shorter);
	close(pipe_like);
	close(disk);
	still_works();
}

static void memory_table_of_the_wrong_size(void **state)
{
	uint64_t payload[40] = {8};
	int fds[1] = {memory_file(MIB)};
	struct front_guest g;

	meet(&g, (struct front_guest_config){0});
	// Says eight regions, brings a file for one, in a payload of one.
	assert_int_equal(
		vhost_front_call(&g.front, VHOST_SET_MEM_TABLE, payload, 40, fds, 1), -EREMOTEIO);
	close(fds[0]);
	front_guest_fini(&g);
	still_works();
}

static void payloads_of_the_wrong_size(void **state)
{
	static const uint32_t requests[] = {VHOST_SET_FEATURES, VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE, VHOST_SET_VRING_KICK,
		VHOST_SET_VRING_CALL, VHOST_SET_VRING_ENABLE, VHOST_SET_LOG_BASE, VHOST_NET_SET_MTU,
		VHOST_SEND_RARP};
	uint64_t payload[8] = {0};
	unsigned announced = port->announced;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct front_guest g;

		meet(&g, (struct front_guest_config){0});
		assert_int_equal(
			vhost_front_call(&g.front, requests[i], payload, 4, NULL, 0), -EREMOTEIO);
		assert_non_null(strstr(port->log, "wrong size"));
		front_guest_fini(&g);
	}
	assert_int_equal(port->announced, announced);
	still_works();
}

static void descriptors_that_are_no_eventfds(void **state)
{
	struct front_guest g;
	int p[2];

	assert_int_equal(pipe(p), 0);
	meet(&g, (struct front_guest_config){0});
	assert_int_equal(front_guest_share_memory(&g), 0);
	assert_int_equal(vhost_front_set_vring_kick(&g.front, 0, p[0]), -EREMOTEIO);
	assert_int_equal(vhost_front_set_vring_call(&g.front, 1, p[1]), -EREMOTEIO);
	assert_non_null(strstr(port->log, "eventfd"));
	// A flag that says none, and one all the same.
	uint64_t payload = VHOST_VRING_NO_FD;
	assert_int_equal(
		vhost_front_call(&g.front, VHOST_SET_VRING_CALL, &payload, 8, p, 1), -EREMOTEIO);
	close(p[0]);
	close(p[1]);
	front_guest_fini(&g);
	still_works();
}

static void queues_that_the_port_has_not(void **state)
{
	struct front_guest g;
	uint64_t n = 0;

	meet(&g, (struct front_guest_config){0});
	assert_int_equal(vhost_front_get_queue_num(&g.front, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(vhost_front_set_vring_num(&g.front, 4, 256), -EREMOTEIO);
	assert_non_null(strstr(port->log, "queues:"));
	front_guest_fini(&g);
	still_works();
}

// Requests of features that were never offered.
static void requests_never_offered(void **state)
{
	static const uint32_t requests[] = {VHOST_GET_INFLIGHT_FD, VHOST_SET_INFLIGHT_FD,
		VHOST_SET_BACKEND_REQ_FD, 22, 24, 25, 28};
	uint8_t payload[64] = {[16] = 1, [18] = 64}; // one queue of 64, for the inflight ones

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct front_guest g;

		meet(&g, (struct front_guest_config){0});
		assert_int_equal(
			vhost_front_call(&g.front, requests[i], payload, 24, NULL, 0), -EREMOTEIO);
		assert_non_null(strstr(port->log, "not offered"));
		front_guest_fini(&g);
	}
	still_works();
}

// An MTU that no frame has is not taken over.
static void mtus_that_cannot_be(void **state)
{
	static const struct {
		uint64_t mtu;
		uint32_t now;
	} rows[] = {{1400, 1400}, {67, 1400}, {0, 1400}, {68, 68}, {65535, 65535}, {65536, 65535},
		{UINT64_C(1) << 32 | 1500, 65535}, {UINT64_MAX, 65535}, {1500, 1500}};
	struct front_guest g;
	uint64_t features;

	meet(&g, (struct front_guest_config){0});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)vhost_front_net_set_mtu(&g.front, rows[i].mtu);
		assert_int_equal(vhost_front_get_features(&g.front, &features), 0); // settled
		assert_int_equal(port_load(&port->port->mtu), rows[i].now);
	}
	front_guest_fini(&g);
	still_works();
}

// Half a message must not hold up other connections.
static void half_a_message(void **state)
{
	static const uint8_t header[12] = {VHOST_SET_FEATURES, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0};
	struct port_config c = {0};
	struct echo *other = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = other->path};
	struct vhost_front slow;

	vhost_front_init(&slow);
	assert_int_equal(vhost_front_connect(&slow, port->path), 0);
	assert_int_equal(vhost_front_send_bytes(&slow, header, sizeof(header), NULL, 0), 0);
	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&other->links_up, 1));
	echo_round_trip(&g, 0, 100, 1);
	assert_true(vhost_front_is_closed(&slow, ECHO_WAIT_MS));
	vhost_front_fini(&slow);
	front_guest_fini(&g);
	echo_stop(other);
	still_works();
}

static void second_connection(void **state)
{
	struct front_guest first, second;
	unsigned up = port->links_up;

	guest_init(&first, (struct front_guest_config){0});
	guest_init(&second, (struct front_guest_config){.timeout_ms = 500});
	assert_int_equal(front_guest_connect(&first), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	assert_int_not_equal(front_guest_connect(&second), 0);
	echo_round_trip(&first, 0, 100, 1);
	front_guest_fini(&second);
	front_guest_fini(&first);
	still_works();
}

// --- Rings with nonsense in them ---

static void start_guest(struct front_guest *g, uint64_t features)
{
	unsigned up = port->links_up;

	guest_init(g,
		(struct front_guest_config){.features = features ? features : FRONT_GUEST_FEATURES,
			.polling = true,
			.ring_size = 64});
	assert_int_equal(front_guest_connect(g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
}

static bool drops_reach(enum drop_reason r, uint64_t want)
{
	for (int i = 0; i < ECHO_WAIT_MS; i++) {
		if (echo_drops(port, r) >= want)
			return true;
		usleep(1000);
	}
	return false;
}

// Writes descriptors 0.. of the transmit ring and offers the chain that starts at 0.
static void offer(struct front_guest *g, const struct vring_desc *d, unsigned n)
{
	struct front_guest_queue *q = front_guest_txq(g, 0);
	struct vring_avail *avail = q->drv.avail;
	uint16_t idx = avail->idx;

	memcpy(q->drv.desc, d, n * sizeof(*d));
	avail->ring[idx % 64] = 0;
	__atomic_store_n(&avail->idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
}

static void chains_that_cannot_be(void **state)
{
	const uint16_t NEXT = VRING_DESC_F_NEXT, WRITE = VRING_DESC_F_WRITE,
		       INDIRECT = VRING_DESC_F_INDIRECT;
	struct front_guest g;
	uint64_t buf;
	struct {
		struct vring_desc d[3];
		enum drop_reason why;
	} cases[] = {
		{{{UINT64_C(1) << 50, 100, 0, 0}}, DROP_bad_address},
		{{{-UINT64_C(20), 100, 0, 0}}, DROP_bad_address},
		{{{0, 100, NEXT, 0}}, DROP_malformed},                    // a loop
		{{{0, 100, NEXT, 64}}, DROP_malformed},                   // next past the end
		{{{0, 100, WRITE, 0}}, DROP_malformed},                   // nothing to read
		{{{0, 100, NEXT, 1}, {0, 50, WRITE, 0}}, DROP_malformed}, // something to write
		{{{0, 16, INDIRECT | NEXT, 1}, {0, 50, 0, 0}}, DROP_malformed},
		{{{0, 15, INDIRECT, 0}}, DROP_malformed},
		{{{0, 16 * 100, INDIRECT, 0}}, DROP_malformed},
		{{{0, 10, 0, 0}}, DROP_too_short}, // not even a header
		{{{0, 25, 0, 0}}, DROP_too_short},
		{{{0, 90000, 0, 0}}, DROP_too_long},
	};

	start_guest(&g, 0);
	buf = front_guest_buf_gpa(front_guest_txq(&g, 0), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = echo_drops(port, cases[i].why);

		for (unsigned k = 0; k < 3; k++)
			if (!cases[i].d[k].addr)
				cases[i].d[k].addr = buf;
		offer(&g, cases[i].d, 3);
		if (!drops_reach(cases[i].why, before + 1))
			fail_msg(
				"case %zu is not counted as %s", i, drop_reason_name(cases[i].why));
		// The descriptor comes back all the same.
		assert_int_equal(
			__atomic_load_n(&front_guest_txq(&g, 0)->drv.used->idx, __ATOMIC_ACQUIRE),
			i + 1);
	}
	front_guest_fini(&g);
	still_works();
}

static void index_that_jumps(void **state)
{
	struct front_guest g;
	uint16_t *idx;

	start_guest(&g, 0);
	idx = &front_guest_txq(&g, 0)->drv.avail->idx;
	__atomic_store_n(idx, (uint16_t)(*idx + 65), __ATOMIC_RELEASE);
	usleep(50000);
	// Broken: nothing is taken, not even what would be right.
	assert_int_equal(front_guest_txq(&g, 0)->drv.used->idx, 0);
	front_guest_fini(&g);
	still_works();
}

static void head_out_of_range(void **state)
{
	struct front_guest g;
	struct vring_avail *avail;
	uint64_t before = echo_drops(port, DROP_malformed);

	start_guest(&g, 0);
	avail = front_guest_txq(&g, 0)->drv.avail;
	avail->ring[0] = 64;
	__atomic_store_n(&avail->idx, 1, __ATOMIC_RELEASE);
	assert_true(drops_reach(DROP_malformed, before + 1));
	front_guest_fini(&g);
	still_works();
}

// Receive buffers outside memory, read-only, or with a bad head: the frame is lost, nothing else.
static void receive_buffers_that_cannot_be(void **state)
{
	static const struct vring_desc bad[] = {
		{UINT64_C(1) << 50, 2048, VRING_DESC_F_WRITE, 0},
		{0, 2048, 0, 0},
		{0, 2048, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 3},
	};
	uint8_t frame[100];

	for (unsigned i = 0; i < 3; i++) {
		enum drop_reason why = i ? DROP_malformed : DROP_bad_address;
		uint64_t before = echo_drops(port, why);
		struct front_guest g;
		struct vring_desc *desc;

		start_guest(&g, 0);
		desc = (struct vring_desc *)front_guest_rxq(&g, 0)->drv.desc;
		for (unsigned k = 0; k < 64; k++) {
			struct vring_desc d = bad[i];
			if (!d.addr)
				d.addr = desc[k].addr;
			desc[k] = d;
		}
		desc[3].next = 3;
		echo_make_frame(frame, sizeof(frame), i);
		assert_int_equal(
			front_guest_send(&g, 0, NULL, frame, sizeof(frame), ECHO_WAIT_MS), 0);
		if (!drops_reach(why, before + 1))
			fail_msg("case %u", i);
		front_guest_fini(&g);
	}
	still_works();
}

// --- What changes while frames flow ---

// rte_vhost answers before it acts; the next answer comes after it has.
static void settle(struct front_guest *g)
{
	uint64_t features;

	assert_int_equal(vhost_front_get_features(&g->front, &features), 0);
}

static void memory_comes_and_goes_under_load(void **state)
{
	struct vhost_front_region r[2];
	struct front_guest g;
	int more = memory_file(8 * MIB);

	start_guest(&g, 0);
	r[0] = (struct vhost_front_region){
		g.mem[0].gpa, g.mem[0].size, (uintptr_t)g.mem[0].map, 0, g.mem[0].fd};
	r[1] = (struct vhost_front_region){UINT64_C(1) << 40, 8 * MIB, 0x1000, 0, more};
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned k = 0; k < 5; k++)
			echo_round_trip(&g, 0, 60 + k * 300, i + k);
		assert_int_equal(vhost_front_set_mem_table(&g.front, r, 1 + i % 2), 0);
		settle(&g);
	}
	// A table that is refused leaves the guest without memory: it stands still, nobody crashes.
	g.front.ack = true;
	r[0].size = 0;
	assert_int_equal(vhost_front_set_mem_table(&g.front, r, 1), -EREMOTEIO);
	usleep(20000);
	front_guest_fini(&g);
	close(more);
	still_works();
}

static void queues_are_moved_under_load(void **state)
{
	struct front_guest g;
	int call = eventfd(0, 0);

	start_guest(&g, 0);
	g.front.ack = true; // a frame that meets a disabled ring is lost, rightly
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned k = 0; k < 5; k++)
			echo_round_trip(&g, 0, 60 + k * 300, i + k);
		assert_int_equal(vhost_front_set_vring_call(&g.front, i % 2, call), 0);
		assert_int_equal(vhost_front_set_vring_enable(&g.front, 0, i % 3), 0);
		assert_int_equal(vhost_front_set_vring_enable(&g.front, 0, true), 0);
		settle(&g);
	}
	front_guest_fini(&g);
	close(call);
	still_works();
}

// Frames that a guest sends on a disabled ring are taken and go nowhere.
static void disabled_ring(void **state)
{
	uint64_t before = echo_drops(port, DROP_port_down);
	struct front_guest g;
	uint8_t frame[64];

	start_guest(&g, 0);
	g.front.ack = true;
	assert_int_equal(vhost_front_set_vring_enable(&g.front, 1, false), 0);
	settle(&g);
	echo_make_frame(frame, sizeof(frame), 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(
			front_guest_send(&g, 0, NULL, frame, sizeof(frame), ECHO_WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&g, 0, ECHO_WAIT_MS), 0);
	assert_int_equal(echo_drops(port, DROP_port_down), before + 10);
	assert_int_equal(vhost_front_set_vring_enable(&g.front, 1, true), 0);
	settle(&g);
	echo_round_trip(&g, 0, 100, 1);
	front_guest_fini(&g);
}

// A new call descriptor is told once, whatever went before: a call may have been lost with the old.
static void fresh_call_descriptor_is_told(void **state)
{
	struct front_guest g;
	uint64_t n = 0;
	int call = eventfd(0, EFD_NONBLOCK);

	start_guest(&g, 0);
	g.front.ack = true;
	assert_int_equal(vhost_front_set_vring_call(&g.front, 0, call), 0);
	settle(&g);
	assert_int_equal(read(call, &n, sizeof(n)), sizeof(n));
	assert_true(n >= 1);
	close(call);
	front_guest_fini(&g);
}

// --- Features, migration ---

static void offers_what_it_has(void **state)
{
	struct front_guest g;
	uint64_t offered = 0;

	guest_init(&g, (struct front_guest_config){0});
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(vhost_front_get_features(&g.front, &offered), 0);
	assert_int_equal(offered, vhost_features_all);
	// UFO, packed rings, an IOMMU.
	assert_int_equal(offered & (FEATURE(10) | FEATURE(14) | FEATURE(34) | FEATURE(33)), 0);
	front_guest_fini(&g);
}

static void accepts_no_more_than_it_offers(void **state)
{
	static const unsigned bits[] = {10, 14, 33, 34, 60};

	for (unsigned i = 0; i < 5; i++) {
		struct front_guest g;

		meet(&g, (struct front_guest_config){0});
		assert_int_equal(vhost_front_set_features(&g.front, FEATURE(bits[i])), -EREMOTEIO);
		front_guest_fini(&g);
	}
	still_works();
}

static void masked_features_are_not_offered(void **state)
{
	// Each by itself. Nor is it accepted.
	for (const int *bit = vhost_feature_bits; *bit >= 0; bit++) {
		struct port_config c = {.features_off = FEATURE(*bit)};
		struct echo *e = echo_start(&c);
		struct front_guest_config gc = {.socket = e->path};
		struct front_guest g;
		uint64_t offered = 0;

		assert_int_equal(front_guest_init(&g, &gc), 0);
		assert_int_equal(front_guest_meet(&g), 0);
		assert_int_equal(vhost_front_get_features(&g.front, &offered), 0);
		assert_int_equal(offered, vhost_features_all & ~FEATURE(*bit));
		assert_int_equal(vhost_front_set_features(&g.front, FEATURE(*bit)), 0);
		assert_true(vhost_front_is_closed(&g.front, ECHO_WAIT_MS));
		front_guest_fini(&g);
		echo_stop(e);
	}
}

static void announces_who_arrived(void **state)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};
	unsigned before = port->announced;
	struct front_guest g;

	start_guest(&g, 0);
	assert_int_equal(vhost_front_send_rarp(&g.front, mac), 0);
	assert_true(echo_wait(&port->announced, before + 1));
	assert_memory_equal(port->mac, mac, 6);
	front_guest_fini(&g);
}

static void logs_that_cannot_be(void **state)
{
	const int good = memory_file(MIB), small = memory_file(1), other = eventfd(0, 0);
	const struct {
		uint64_t size, offset;
		int fd;
	} cases[] = {
		{MIB, 4096, good}, // an offset
		{MIB, 0, small},   // shorter than it says
		{1, 0, good},      // does not cover memory
		{0, 0, good},
		{MIB, 0, other},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct front_guest g;

		meet(&g, (struct front_guest_config){0});
		assert_int_equal(front_guest_share_memory(&g), 0);
		assert_int_not_equal(vhost_front_set_log_base(
					     &g.front, cases[i].size, cases[i].offset, cases[i].fd),
			0);
		front_guest_fini(&g);
	}
	// Before there is memory, and with one file too many.
	for (unsigned early = 0; early < 2; early++) {
		const uint64_t payload[2] = {MIB, 0};
		const int two[2] = {good, good};
		struct front_guest g;

		meet(&g, (struct front_guest_config){0});
		if (!early)
			assert_int_equal(front_guest_share_memory(&g), 0);
		assert_int_not_equal(vhost_front_call(&g.front, VHOST_SET_LOG_BASE, payload,
					     sizeof(payload), two, early ? 1 : 2),
			0);
		assert_non_null(strstr(
			port->log, early ? "before the memory table" : "with one descriptor"));
		front_guest_fini(&g);
	}
	close(good);
	close(small);
	close(other);
	still_works();
}

// Every page that differs from what it was must be in the log: compared with a copy of all memory.
static void every_write_is_logged(void **state)
{
	static const uint64_t features[] = {
		FRONT_GUEST_FEATURES, FEATURE(VIRTIO_F_VERSION_1), 0x8000};

	for (unsigned k = 0; k < 3; k++) {
		struct front_guest g;
		uint64_t pages, wrong = 0, dirty = 0;
		uint8_t *log, *copy, *map;
		int fd;

		start_guest(&g, features[k] | FEATURE(VHOST_F_LOG_ALL));
		// LOG_ALL was on from the start; the log comes later, as in a migration.
		pages = (g.mem[0].gpa + g.mem[0].size) / DIRTY_LOG_PAGE;
		fd = memory_file(pages / 8 + 8);
		log = mmap(NULL, pages / 8 + 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(log, MAP_FAILED);
		assert_int_equal(vhost_front_set_log_base(&g.front, pages / 8 + 8, 0, fd), 0);
		for (unsigned i = 0; i < 5; i++)
			echo_round_trip(&g, 0, 200, i); // the driver's own writes settle
		map = g.mem[0].map;
		copy = malloc(g.mem[0].size);
		assert_non_null(copy);
		for (unsigned round = 0; round < 20; round++) {
			uint8_t frame[1514];

			memset(log, 0, pages / 8 + 8);
			memcpy(copy, map, g.mem[0].size);
			echo_make_frame(frame, sizeof(frame), round + 100);
			assert_int_equal(front_guest_send(&g, 0, NULL, frame, sizeof(frame) - round,
						 ECHO_WAIT_MS),
				0);
			assert_int_equal(front_guest_flush(&g, 0, ECHO_WAIT_MS), 0);
			// What the guest itself wrote: its transmit queue and buffers.
			for (uint64_t p = 0; p < g.mem[0].size / DIRTY_LOG_PAGE; p++) {
				uint64_t page = g.mem[0].gpa / DIRTY_LOG_PAGE + p;
				bool is_logged = log[page / 8] >> (page % 8) & 1;
				bool differs =
					memcmp(copy + p * DIRTY_LOG_PAGE, map + p * DIRTY_LOG_PAGE,
						DIRTY_LOG_PAGE) != 0;
				uint8_t *at = map + p * DIRTY_LOG_PAGE;
				struct front_guest_queue *tx = front_guest_txq(&g, 0);
				bool driver =
					(at + DIRTY_LOG_PAGE > tx->bufs &&
						at < tx->bufs + (size_t)tx->stride * 64) ||
					(at <= (uint8_t *)tx->drv.desc &&
						at + DIRTY_LOG_PAGE > (uint8_t *)tx->drv.desc) ||
					(at <= (uint8_t *)tx->drv.avail &&
						at + DIRTY_LOG_PAGE > (uint8_t *)tx->drv.avail);

				dirty += is_logged;
				wrong += differs && !is_logged && !driver;
			}
			assert_int_equal(
				front_guest_recv(&g, 0, NULL, frame, sizeof(frame), ECHO_WAIT_MS),
				1514 - round);
		}
		assert_int_equal(wrong, 0);
		assert_true(dirty >= 3 * 20); // buffer, used ring twice
		free(copy);
		munmap(log, pages / 8 + 8);
		close(fd);
		front_guest_fini(&g);
	}
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, open_port, close_port)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(memory_tables_that_cannot_be),
		PORT_TEST(memory_table_of_the_wrong_size),
		PORT_TEST(payloads_of_the_wrong_size),
		PORT_TEST(descriptors_that_are_no_eventfds),
		PORT_TEST(queues_that_the_port_has_not),
		PORT_TEST(requests_never_offered),
		PORT_TEST(mtus_that_cannot_be),
		PORT_TEST(half_a_message),
		PORT_TEST(second_connection),
		PORT_TEST(chains_that_cannot_be),
		PORT_TEST(index_that_jumps),
		PORT_TEST(head_out_of_range),
		PORT_TEST(receive_buffers_that_cannot_be),
		PORT_TEST(memory_comes_and_goes_under_load),
		PORT_TEST(queues_are_moved_under_load),
		PORT_TEST(disabled_ring),
		PORT_TEST(fresh_call_descriptor_is_told),
		PORT_TEST(offers_what_it_has),
		PORT_TEST(accepts_no_more_than_it_offers),
		PORT_TEST(masked_features_are_not_offered),
		PORT_TEST(announces_who_arrived),
		PORT_TEST(logs_that_cannot_be),
		PORT_TEST(every_write_is_logged),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
