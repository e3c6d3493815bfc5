// SPDX-License-Identifier: BSD-2-Clause
// Whatever the rings say, no buffer is used that is not ours, and none is lost: rings of the test's
// own in place of the kernel's.
#include "tests/unit/xdp_bed.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static void test_buffers_go_round(void **state)
{
	struct fake *k = *state;
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < FRAME_BURST + 36; i++)
			kernel_gives(k, kernel_takes(k) + 256, 60, 0);
		assert_int_equal(rx(k), FRAME_BURST);
		assert_int_equal(census(k).rx_lent, FRAME_BURST);
		assert_true(census(k).conserved);
		xdp_queue_rx_done(k->q);
		assert_int_equal(rx(k), 36);
		xdp_queue_rx_done(k->q);
		assert_int_equal(rx(k), 0);
		assert_int_equal(census(k).rx_fill, RX_RING);
		assert_true(census(k).conserved);
	}
}

static void test_no_more_is_lent_than_asked_for(void **state)
{
	struct fake *k = *state;
	for (unsigned i = 0; i < 20; i++)
		kernel_gives(k, kernel_takes(k) + 256, 60 + i, 0);
	assert_int_equal(xdp_queue_backlog(k->q, &k->st), 20);
	assert_int_equal(rx_max(k, 7), 7);
	assert_int_equal(k->burst.f[6].len, 66);
	xdp_queue_rx_done(k->q);
	assert_int_equal(xdp_queue_backlog(k->q, &k->st), 13);
	assert_int_equal(rx_max(k, 1), 1);
	assert_int_equal(k->burst.f[0].len, 67);
	xdp_queue_rx_done(k->q);
	assert_int_equal(rx(k), 12);
	xdp_queue_rx_done(k->q);
	assert_int_equal(xdp_queue_backlog(k->q, &k->st), 0);
}

// One wrong entry: refused, counted, and the queue goes on.
static void refused(struct fake *k, uint64_t addr, uint32_t len)
{
	uint64_t bad = census(k).bad;
	kernel_gives(k, addr, len, 0);
	kernel_gives(k, kernel_takes(k) + 256, 77, 0);
	assert_int_equal(rx(k), 1);
	assert_int_equal(k->burst.f[0].len, 77);
	assert_int_equal(census(k).bad, bad + 1);
	xdp_queue_rx_done(k->q);
}

static void test_addresses_and_lengths_are_checked(void **state)
{
	struct fake *k = *state;
	refused(k, RX_RING * CHUNK, 60);                  // a chunk to send from
	refused(k, (RX_RING + XDP_QUEUE_TX) * CHUNK, 60); // behind the UMEM
	refused(k, (uint64_t)-1, 60);
	refused(k, (uint64_t)1 << 32, 60); // a chunk number cut to 32 bits would do
	refused(k, (uint64_t)1 << 43, 60);
	refused(k, kernel_takes(k) + 256, CHUNK - 256 + 1); // out of its chunk
	refused(k, kernel_takes(k) + 256, 0xffffffff);
	refused(k, kernel_takes(k) + CHUNK - 1, 60);
	assert_int_equal(k->st.drop[DROP_malformed], 8);
}

static void test_a_buffer_given_twice_is_lent_once(void **state)
{
	struct fake *k = *state;
	uint64_t addr = kernel_takes(k) + 256;
	kernel_gives(k, addr, 60, 0);
	kernel_gives(k, addr, 60, 0);
	assert_int_equal(rx(k), 1);
	assert_int_equal(census(k).bad, 1);
	assert_int_equal(census(k).rx_lent, 1);
	xdp_queue_rx_done(k->q);
	assert_int_equal(census(k).rx_fill, RX_RING);
}

static void test_short_frames_are_dropped_and_their_buffers_come_back(void **state)
{
	struct fake *k = *state;
	for (uint32_t len = 0; len < FRAME_LEN_MIN; len++)
		kernel_gives(k, kernel_takes(k) + 256, len, 0);
	assert_int_equal(rx(k), 0);
	assert_int_equal(k->st.drop[DROP_too_short], FRAME_LEN_MIN);
	assert_int_equal(census(k).rx_fill, RX_RING);
	assert_true(census(k).conserved);
}

static void give_pieces(struct fake *k, uint32_t n, uint32_t len, bool ends)
{
	for (uint32_t i = 0; i < n; i++)
		kernel_gives(k, kernel_takes(k) + 256, len, i + 1 < n || !ends ? XDP_PKT_CONTD : 0);
}

static void test_a_frame_of_several_buffers_is_one(void **state)
{
	struct fake *k = *state;
	static uint8_t got[XDP_QUEUE_FRAGS * 1000];
	for (uint32_t n = 1; n <= XDP_QUEUE_FRAGS; n++) {
		give_pieces(k, n, 1000, true);
		give_pieces(k, 2, 20, true);
		assert_int_equal(rx(k), 2);
		assert_int_equal(k->burst.f[0].len, n * 1000);
		assert_int_equal(k->burst.f[1].len, 40);
		frame_copy(&k->burst.f[0], 0, got, n * 1000);
		assert_int_equal(census(k).rx_lent, n + 2);
		xdp_queue_rx_done(k->q);
	}
	assert_true(census(k).conserved);
}

// Of one with a wrong entry among its pieces nothing is used, and all its other buffers come back.
static void test_a_wrong_piece_spoils_its_frame_only(void **state)
{
	struct fake *k = *state;
	for (uint32_t bad = 1; bad < 4; bad++) {
		for (uint32_t i = 0; i < 4; i++)
			kernel_gives(k, i == bad ? (uint64_t)-1 : kernel_takes(k) + 256, 1000,
				i < 3 ? XDP_PKT_CONTD : 0);
		give_pieces(k, 2, 20, true);
		assert_int_equal(rx(k), 1);
		assert_int_equal(k->burst.f[0].len, 40);
		xdp_queue_rx_done(k->q);
		assert_int_equal(k->st.drop[DROP_malformed], bad);
		assert_int_equal(census(k).bad, bad);
		assert_int_equal(census(k).rx_fill, RX_RING);
	}
}

static void test_a_frame_whose_end_is_not_there_waits(void **state)
{
	struct fake *k = *state;
	give_pieces(k, 3, 1000, false);
	assert_int_equal(rx(k), 0);
	assert_int_equal(census(k).rx_ring, 3);
	give_pieces(k, 1, 1000, true);
	assert_int_equal(rx(k), 1);
	assert_int_equal(k->burst.f[0].len, 4000);
	xdp_queue_rx_done(k->q);
}

static void test_a_frame_without_end_does_not_block_the_queue(void **state)
{
	struct fake *k = *state;
	give_pieces(k, 3 * XDP_QUEUE_FRAGS, 1000, true);
	give_pieces(k, 1, 99, true);
	uint32_t frames = 0;
	for (unsigned i = 0; i < 8; i++)
		if (rx(k)) {
			frames += k->burst.n;
			assert_int_equal(k->burst.f[0].len, 99);
			xdp_queue_rx_done(k->q);
		}
	assert_int_equal(frames, 1);
	assert_true(k->st.drop[DROP_malformed] > 0);
	assert_int_equal(census(k).rx_fill, RX_RING);
	assert_true(census(k).conserved);
}

static void test_a_frame_longer_than_any_is_dropped(void **state)
{
	struct fake *k = *state;
	xdp_queue_reset(k->q, XDP_CHUNK_LARGE);
	give_pieces(k, XDP_QUEUE_FRAGS, 3700, true); // 66,600 bytes
	give_pieces(k, 1, 99, true);
	assert_int_equal(rx(k), 1);
	assert_int_equal(k->burst.f[0].len, 99);
	assert_int_equal(k->st.drop[DROP_malformed], 1);
	xdp_queue_rx_done(k->q);
	assert_true(census(k).conserved);
}

// Bursts of long frames lend at most what the queue can note down.
static void test_lent_buffers_are_bounded(void **state)
{
	struct fake *k = *state;
	const unsigned n = RX_RING / XDP_QUEUE_FRAGS; // all that the kernel has room for
	for (unsigned i = 0; i < n; i++)
		give_pieces(k, XDP_QUEUE_FRAGS, 1000, true);
	uint32_t frames = 0;
	while (rx(k)) {
		assert_true(census(k).rx_lent <= XDP_QUEUE_LENT + XDP_QUEUE_FRAGS);
		frames += k->burst.n;
		xdp_queue_rx_done(k->q);
	}
	assert_int_equal(frames, n);
	assert_true(census(k).conserved);
}

static void test_a_full_ring_stops_and_goes_on_later(void **state)
{
	struct fake *k = *state;
	static uint8_t bytes[100];
	static const uint8_t list[FRAME_BURST] = {0};
	struct frame f;
	struct frame_seg seg;
	uint32_t sent = 0, n;
	frame_of(&f, &seg, bytes, sizeof(bytes));
	for (unsigned round = 0; round < 3; round++) {
		sent = 0;
		while ((n = xdp_queue_tx(k->q, 1514, &f, list, FRAME_BURST, &k->st)) > 0)
			sent += n;
		assert_int_equal(sent, XDP_QUEUE_TX);
		assert_int_equal(census(k).tx_free, 0);
		assert_true(census(k).conserved);
		assert_int_equal(kernel_sends(k), XDP_QUEUE_TX);
		assert_int_equal(census(k).tx_done, XDP_QUEUE_TX);
		assert_true(census(k).conserved);
	}
	assert_int_equal(k->st.tx_frames, 3 * XDP_QUEUE_TX);
}

// Taken off the ring, but not completed yet: there is room on the ring and no buffer to send from.
static void test_frames_on_their_way_are_not_overwritten(void **state)
{
	struct fake *k = *state;
	static uint8_t bytes[100];
	static const uint8_t list[FRAME_BURST] = {0};
	struct frame f;
	struct frame_seg seg;
	frame_of(&f, &seg, bytes, sizeof(bytes));
	while (xdp_queue_tx(k->q, 1514, &f, list, FRAME_BURST, &k->st))
		;
	k->index[3][1] = k->index[3][0];
	assert_int_equal(xdp_queue_tx(k->q, 1514, &f, list, 1, &k->st), 0);
	assert_int_equal(census(k).tx_kernel, XDP_QUEUE_TX);
	assert_int_equal(k->st.tx_frames, XDP_QUEUE_TX);
}

static void test_completions_are_checked(void **state)
{
	struct fake *k = *state;
	static uint8_t bytes[100];
	static const uint8_t list[] = {0};
	static const uint64_t wrong[] = {0, (RX_RING - 1) * CHUNK, (RX_RING + XDP_QUEUE_TX) * CHUNK,
		(uint64_t)-1, (uint64_t)1 << 43,
		(RX_RING + XDP_QUEUE_TX - 1) * CHUNK /* not sent yet */};
	struct frame f;
	struct frame_seg seg;
	frame_of(&f, &seg, bytes, sizeof(bytes));
	// Chunk 0 is on its way: what is out of bounds must not be taken for it.
	assert_int_equal(xdp_queue_tx(k->q, 1514, &f, list, 1, &k->st), 1);
	assert_int_equal(k->tx[0].addr / CHUNK, RX_RING);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		k->comp[k->index[1][0]++ % XDP_QUEUE_TX] = wrong[i];
	while (xdp_queue_tx(k->q, 1514, &f, list, 1, &k->st))
		;
	assert_int_equal(census(k).bad, 6);
	assert_int_equal(k->st.tx_frames, XDP_QUEUE_TX);
	kernel_sends(k);
	// Completed twice: free once.
	k->comp[k->index[1][0]++ % XDP_QUEUE_TX] = k->tx[0].addr;
	xdp_queue_tx(k->q, 1514, &f, list, 1, &k->st);
	assert_true(census(k).tx_free < XDP_QUEUE_TX);
	assert_true(census(k).bad > 6);
}

static void test_long_frames_are_cut_into_buffers(void **state)
{
	struct fake *k = *state;
	static uint8_t bytes[9014], got[9014];
	static const uint8_t list[] = {0};
	struct frame f;
	struct frame_seg seg;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	frame_of(&f, &seg, bytes, sizeof(bytes));
	assert_int_equal(xdp_queue_tx(k->q, 9014, &f, list, 1, &k->st), 1);
	uint32_t n = k->index[3][0], done = 0;
	for (uint32_t i = 0; i < n; i++) {
		memcpy(got + done, k->umem + k->tx[i].addr, k->tx[i].len);
		done += k->tx[i].len;
		assert_true(k->tx[i].addr % CHUNK + k->tx[i].len <= CHUNK);
		assert_int_equal(k->tx[i].options, i + 1 < n ? XDP_PKT_CONTD : 0);
	}
	assert_int_equal(done, 9014);
	assert_memory_equal(got, bytes, 9014);
	// Without support for that it is too long, and says by how much.
	k->q->frags = false;
	assert_int_equal(xdp_queue_tx(k->q, 9014, &f, list, 1, &k->st), 1);
	assert_int_equal(k->st.drop[DROP_too_long], 1);
	assert_int_equal(k->q->tx.longest, 9014);
}

// Frames begin at different lines of their buffers, as far as they leave room for that.
static void test_no_frame_leaves_its_buffer(void **state)
{
	struct fake *k = *state;
	static uint8_t bytes[CHUNK];
	static const uint8_t list[] = {0};
	const uint32_t room = CHUNK - XDP_TX_HEADROOM;
	for (uint32_t len = room - 500; len <= room; len++) {
		struct frame f;
		struct frame_seg seg;
		uint32_t at = k->index[3][0];
		frame_of(&f, &seg, bytes, len);
		assert_int_equal(xdp_queue_tx(k->q, CHUNK, &f, list, 1, &k->st), 1);
		assert_int_equal(k->index[3][0], at + 1);
		assert_int_equal(k->tx[at].len, len);
		assert_true(k->tx[at].addr % CHUNK >= XDP_TX_HEADROOM);
		assert_true(k->tx[at].addr % CHUNK + len <= CHUNK);
	}
}

// A head that has grown by a tag goes whole.
static void test_long_heads_are_sent_whole(void **state)
{
	struct fake *k = *state;
	static const uint8_t list[] = {0};
	for (uint32_t len = 1; len <= FRAME_HEAD_MAX; len++) {
		struct frame f = {
			.len = len, .head_len = (uint16_t)len, .head_off = FRAME_HEAD_OFF};
		uint32_t at = k->index[3][0];
		for (uint32_t i = 0; i < len; i++)
			frame_head(&f)[i] = (uint8_t)(i * 5 + 1);
		assert_int_equal(xdp_queue_tx(k->q, 1514, &f, list, 1, &k->st), 1);
		assert_memory_equal(k->umem + k->tx[at].addr, frame_head(&f), len);
	}
}

// A tag is not counted, as no NIC does; a byte more is.
static void test_a_tag_makes_no_frame_too_long(void **state)
{
	struct fake *k = *state;
	static uint8_t bytes[1519];
	static const uint8_t list[] = {0};
	static const struct {
		uint32_t len;
		uint8_t flags;
		bool sent;
	} rows[] = {
		{1514, 0, true},
		{1515, 0, false},
		{1518, FRAME_TAGGED, true},
		{1519, FRAME_TAGGED, false},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct frame f;
		struct frame_seg seg;
		uint64_t sent = k->st.tx_frames, dropped = k->st.drop[DROP_too_long];
		frame_of(&f, &seg, bytes, rows[i].len);
		f.flags = rows[i].flags;
		assert_int_equal(xdp_queue_tx(k->q, 1514, &f, list, 1, &k->st), 1);
		assert_int_equal(k->st.tx_frames, sent + rows[i].sent);
		assert_int_equal(k->st.drop[DROP_too_long], dropped + !rows[i].sent);
	}
}

// A request that the kernel refuses would block the queue for good: it must not reach the ring.
static void test_checksum_requests_out_of_the_frame_are_dropped(void **state)
{
	struct fake *k = *state;
	static uint8_t bytes[100];
	static const uint8_t list[] = {0};
	struct frame f;
	struct frame_seg seg;
	frame_of(&f, &seg, bytes, sizeof(bytes));
	f.flags = FRAME_OFFLOAD;
	f.offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	static const struct {
		bool support;
		uint8_t gso;
		uint16_t start, offset;
		bool sent;
	} rows[] = {
		{true, 0, 34, 16, true},
		{true, 0, 82, 16, true},
		{true, 0, 83, 16, false},
		{true, 0, 0xfff0, 16, false},
		{true, 0, 34, 0xffff, false},
		{true, VIRTIO_NET_HDR_GSO_TCPV4, 34, 16, false},
		{false, 0, 34, 16, false},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t sent = k->st.tx_frames, dropped = k->st.drop[DROP_no_offload];
		k->q->xsk.tx_csum = rows[i].support;
		f.offload.gso_type = rows[i].gso;
		f.offload.csum_start = rows[i].start;
		f.offload.csum_offset = rows[i].offset;
		assert_int_equal(xdp_queue_tx(k->q, 1514, &f, list, 1, &k->st), 1);
		assert_int_equal(k->st.tx_frames, sent + rows[i].sent);
		assert_int_equal(k->st.drop[DROP_no_offload], dropped + !rows[i].sent);
		if (rows[i].sent) {
			const struct xdp_desc *d = &k->tx[(k->index[3][0] - 1) % XDP_QUEUE_TX];
			struct xsk_txmd md;
			memcpy(&md, k->umem + d->addr - sizeof(md), sizeof(md));
			assert_int_equal(d->options, XDP_TX_METADATA);
			assert_int_equal(md.flags, XDP_TXMD_FLAGS_CHECKSUM);
			assert_int_equal(md.csum_start, rows[i].start);
			assert_int_equal(md.csum_offset, rows[i].offset);
		}
	}
	kernel_sends(k);
	assert_true(census(k).conserved);
	xdp_queue_tx(k->q, 1514, &f, list, 0, &k->st); // takes what is completed
	assert_int_equal(census(k).tx_free, XDP_QUEUE_TX);
}

// --- the two sides against each other, at random ---

static uint32_t random_next(uint64_t *x)
{
	*x = *x * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*x >> 33);
}

static void test_buffers_are_conserved_under_any_order(void **state)
{
	struct fake *k = *state;
	static uint8_t bytes[4000];
	static const uint8_t list[FRAME_BURST] = {0};
	struct frame f;
	struct frame_seg seg;
	uint64_t x = 1;
	bool lent = false;
	for (unsigned step = 0; step < 200000; step++) {
		uint32_t r = random_next(&x) % 8, n = random_next(&x) % 200;
		if (r < 2) {
			uint32_t room = RX_RING - (k->index[2][0] - k->index[2][1]);
			for (; n > 0 && room > 4 && k->index[0][0] - k->index[0][1] > 4; n--) {
				uint32_t pieces = 1 + random_next(&x) % 3;
				give_pieces(k, pieces, 14 + random_next(&x) % 1700, true);
				room -= pieces;
			}
		} else if (r < 4 && !lent) {
			lent = rx(k) > 0;
		} else if (r < 5 && lent) {
			xdp_queue_rx_done(k->q);
			lent = false;
		} else if (r < 7) {
			frame_of(&f, &seg, bytes, 14 + random_next(&x) % 3900);
			xdp_queue_tx(k->q, 4000, &f, list, 1 + n % FRAME_BURST, &k->st);
		} else {
			kernel_sends(k);
		}
		if (step % 64 == 0)
			assert_true(census(k).conserved);
	}
	assert_int_equal(census(k).bad, 0);
	assert_true(k->st.rx_frames > 100000 && k->st.tx_frames > 100000);
}

struct busy {
	struct fake *k;
	uint32_t stop;
};

static void *busy_worker(void *arg)
{
	struct busy *busy = arg;
	struct fake *k = busy->k;
	static uint8_t bytes[100];
	static const uint8_t list[FRAME_BURST] = {0};
	struct frame f;
	struct frame_seg seg;
	frame_of(&f, &seg, bytes, sizeof(bytes));
	while (!__atomic_load_n(&busy->stop, __ATOMIC_RELAXED)) {
		for (unsigned i = 0; i < FRAME_BURST; i++)
			kernel_gives(k, kernel_takes(k) + 256, 60, 0);
		rx(k);
		xdp_queue_tx(k->q, 1514, &f, list, FRAME_BURST, &k->st);
		usleep(20);
		xdp_queue_rx_done(k->q);
		kernel_sends(k);
	}
	return NULL;
}

// Who looked while frames flowed was told that buffers were missing.
static void test_a_census_under_load_raises_no_alarm(void **state)
{
	struct busy busy = {.k = *state};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, busy_worker, &busy), 0);
	unsigned alarms = 0;
	for (unsigned i = 0; i < 2000; i++)
		alarms += !census(busy.k).conserved;
	__atomic_store_n(&busy.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(alarms, 0);
	// What is really missing is told all the same.
	busy.k->q->rx_owner[7] = !busy.k->q->rx_owner[7];
	assert_false(census(busy.k).conserved);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_buffers_go_round),
		T(test_no_more_is_lent_than_asked_for),
		T(test_addresses_and_lengths_are_checked),
		T(test_a_buffer_given_twice_is_lent_once),
		T(test_short_frames_are_dropped_and_their_buffers_come_back),
		T(test_a_frame_of_several_buffers_is_one),
		T(test_a_wrong_piece_spoils_its_frame_only),
		T(test_a_frame_whose_end_is_not_there_waits),
		T(test_a_frame_without_end_does_not_block_the_queue),
		T(test_a_frame_longer_than_any_is_dropped),
		T(test_lent_buffers_are_bounded),
		T(test_a_full_ring_stops_and_goes_on_later),
		T(test_frames_on_their_way_are_not_overwritten),
		T(test_completions_are_checked),
		T(test_long_frames_are_cut_into_buffers),
		T(test_no_frame_leaves_its_buffer),
		T(test_long_heads_are_sent_whole),
		T(test_a_tag_makes_no_frame_too_long),
		T(test_checksum_requests_out_of_the_frame_are_dropped),
		T(test_buffers_are_conserved_under_any_order),
		T(test_a_census_under_load_raises_no_alarm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
