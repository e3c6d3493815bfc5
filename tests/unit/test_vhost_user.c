// SPDX-License-Identifier: BSD-2-Clause
// The vhost-user port with well-behaved front ends: frames of every shape, queues, reconnects.
#include "dataplane/port/dirty_log.h"
#include "dataplane/port/vhost_user.h"

#include "tests/lib/echo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t V1 = 1ull << VIRTIO_F_VERSION_1, MRG = 1ull << VIRTIO_NET_F_MRG_RXBUF,
		      EVENT = 1ull << VIRTIO_RING_F_EVENT_IDX, MQ = 1ull << VIRTIO_NET_F_MQ,
		      INDIRECT = 1ull << VIRTIO_RING_F_INDIRECT_DESC,
		      ORDER = 1ull << VIRTIO_F_IN_ORDER, ANY = 1ull << VIRTIO_F_ANY_LAYOUT;

static void frames_of_every_size(void **state)
{
	static const size_t sizes[] = {14, 15, 59, 60, 63, 64, 65, 66, 127, 128, 129, 256, 511, 512,
		1023, 1024, 1500, 1514, 1518, 2036, 2037, 4096, 9014};
	const uint64_t features[] = {V1 | MRG | EVENT | INDIRECT, V1 | MRG, MRG, V1 | ORDER | MRG,
		MRG | EVENT | ANY, V1 | EVENT};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct port_config c = {0};
		struct echo *e = echo_start(&c);
		struct front_guest g;
		struct front_guest_config gc = {.socket = e->path,
			.features = features[i],
			.ring_size = 64,
			.rx_buf = features[i] & MRG ? 0 : 16384};

		assert_int_equal(front_guest_init(&g, &gc), 0);
		assert_int_equal(front_guest_connect(&g), 0);
		assert_true(echo_wait(&e->links_up, 1));
		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
			for (unsigned seed = 0; seed < 5; seed++)
				echo_round_trip(&g, 0, sizes[k], seed + (unsigned)k);
		assert_int_equal(echo_drops(e, DROP_malformed), 0);
		front_guest_fini(&g);
		echo_stop(e);
	}
}

// The longest frame in the smallest buffers, which cut the header too.
static void mergeable_of_any_split(void **state)
{
	static const uint32_t bufs[] = {65, 76, 100, 1500, 2048};

	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) {
		struct port_config c = {0};
		struct echo *e = echo_start(&c);
		struct front_guest g;
		struct front_guest_config gc = {.socket = e->path,
			.features = V1 | MRG,
			.ring_size = 1024,
			.rx_buf = bufs[i],
			.tx_buf = 8192};

		assert_int_equal(front_guest_init(&g, &gc), 0);
		assert_int_equal(front_guest_connect(&g), 0);
		assert_true(echo_wait(&e->links_up, 1));
		for (size_t len = 14; len < 65000; len = len * 3 / 2 + 1)
			echo_round_trip(&g, 0, len, (unsigned)len);
		front_guest_fini(&g);
		echo_stop(e);
	}
}

static void too_short_and_too_long_are_counted(void **state)
{
	static uint8_t frame[70000];
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path, .features = V1, .rx_buf = 1000};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&e->links_up, 1));
	assert_int_equal(front_guest_send(&g, 0, NULL, frame, 13, ECHO_WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&g, 0, ECHO_WAIT_MS), 0);
	assert_int_equal(echo_drops(e, DROP_too_short), 1);
	// Longer than a buffer, and no mergeable buffers.
	echo_make_frame(frame, 1200, 1);
	assert_int_equal(front_guest_send(&g, 0, NULL, frame, 1200, ECHO_WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&g, 0, ECHO_WAIT_MS), 0);
	assert_int_equal(echo_drops(e, DROP_too_long), 1);
	assert_int_equal(front_guest_send(&g, 0, NULL, frame, 69000, ECHO_WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&g, 0, ECHO_WAIT_MS), 0);
	assert_int_equal(echo_drops(e, DROP_too_long), 2);
	echo_round_trip(&g, 0, 100, 3);
	front_guest_fini(&g);
	echo_stop(e);
}

static void several_pairs(void **state)
{
	struct port_config c = {.queues = 4};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {
		.socket = e->path, .features = V1 | MRG | MQ | EVENT, .pairs = 4, .regions = 3};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&e->links_up, 1));
	for (unsigned i = 0; i < 2000; i++)
		echo_round_trip(&g, i % 4, 60 + i % 1400, i);
	assert_int_equal(e->port->n_txq, 4);
	front_guest_fini(&g);
	echo_stop(e);
}

// A guest that polls has no call descriptor; one that leaves and comes back goes on where it was.
static void reconnects_without_losing_its_place(void **state)
{
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path, .polling = true};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(front_guest_connect(&g), 0);
		assert_true(echo_wait(&e->links_up, i));
		for (unsigned k = 0; k < 700; k++)
			echo_round_trip(&g, 0, 60 + k, k);
		if (i % 2)
			front_guest_stop(&g);
		front_guest_disconnect(&g);
		assert_true(echo_wait(&e->links_down, i));
	}
	front_guest_fini(&g);
	echo_stop(e);
}

// Kicks alone do not make a guest one whose memory is not shared: its buffers are in sight.
static void one_that_only_receives(void **state)
{
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path, .features = V1};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&e->links_up, 1));
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(eventfd_write(front_guest_txq(&g, 0)->kick, 1), 0);
		e->port->ops->tick(e->port);
	}
	assert_int_equal(__atomic_load_n(&e->links_down, __ATOMIC_SEQ_CST), 0);
	front_guest_fini(&g);
	echo_stop(e);
}

// QEMU without share=on sends the features, fails at the memory and stays connected: said once, as
// nobody else will. Who sends both, or has no driver yet, is not accused.
static void driver_without_memory(void **state)
{
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	struct vhost_front f;
	uint64_t features = 0;

	vhost_front_init(&f);
	f.timeout_ms = ECHO_WAIT_MS;
	assert_int_equal(vhost_front_connect(&f, e->path), 0);
	assert_int_equal(vhost_front_get_features(&f, &features), 0);
	for (unsigned i = 0; i < 10; i++)
		e->port->ops->tick(e->port);
	assert_null(strstr(e->log, "share=on"));
	assert_int_equal(vhost_front_set_features(&f, V1), 0);
	assert_int_equal(vhost_front_get_features(&f, &features), 0);
	for (unsigned i = 0; i < 2; i++)
		e->port->ops->tick(e->port);
	assert_null(strstr(e->log, "share=on"));
	for (unsigned i = 0; i < 10; i++)
		e->port->ops->tick(e->port);
	assert_non_null(strstr(e->log, "share=on"));
	assert_int_equal(__atomic_load_n(&e->logged, __ATOMIC_SEQ_CST), 1);
	vhost_front_fini(&f);

	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path, .features = V1};
	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&e->links_up, 1));
	for (unsigned i = 0; i < 10; i++)
		e->port->ops->tick(e->port);
	assert_int_equal(__atomic_load_n(&e->logged, __ATOMIC_SEQ_CST), 1);
	front_guest_fini(&g);
	echo_stop(e);
}

static void client_mode(void **state)
{
	struct port_config c = {.client = true};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path, .listen = true};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&e->links_up, 1));
	echo_round_trip(&g, 0, 1514, 1);
	front_guest_fini(&g);
	unlink(e->path);
	echo_stop(e);
}

// A driver of the guest starts: its own features, ring size and rings; the connection is an old one.
static void start_driver(struct front_guest *g, uint64_t features, uint32_t ring_size)
{
	struct vhost_front *f = &g->front;

	g->config.ring_size = ring_size;
	assert_int_equal(vq_layout_init(&g->layout, g->n_queues, ring_size, 0, VQ_LEGACY_ALIGN), 0);
	g->features = features | 1ull << VHOST_F_PROTOCOL;
	g->hdr_len = features & (V1 | MRG) ? 12 : 10;
	assert_int_equal(vhost_front_set_features(f, g->features), 0);
	assert_int_equal(front_guest_make_rings(g), 0);
	assert_int_equal(front_guest_share_memory(g), 0);
	for (unsigned i = 0; i < g->n_queues; i++)
		assert_int_equal(front_guest_start_ring(g, i), 0);
	assert_int_equal(front_guest_enable(g, true), 0);
	assert_int_equal(front_guest_driver_ok(g), 0);
}

// Firmware, then a boot loader, then a kernel: each resets the card and agrees on something else,
// over one connection. The header's length and everything else must be the new driver's.
static void firmware_then_kernel(void **state)
{
	static const struct {
		uint64_t features;
		uint32_t ring_size;
	} drivers[] = {
		{0, 64},                            // legacy, header of 10 bytes
		{V1, 128},                          // modern and simple
		{MRG, 256},                         // legacy, mergeable
		{V1 | MRG | EVENT | INDIRECT, 256}, // a kernel
		{0, 256},                           // rebooted: firmware again
		{V1 | MRG | EVENT | INDIRECT, 32},  // and another kernel
	};
	const unsigned n = sizeof(drivers) / sizeof(drivers[0]);
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path,
		.features = V1 | MRG | EVENT | INDIRECT, // all there will be
		.ring_size = 256};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(front_guest_negotiate(&g), 0);
	for (unsigned i = 0; i < 2 * n; i++) {
		start_driver(&g, drivers[i % n].features, drivers[i % n].ring_size);
		assert_true(echo_wait(&e->links_up, i + 1));
		for (unsigned k = 0; k < 300; k++)
			echo_round_trip(&g, 0, 60 + 4 * k, k);
		assert_int_equal(front_guest_enable(&g, false), 0);
		assert_int_equal(front_guest_stop(&g), 0);
		assert_true(echo_wait(&e->links_down, i + 1));
	}
	assert_int_equal(echo_drops(e, DROP_malformed) + echo_drops(e, DROP_bad_address), 0);
	front_guest_fini(&g);
	echo_stop(e);
}

// A dirty log that the guest's VMM sends: for a few pages more than there is memory, and a hole below it.
struct log {
	uint8_t *bits;
	uint64_t size, from, pages; // of the guest's memory, in pages
};

static void send_log(struct front_guest *g, struct log *l)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	l->from = g->mem[0].gpa / DIRTY_LOG_PAGE;
	l->pages = g->mem[0].size / DIRTY_LOG_PAGE;
	l->size = (l->from + l->pages) / 8 + 8;
	assert_int_equal(ftruncate(fd, (off_t)l->size), 0);
	l->bits = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(l->bits, MAP_FAILED);
	assert_int_equal(vhost_front_set_log_base(&g->front, l->size, 0, fd), 0);
	close(fd);
}

// How many pages are marked. None may be but the guest's.
static uint64_t log_take(struct log *l)
{
	uint64_t n = 0;

	for (uint64_t page = 0; page < l->size * 8; page++) {
		bool marked = l->bits[page / 8] >> (page % 8) & 1;

		assert_true(!marked || page - l->from < l->pages);
		n += marked;
	}
	munmap(l->bits, l->size);
	return n;
}

// QEMU sends the log before LOG_ALL where a migration finds a driver at work: only what is written from then on is
// marked. Where a driver starts, or a daemon, while one runs, it is sent once the rings run: what was written before it
// came is not known.
static void what_no_log_has(void **state)
{
	const uint64_t log_all = 1ull << VHOST_F_LOG_ALL;
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	struct front_guest_config gc = {
		.socket = e->path, .features = V1 | MRG | log_all, .ring_size = 64};
	struct front_guest g;
	struct log log, longer;

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(front_guest_negotiate(&g), 0);
	start_driver(&g, V1 | MRG, 64);
	assert_true(echo_wait(&e->links_up, 1));
	echo_round_trip(&g, 0, 100, 1);
	send_log(&g, &log);
	assert_int_equal(vhost_front_set_features(&g.front, g.features | log_all), 0);
	echo_round_trip(&g, 0, 100, 2);
	// More memory is to come. The VMM still looks at the log that it had.
	send_log(&g, &longer);
	assert_in_range(log_take(&log), 1, 8);
	echo_round_trip(&g, 0, 100, 3);
	assert_in_range(log_take(&longer), 1, 8);

	// Each with the log of the last in place.
	for (unsigned i = 2; i < 5; i++) {
		assert_int_equal(front_guest_enable(&g, false), 0);
		assert_int_equal(front_guest_stop(&g), 0);
		start_driver(&g, V1 | MRG | log_all, 64);
		assert_true(echo_wait(&e->links_up, i));
		echo_round_trip(&g, 0, 100, i);
		send_log(&g, &log);
		send_log(&g, &longer);
		assert_int_equal(log_take(&log), log.pages);
		echo_round_trip(&g, 0, 100, i);
		assert_in_range(log_take(&longer), 1, 8);
	}
	// Called off, and begun again.
	assert_int_equal(vhost_front_set_features(&g.front, g.features & ~log_all), 0);
	send_log(&g, &log);
	assert_int_equal(vhost_front_set_features(&g.front, g.features), 0);
	echo_round_trip(&g, 0, 100, 9);
	assert_in_range(log_take(&log), 1, 8);
	front_guest_fini(&g);

	// A daemon that comes to a migration that runs.
	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&e->links_up, 5));
	echo_round_trip(&g, 0, 100, 1);
	send_log(&g, &log);
	assert_int_equal(log_take(&log), log.pages);
	front_guest_fini(&g);
	echo_stop(e);
}

// The quick way to mark a range marks the pages that the other does: byte by byte, from and to any page, to the log's end.
static void all_of_a_range(void **state)
{
	for (uint64_t from = 0; from < 20; from++) {
		for (uint64_t pages = 0; pages < 60; pages++) {
			uint8_t a[9] = {0}, b[9] = {0};
			const struct dirty_log one = {a, 8}, all = {b, 8};
			const uint64_t at = from * DIRTY_LOG_PAGE + from % 2;
			const uint64_t len = pages * DIRTY_LOG_PAGE + pages % 3;

			dirty_log_mark(&one, at, len);
			dirty_log_mark_all(&all, at, len);
			assert_memory_equal(a, b, sizeof(a));
			assert_true(!b[8]);
		}
	}
}

// Bug: where memory ends close to the last address, a sum came out as 0, and the shortest log would do.
static void log_of_memory_at_the_end(void **state)
{
	const uint64_t byte = 8 * DIRTY_LOG_PAGE;
	const int fd = memfd_create("log", MFD_CLOEXEC);
	struct dirty_log log = {0};

	assert_int_equal(ftruncate(fd, 4096), 0);
	for (uint64_t end = UINT64_MAX; end > UINT64_MAX - 2 * byte; end -= DIRTY_LOG_PAGE)
		assert_int_equal(dirty_log_map(&log, fd, 4096, end), -EINVAL);
	assert_int_equal(dirty_log_map(&log, fd, 4096, 4096 * byte + 1), -EINVAL);
	assert_int_equal(dirty_log_map(&log, fd, 4096, 4096 * byte), 0);
	dirty_log_unmap(&log);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_every_size),
		cmocka_unit_test(mergeable_of_any_split),
		cmocka_unit_test(too_short_and_too_long_are_counted),
		cmocka_unit_test(several_pairs),
		cmocka_unit_test(reconnects_without_losing_its_place),
		cmocka_unit_test(one_that_only_receives),
		cmocka_unit_test(driver_without_memory),
		cmocka_unit_test(client_mode),
		cmocka_unit_test(firmware_then_kernel),
		cmocka_unit_test(what_no_log_has),
		cmocka_unit_test(all_of_a_range),
		cmocka_unit_test(log_of_memory_at_the_end),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
