// SPDX-License-Identifier: BSD-2-Clause
// One ring, driven directly and with the burst loops of every instruction set that this CPU has: the
// odd chain at each place of a burst, in memory that ends where it is said to end.
#include "tests/unit/ring_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

// The frame's bytes are those of guest memory from gpa on.
static void assert_frame(const struct frame *f, uint64_t gpa, uint32_t len)
{
	static uint8_t got[FRAME_LEN_MAX];
	assert_int_equal(f->len, len);
	assert_true(f->head_len >= (len < FRAME_HEAD ? len : FRAME_HEAD));
	frame_copy(f, 0, got, len);
	for (uint32_t i = 0; i < len; i++)
		if (got[i] != *host(gpa + i))
			fail_msg("byte %u of %u", i, len);
}

// --- From the guest ---

#define LENT N_DROP_REASONS // not dropped

static const struct odd {
	const char *what;
	struct vring_desc d, second; // second: descriptor 40
	int why;
	uint64_t at; // of the frame, if it is lent
	uint32_t len;
	uint64_t features;
} odd_sources[] = {
	{"the shortest", {A, 12 + 14, 0, 0}, {0}, LENT, A + 12, 14},
	{"one byte less", {A, 12 + 13, 0, 0}, {0}, DROP_too_short},
	{"header alone", {A, 12, 0, 0}, {0}, DROP_too_short},
	{"not even a header", {A, 11, 0, 0}, {0}, DROP_too_short},
	{"nothing", {A, 0, 0, 0}, {0}, DROP_too_short},
	{"the longest", {B, 12 + FRAME_LEN_MAX, 0, 0}, {0}, LENT, B + 12, FRAME_LEN_MAX},
	{"the longest, header apart", {B, 12, NEXT, 40}, {B + 12, FRAME_LEN_MAX, 0, 0}, LENT,
		B + 12, FRAME_LEN_MAX},
	{"one byte more, header apart", {B, 12, NEXT, 40}, {B + 12, FRAME_LEN_MAX + 1, 0, 0},
		DROP_too_long},
	{"one byte more", {B, 12 + FRAME_LEN_MAX + 1, 0, 0}, {0}, DROP_too_long},
	{"one byte more, near the others", {A, 12 + FRAME_LEN_MAX + 1, 0, 0}, {0}, DROP_too_long},
	{"as long as can be said", {B, UINT32_MAX, 0, 0}, {0}, DROP_bad_address},
	{"up to the end of memory", {END - 112, 112, 0, 0}, {0}, LENT, END - 100, 100},
	{"beyond it", {END - 111, 112, 0, 0}, {0}, DROP_bad_address},
	{"before memory", {A - 1, 112, 0, 0}, {0}, DROP_bad_address},
	{"far away", {UINT64_C(1) << 60, 112, 0, 0}, {0}, DROP_bad_address},
	{"around the end of all addresses", {-UINT64_C(50), 112, 0, 0}, {0}, DROP_bad_address},
	{"over two regions", {B - 50, 112, 0, 0}, {0}, LENT, B - 38, 100},
	{"its header over two regions", {B - 5, 112, 0, 0}, {0}, LENT, B + 7, 100},
	{"another region", {B + 8, 112, 0, 0}, {0}, LENT, B + 20, 100},
	{"writable", {A, 112, WRITE, 0}, {0}, DROP_malformed},
	{"then writable", {A, 112, NEXT, 40}, {A, 10, WRITE, 0}, DROP_malformed},
	{"header apart", {A, 12, NEXT, 40}, {A + 12, 70, 0, 0}, LENT, A + 12, 70},
	{"cut in the header", {A, 5, NEXT, 40}, {A + 5, 107, 0, 0}, LENT, A + 12, 100},
	{"cut in the frame", {A, 40, NEXT, 40}, {A + 40, 72, 0, 0}, LENT, A + 12, 100},
	{"with an empty end", {A, 112, NEXT, 40}, {A, 0, 0, 0}, LENT, A + 12, 100},
	{"next out of the table", {A, 112, NEXT, RING}, {0}, DROP_malformed},
	{"in a circle", {A, 112, NEXT, 40}, {A, 1, NEXT, 40}, DROP_malformed},
	{"indirect, not negotiated", {A, 16, INDIRECT, 0}, {0}, DROP_malformed},
	{"unknown flags", {A, 112, 0x8000, 0}, {0}, LENT, A + 12, 100},
};

// Offers CHAINS frames of different lengths with the odd one at place p.
static uint32_t good_len(unsigned i)
{
	return 14 + i * 37;
}

static void offer_sources(const struct odd *odd, unsigned p)
{
	bed.desc[40] = odd->second;
	for (unsigned i = 0; i < CHAINS; i++)
		offer((uint16_t)i,
			i == p ? odd->d
			       : (struct vring_desc){A + i * SLOT, 12 + good_len(i), 0, 0});
}

static void check_lent(const struct odd *odd, unsigned p)
{
	unsigned n = odd->why == LENT ? CHAINS : CHAINS - 1, k = 0;
	uint32_t sum = odd->why == LENT ? odd->len : 0, longest = sum;
	uint32_t got = bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st);
	if (got != n || all_drops() != CHAINS - n || (n < CHAINS && !bed.st.drop[odd->why]))
		fail_msg("%s, %s at %u: lent %u", bed.ops->isa, odd->what, p, got);
	for (unsigned i = 0; i < CHAINS; i++) {
		if (i != p)
			assert_frame(&burst.f[k++], A + i * SLOT + 12, good_len(i));
		else if (odd->why == LENT)
			assert_frame(&burst.f[k++], odd->at, odd->len);
		sum += i != p ? good_len(i) : 0;
		longest = i != p && good_len(i) > longest ? good_len(i) : longest;
	}
	assert_int_equal(burst.bytes, sum);
	assert_int_equal(burst.longest, longest);
	assert_int_equal(bed.st.rx_bytes, sum);
	assert_int_equal(n_used(), 0);
	vhost_ring_give_back(&bed.r);
	assert_int_equal(n_used(), CHAINS);
	for (unsigned i = 0; i < CHAINS; i++) {
		assert_int_equal(used(i).id, i);
		assert_int_equal(used(i).len, 0);
	}
}

static void test_an_odd_source_among_others(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(odd_sources); k++)
			for (unsigned p = 0; p < CHAINS; p++) {
				bed_open(sets[s], MODERN, RING, (uint16_t)(p * 3 - 20), false);
				offer_sources(&odd_sources[k], p);
				check_lent(&odd_sources[k], p);
				assert_false(bed.r.vq.broken);
				bed_close();
			}
}

// A head that is no descriptor ends the queue; what came before it is forwarded.
static void test_an_impossible_head_among_sources(void **state)
{
	static const uint16_t heads[] = {RING, RING + 1, 0x8000, 0xffff};
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(heads); k++)
			for (unsigned p = 0; p < CHAINS; p++) {
				bed_open(sets[s], MODERN, RING, 50, false);
				offer_sources(&odd_sources[0], CHAINS);
				bed.avail->ring[(50 + p) % RING] = heads[k];
				assert_int_equal(
					bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), p);
				assert_int_equal(bed.st.drop[DROP_malformed], 1);
				assert_true(bed.r.vq.broken);
				vhost_ring_give_back(&bed.r);
				assert_int_equal(n_used(), p);
				assert_int_equal(
					bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 0);
				assert_false(vhost_ring_arm(&bed.r));
				bed_close();
			}
}

static void test_indirect_tables(void **state)
{
	static const struct {
		struct vring_desc table[2], d;
		int why;
	} rows[] = {
		{{{A, 30, NEXT, 1}, {A + 30, 82, 0, 0}}, {B, 32, INDIRECT, 0}, LENT},
		{{{A, 30, NEXT, 2}, {A + 30, 82, 0, 0}}, {B, 32, INDIRECT, 0}, DROP_malformed},
		{{{A, 112, 0, 0}}, {B, 16 * RING, INDIRECT, 0}, LENT},
		{{{A, 112, 0, 0}}, {B, 16 * RING + 16, INDIRECT, 0}, DROP_malformed},
		{{{A, 112, 0, 0}}, {END - 8, 16, INDIRECT, 0}, DROP_bad_address},
		{{{A, 112, INDIRECT, 0}}, {B, 16, INDIRECT, 0}, DROP_malformed},
	};
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(rows); k++) {
			bed_open(sets[s], MODERN | FEATURE(VIRTIO_RING_F_INDIRECT_DESC), RING, 0,
				false);
			memcpy(host(B), rows[k].table, sizeof(rows[k].table));
			offer(3, rows[k].d);
			uint32_t n = bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st);
			if (n != (rows[k].why == LENT) || (!n && !bed.st.drop[rows[k].why]))
				fail_msg("%s, row %u: %u", sets[s]->isa, k, n);
			if (n)
				assert_frame(&burst.f[0], A + 12, 100);
			bed_close();
		}
}

// What one burst has no views for comes with the next; what never could is dropped.
static void test_more_pieces_than_views(void **state)
{
	bed_open(sets[0], MODERN | FEATURE(VIRTIO_RING_F_INDIRECT_DESC), RING, 0, false);
	struct vring_desc *table = (struct vring_desc *)host(B);
	for (unsigned i = 0; i < RING; i++)
		table[i] = (struct vring_desc){A + i * 2, 2, i + 1 < RING ? NEXT : 0, i + 1};
	for (unsigned i = 0; i < RING; i++)
		offer((uint16_t)i, (struct vring_desc){B, 16 * RING, INDIRECT, 0});
	unsigned lent = 0, bursts = 0;
	while (lent < RING) {
		uint32_t n = bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st);
		assert_in_range(n, 1, RING - lent);
		for (unsigned i = 0; i < n; i++)
			assert_frame(&burst.f[i], A + 12, 116);
		lent += n;
		bursts++;
		vhost_ring_give_back(&bed.r);
		assert_int_equal(n_used(), lent);
	}
	assert_int_equal(bursts, 2);
	assert_int_equal(all_drops(), 0);
	bed_close();

	// A chain of the table's length, and another table behind it.
	bed_open(sets[0], MODERN | FEATURE(VIRTIO_RING_F_INDIRECT_DESC), 4096, 0, false);
	table = (struct vring_desc *)host(B);
	for (unsigned i = 0; i < 4096; i++)
		table[i] = (struct vring_desc){A, 1, i < 4095 ? NEXT : 0, i + 1};
	for (unsigned i = 0; i < 4095; i++)
		bed.desc[i] = (struct vring_desc){A, 1, NEXT, i + 1};
	bed.desc[4095] = (struct vring_desc){B, 16 * 4096, INDIRECT, 0};
	offer(0, bed.desc[0]);
	assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 0);
	assert_int_equal(bed.st.drop[DROP_malformed], 1);
	assert_int_equal(n_used(), 1);
	bed_close();
}

static void test_a_disabled_ring_takes_and_drops(void **state)
{
	for (unsigned s = 0; sets[s]; s++) {
		bed_open(sets[s], MODERN, RING, 0, true);
		offer_sources(&odd_sources[0], CHAINS);
		assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 0);
		assert_int_equal(bed.st.drop[DROP_port_down], CHAINS);
		assert_int_equal(n_used(), CHAINS);
		bed_close();
	}
}

// What a header may ask for, by what was negotiated.
static void test_claims(void **state)
{
	static const uint64_t csum = FEATURE(VIRTIO_NET_F_CSUM);
	static const uint64_t tso4 = csum | FEATURE(VIRTIO_NET_F_HOST_TSO4);
	static const uint64_t tso6 = csum | FEATURE(VIRTIO_NET_F_HOST_TSO6);
	static const uint64_t uso = csum | FEATURE(VIRTIO_NET_F_HOST_USO);
	const struct {
		const char *what;
		uint64_t features;
		uint8_t flags, gso;
		int why;
		bool claimed;
	} rows[] = {
		{"none", csum, 0, 0, LENT, false},
		{"a checksum", csum, 1, 0, LENT, true},
		{"not negotiated at all", 0, 1, 1, LENT, false},
		{"a valid one", csum, 2, 0, LENT, false},
		{"TSO4", tso4, 1, 1, LENT, true},
		{"TSO4 with ECN", tso4, 1, 0x81, LENT, true},
		{"TSO4, not negotiated", tso6 | uso, 1, 1, DROP_malformed, false},
		{"without a checksum", tso4, 0, 1, DROP_malformed, false},
		{"TSO6 of IPv4", tso6, 1, 4, DROP_malformed, false},
		{"USO of TCP", uso, 1, 5, DROP_malformed, false},
		{"unknown", tso4 | tso6 | uso, 1, 0x40, DROP_malformed, false},
		// 1 << 65 is 1 << 1 to some shifts.
		{"unknown, like TSO4 modulo 64", tso4, 1, 0x41, DROP_malformed, false},
		{"unknown, none modulo 64", tso4, 1, 0x40, DROP_malformed, false},
	};
	static const uint8_t ip[34] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 3, 0xd4,
		0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < 2 * N(rows); k++) {
			bool legacy = k & 1;
			uint32_t hdr_len = legacy ? 10 : 12;
			uint64_t features = rows[k / 2].features | (legacy ? 0 : MODERN);
			struct virtio_net_hdr h = {.flags = rows[k / 2].flags,
				.gso_type = rows[k / 2].gso,
				.gso_size = 300,
				.csum_start = 34,
				.csum_offset = 16};
			bed_open(sets[s], features, RING, 0, false);
			memset(host(A), 0, 12);
			memcpy(host(A), &h, sizeof(h));
			memcpy(host(A + hdr_len), ip, sizeof(ip));
			*host(A + hdr_len + 34 + 12) = 0x50; // a TCP header of 20 bytes
			offer(0, (struct vring_desc){A, hdr_len + 14 + 0x3d4, 0, 0});
			uint32_t n = bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st);
			if (n != (rows[k / 2].why == LENT) || (!n && !bed.st.drop[rows[k / 2].why]))
				fail_msg("%s, %s: %u", sets[s]->isa, rows[k / 2].what, n);
			if (n)
				assert_int_equal(
					!!(burst.f[0].flags & FRAME_OFFLOAD), rows[k / 2].claimed);
			if (n && rows[k / 2].claimed)
				assert_int_equal(burst.f[0].offload.csum_start, 34);
			bed_close();
		}
	for (unsigned k = 0; k < 4; k++) { // of the right kind, by IPv6 and UDP
		static const uint8_t gso[] = {4, 4, 5, 5};
		struct virtio_net_hdr h = {.flags = 1,
			.gso_type = gso[k],
			.gso_size = 300,
			.csum_start = 54,
			.csum_offset = k < 2 ? 16 : 6};
		bed_open(sets[0], MODERN | (k & 1 ? tso4 : k < 2 ? tso6 : uso), RING, 0, false);
		uint8_t *f = host(A + 12);
		memset(host(A), 0, 12 + 74);
		memcpy(host(A), &h, sizeof(h));
		memcpy(f, ip, 12);
		memcpy(f + 12, (uint8_t[]){0x86, 0xdd, 0x60, 0, 0, 0, 3, 0xe8, k < 2 ? 6 : 17}, 9);
		f[66] = 0x50;
		offer(0, (struct vring_desc){A, 12 + 54 + 1000, 0, 0});
		assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), !(k & 1));
		assert_int_equal(bed.st.drop[DROP_malformed], k & 1);
		bed_close();
	}
}

// --- To the guest ---

static void expect_delivered(uint64_t gpa, const uint8_t *hdr, uint32_t hdr_len, unsigned i)
{
	uint32_t len = frames[i].len;
	for (uint32_t k = 0; k < hdr_len + len; k++)
		if (*host(gpa + k) != (k < hdr_len ? hdr[k] : bytes[i][k - hdr_len]))
			fail_msg("%s, frame %u of %u, byte %u", bed.ops->isa, i, len, k);
	for (uint32_t k = hdr_len + len; k < hdr_len + len + 70 && gpa + k < END; k++)
		if (*host(gpa + k) != 0xee)
			fail_msg("%s, frame %u of %u, behind its end", bed.ops->isa, i, len);
	assert_true(gpa == A || gpa == B || *host(gpa - 1) == 0xee);
}

static const uint8_t plain[12] = {[10] = 1};

// Buffers of exactly the right size, for frames of every shape and length.
static void test_delivery_is_exact(void **state)
{
	static const struct {
		uint32_t base, step;
		int moved;
	} shapes[] = {{14, 1, 0}, {30, 1, 0}, {45, 1, 0}, {60, 0, 0}, {64, 1, 0}, {60, 0, 4},
		{60, 0, -4}, {80, 1, 0}, {100, 77, 0}, {40, 45, 0}, {1514, 0, 0}, {150, 5, -4},
		{64, 0, 0}, {32, 0, 0}};
	static const uint64_t features[] = {MODERN, 0, FEATURE(VIRTIO_NET_F_MRG_RXBUF)};
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(shapes) * 3; k++) {
			uint32_t hdr_len = features[k % 3] ? 12 : 10;
			bed_open(sets[s], features[k % 3], RING, (uint16_t)(k * 7), false);
			memset(bed.a, 0xee, B - A);
			memset(bed.b, 0xee, END - B);
			make_frames(shapes[k / 3].base, shapes[k / 3].step, shapes[k / 3].moved);
			for (unsigned i = 0; i < CHAINS; i++)
				offer((uint16_t)i, (struct vring_desc){A + 100 + i * SLOT,
							   hdr_len + frames[i].len, WRITE, 0});
			assert_int_equal(
				bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
			assert_int_equal(bed.st.tx_frames, CHAINS);
			assert_int_equal(n_used(), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++) {
				// num_buffers is of the long header alone.
				expect_delivered(A + 100 + i * SLOT, plain, hdr_len, i);
				assert_int_equal(used(i).id, i);
				assert_int_equal(used(i).len, hdr_len + frames[i].len);
			}
			bed_close();
		}
}

// Short frames whose head does not hold all, and longer ones whose head does: pulled, or cut.
static void test_heads_of_any_length(void **state)
{
	static const struct {
		uint32_t len, head;
	} rows[] = {{60, 14}, {64, 63}, {64, 40}, {65, 65}, {128, 128}, {150, 100}, {192, 192},
		{64, 0}, {97, 32}, {200, 32}};
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(rows); k++) {
			bed_open(sets[s], MODERN, RING, 0, false);
			memset(bed.a, 0xee, B - A);
			make_frames(60, 0, 0); // the first is as others are
			for (unsigned i = 1; i < CHAINS; i++) {
				struct frame *f = &frames[i];
				for (uint32_t b = 0; b < rows[k].len; b++)
					bytes[i][b] = (uint8_t)(i + b * 5);
				f->len = rows[k].len;
				f->head_len = (uint16_t)rows[k].head;
				memcpy(frame_head(f), bytes[i], rows[k].head);
				f->seg = (struct frame_seg){
					rows[k].len - rows[k].head, bytes[i] + rows[k].head};
				f->n_segs = f->seg.len > 0;
			}
			for (unsigned i = 0; i < CHAINS; i++)
				offer((uint16_t)i,
					(struct vring_desc){A + 100 + i * SLOT, 1000, WRITE, 0});
			assert_int_equal(
				bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++)
				expect_delivered(A + 100 + i * SLOT, plain, 12, i);
			bed_close();
		}
}

#define USED_GPA UINT64_C(0x4000) // of the used ring, for the log

// The pages that are logged, as bits; the log begins anew.
static uint64_t logged(uint8_t *log)
{
	uint64_t bits;
	memcpy(&bits, log, 8);
	memset(log, 0, 8);
	return bits;
}

// Each element, the index, and what it is delivered to have their own pages in the log.
static void test_the_log_has_each_page_written(void **state)
{
	static uint8_t log[1024];
	const uint64_t first = UINT64_C(1) << USED_GPA / 4096, second = first << 1;
	for (unsigned s = 0; sets[s]; s++) {
		bed_open(sets[s], MODERN, 1024, 600, false); // its element is in the second page
		bed.r.log = (struct dirty_log){log, sizeof(log)};
		bed.r.log_used = USED_GPA;
		memset(log, 0, sizeof(log));
		offer(0, (struct vring_desc){A, 112, 0, 0});
		assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 1);
		assert_true(logged(log) == 0);
		vhost_ring_give_back(&bed.r);
		assert_true(logged(log) == (first | second));
		make_frames(60, 0, 0);
		offer(1, (struct vring_desc){A + 4096 * 4 - 20, 112, WRITE, 0}); // over two pages
		assert_int_equal(bed.ops->deliver(&bed.r, frames, list, 1, &bed.st), 1);
		assert_true(logged(log) == (first | second));
		for (unsigned page = 0; page < 32; page++)
			assert_int_equal(log[(A / 4096 + page) / 8] >> (A / 4096 + page) % 8 & 1,
				page == 3 || page == 4);
		// The index of events lies behind the elements.
		vhost_ring_arm(&bed.r);
		assert_true(logged(log) == (first | first << 2));
		bed_close();
	}
}

// What is left to do is said in the header, and nothing of an older one stays.
static void test_headers(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned odd = 0; odd < 2; odd++) {
			struct virtio_net_hdr_mrg_rxbuf h = {.num_buffers = 1};
			h.hdr = (struct virtio_net_hdr){.flags = 1,
				.gso_type = 1,
				.hdr_len = 54,
				.gso_size = 1000,
				.csum_start = 34,
				.csum_offset = 16};
			bed_open(sets[s], MODERN, RING, 0, false);
			memset(bed.a, 0xee, B - A);
			make_frames(60, 1, 0);
			for (unsigned i = 0; i < CHAINS; i++) {
				uint64_t at = A + 100 + i * SLOT;
				offer((uint16_t)i, (struct vring_desc){at, 1000, WRITE, 0});
				memcpy(host(at), plain, 12);
				*host(at + i % 12) ^= 0x40;
				if (i % 3 == odd) {
					frames[i].flags = FRAME_OFFLOAD;
					frames[i].offload = h.hdr;
				}
			}
			assert_int_equal(
				bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++)
				expect_delivered(A + 100 + i * SLOT,
					i % 3 == odd ? (uint8_t *)&h : plain, 12, i);
			bed_close();
		}
}

static const struct odd odd_targets[] = {
	{"exactly as long", {A, 12 + 100, WRITE, 0}, {0}, LENT, A, 0},
	{"one byte less", {A, 12 + 99, WRITE, 0}, {0}, DROP_too_long},
	{"nothing", {A, 0, WRITE, 0}, {0}, DROP_too_long},
	{"up to the end of memory", {END - 112, 112, WRITE, 0}, {0}, LENT, END - 112, 0},
	{"over the end", {END - 111, 112, WRITE, 0}, {0}, DROP_bad_address},
	{"before memory", {A - 1, 112, WRITE, 0}, {0}, DROP_bad_address},
	{"far away", {UINT64_C(1) << 60, 112, WRITE, 0}, {0}, DROP_bad_address},
	{"around the end of all addresses", {-UINT64_C(50), 112, WRITE, 0}, {0}, DROP_bad_address},
	{"over two regions", {B - 50, 112, WRITE, 0}, {0}, LENT, B - 50, 0},
	{"another region", {B + 200, 112, WRITE, 0}, {0}, LENT, B + 200, 0},
	{"readable", {A, 112, 0, 0}, {0}, DROP_malformed},
	{"readable, then writable", {A, 12, NEXT, 40}, {A + 12, 200, WRITE, 0}, DROP_malformed},
	{"of two pieces", {A, 12, WRITE | NEXT, 40}, {A + 12, 100, WRITE, 0}, LENT, A, 0},
	{"of two that are too short", {A, 12, WRITE | NEXT, 40}, {A + 12, 99, WRITE, 0},
		DROP_too_long},
	{"in a circle", {A, 12, WRITE | NEXT, 40}, {A, 1, WRITE | NEXT, 40}, DROP_malformed},
	{"indirect, not negotiated", {A, 16, INDIRECT | WRITE, 0}, {0}, DROP_malformed},
};

// Frames of 100 bytes as the cases say, or of 52, for which each buffer is so much shorter.
static void check_target(const struct odd *odd, unsigned p, uint32_t cut)
{
	// A frame that is too long for its buffer leaves it to the next, which is as long.
	unsigned lost = odd->why == LENT ? 0 : odd->why == DROP_too_long ? CHAINS - p : 1;
	uint64_t at = odd->at;
	memset(bed.a, 0xee, B - A);
	memset(bed.b, 0xee, END - B);
	make_frames(100 - cut, 0, 0);
	for (unsigned i = 0; i < CHAINS; i++)
		offer((uint16_t)i, (struct vring_desc){A + 300 + i * SLOT, 112, WRITE, 0});
	bed.desc[p] = odd->d;
	bed.desc[40] = odd->second;
	struct vring_desc *last = odd->second.len > 12 ? &bed.desc[40] : &bed.desc[p];
	if (last->len >= 99)
		last->len -= cut;
	if (odd->d.addr >= END - 112 && odd->d.addr < END) {
		bed.desc[p].addr += cut;
		at += cut;
	}
	assert_int_equal(bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
	if (all_drops() != lost || bed.st.tx_frames != CHAINS - lost ||
		(lost && bed.st.drop[odd->why] != lost))
		fail_msg("%s, %s at %u, less %u", bed.ops->isa, odd->what, p, cut);
	for (unsigned i = 0; i < (lost > 1 ? p : CHAINS); i++)
		if (i != p || !lost)
			expect_delivered(i == p ? at : A + 300 + i * SLOT, plain, 12, i);
}

static void test_an_odd_target_among_others(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(odd_targets); k++)
			for (unsigned p = 0; p < CHAINS; p++) {
				bed_open(sets[s], MODERN, RING, (uint16_t)(p - 10), false);
				check_target(&odd_targets[k], p, p % 2 ? 48 : 0);
				bed_close();
				bed_open(sets[s], MODERN, RING, (uint16_t)(p - 10), false);
				check_target(&odd_targets[k], p, p % 2 ? 0 : 48);
				bed_close();
			}
}

static void test_an_impossible_head_among_targets(void **state)
{
	static const uint16_t heads[] = {RING, RING + 1, 0x8000, 0xffff};
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(heads) * 2; k++)
			for (unsigned p = 0; p < CHAINS; p++) {
				bed_open(sets[s], MODERN, RING, 60, false);
				make_frames(k & 1 ? 60 : 100, 0, 0);
				for (unsigned i = 0; i < CHAINS; i++)
					offer((uint16_t)i,
						(struct vring_desc){A + i * SLOT, SLOT, WRITE, 0});
				bed.avail->ring[(60 + p) % RING] = heads[k / 2];
				assert_int_equal(
					bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st),
					CHAINS);
				assert_int_equal(bed.st.tx_frames, p);
				assert_int_equal(bed.st.drop[DROP_malformed], 1);
				assert_int_equal(bed.st.drop[DROP_port_down], CHAINS - p - 1);
				assert_true(bed.r.vq.broken);
				assert_int_equal(n_used(), p);
				bed_close();
			}
}

// Room for some: they are delivered, the rest may be tried again.
static void test_fewer_targets_than_frames(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned n = 0; n < CHAINS; n++) {
			bed_open(sets[s], MODERN, RING, 0, false);
			make_frames(n & 1 ? 60 : 100, 0, 0);
			for (unsigned i = 0; i < n; i++)
				offer((uint16_t)i,
					(struct vring_desc){A + i * SLOT, SLOT, WRITE, 0});
			assert_int_equal(
				bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), n);
			assert_int_equal(bed.st.tx_frames, n);
			assert_int_equal(all_drops(), 0);
			assert_int_equal(n_used(), n);
			assert_int_equal(bed.st.tx_bursts, n > 0);
			bed_close();
		}
}

// --- Notification, and what a ring is started with ---

// Calls take the CPU so long.
static unsigned call_us;

int eventfd_write(int fd, eventfd_t value)
{
	struct timespec from, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 <
		call_us);
	return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

static void call(struct vhost_ring *r, unsigned us)
{
	call_us = us;
	vq_device_notify_invalidate(&r->vq);
	vhost_ring_notify(r, &bed.st);
	call_us = 0;
}

static void calls(struct vhost_ring *r, unsigned n, unsigned us)
{
	for (unsigned i = 0; i < n; i++)
		call(r, us);
}

// Of a ring on the bed's memory that calls by fd.
static struct vhost_ring_config config_with_call(int fd, bool *stuck)
{
	return (struct vhost_ring_config){.desc = bed.desc,
		.avail = bed.avail,
		.used = bed.used,
		.mem = &bed.mem,
		.size = RING,
		.callfd = fd,
		.kickfd = -1,
		.stuck = stuck};
}

// Five long calls in a row are too many if they took the CPU more than 20 ms, the first not counted. A ring that
// starts anew goes on counting.
static void test_long_calls_in_a_row(void **state)
{
	struct vhost_ring_config c;
	struct vhost_ring r = {0};
	bool stuck = false;
	int fd = eventfd(0, EFD_NONBLOCK);

	bed_open(sets[0], MODERN, RING, 0, false);
	c = config_with_call(fd, &stuck);
	assert_int_equal(vhost_ring_start(&r, &c), 0);
	calls(&r, 4, 8000);
	call(&r, 0);
	calls(&r, 10, 1000); // as a core that receives frames for others may take
	call(&r, 0);
	call(&r, 30000);
	calls(&r, 4, 1000);
	call(&r, 0);
	calls(&r, 4, 8000);
	assert_false(stuck);
	vhost_ring_stop(&r);
	assert_int_equal(vhost_ring_start(&r, &c), 0);
	assert_false(stuck);
	call(&r, 400);
	assert_true(stuck);
	vhost_ring_stop(&r);
	close(fd);
	bed_close();
}

static void test_descriptors_of_events(void **state)
{
	struct vhost_ring_config c;
	eventfd_t count;
	bool stuck = false;
	int fd = eventfd(0, EFD_NONBLOCK), lowest = dup(0);
	close(lowest);
	bed_open(sets[0], MODERN, RING, 0, false);
	c = config_with_call(fd, &stuck);
	struct vhost_ring r = {0};
	assert_int_equal(vhost_ring_start(&r, &c), 0);
	vhost_ring_notify(&r, &bed.st); // the first decision of a ring is to signal
	assert_int_equal(bed.st.notified, 1);
	assert_int_equal(eventfd_read(fd, &count), 0);
	bed.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	vhost_ring_notify(&r, &bed.st);
	assert_int_equal(bed.st.suppressed, 1);
	assert_int_equal(eventfd_read(fd, &count), -1);
	vhost_ring_stop(&r);
	vhost_ring_stop(&r);
	assert_int_equal(fcntl(fd, F_GETFD), 0); // the one that was given stays open
	// Descriptors that do not exist, sizes that cannot be: nothing is left behind.
	c.callfd = 1000000;
	assert_int_equal(vhost_ring_start(&r, &c), -EBADF);
	c.callfd = -1;
	c.kickfd = 1000000;
	assert_int_equal(vhost_ring_start(&r, &c), -EBADF);
	c.kickfd = -1;
	c.size = 100;
	assert_int_equal(vhost_ring_start(&r, &c), -EINVAL);
	close(fd);
	bed_close();
	fd = dup(0);
	assert_true(fd <= lowest);
	close(fd);
}

static void offer_runts(void)
{
	for (uint16_t i = 0; i < CHAINS; i++)
		offer(i, (struct vring_desc){A + i * SLOT, 12 + FRAME_LEN_MIN - 1, 0, 0});
}

// Bug: nothing was lent, so nobody told the guest that its chains were back. One that had filled its ring
// with them and waited for a call waited for good.
static void test_a_burst_without_a_frame_is_told(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned disabled = 0; disabled < 2; disabled++) {
			int fd = eventfd(0, EFD_NONBLOCK);
			bool stuck = false;
			eventfd_t count;
			bed_open(sets[s], MODERN, RING, 0, disabled);
			bed.r.callfd = fd;
			bed.r.stuck = &stuck;
			vhost_ring_notify(
				&bed.r, &bed.st); // the first decision of a ring is to signal
			assert_int_equal(eventfd_read(fd, &count), 0);
			offer_runts();
			assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 0);
			assert_int_equal(n_used(), CHAINS);
			assert_int_equal(eventfd_read(fd, &count), 0);
			assert_int_equal(bed.st.notified, 2);
			// Nothing there: nothing to tell. Nor is who does not want to know.
			assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 0);
			assert_int_equal(bed.st.suppressed, 0);
			bed.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
			offer_runts();
			assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 0);
			assert_int_equal(n_used(), 2 * CHAINS);
			assert_int_equal(eventfd_read(fd, &count), -1);
			assert_int_equal(bed.st.suppressed, 1);
			bed_close();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_odd_source_among_others),
		cmocka_unit_test(test_an_impossible_head_among_sources),
		cmocka_unit_test(test_indirect_tables),
		cmocka_unit_test(test_more_pieces_than_views),
		cmocka_unit_test(test_a_disabled_ring_takes_and_drops),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_delivery_is_exact),
		cmocka_unit_test(test_heads_of_any_length),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_the_log_has_each_page_written),
		cmocka_unit_test(test_an_odd_target_among_others),
		cmocka_unit_test(test_an_impossible_head_among_targets),
		cmocka_unit_test(test_fewer_targets_than_frames),
		cmocka_unit_test(test_long_calls_in_a_row),
		cmocka_unit_test(test_descriptors_of_events),
		cmocka_unit_test(test_a_burst_without_a_frame_is_told),
	};
	return cmocka_run_group_tests(tests, choose_sets, NULL);
}
