// SPDX-License-Identifier: BSD-2-Clause
// Weft's copy of the host's broadcasts: whatever a slot of the packet ring says, nothing outside of
// the slot is lent, and every slot goes back. The ring is the kernel's, mapped a second time so that
// the test can write into its slots.
#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"
#include "dataplane/port/host_copy.h"
#include "tests/lib/craft.h"
#include "tests/lib/netns.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

// As host_copy.c sets its ring up; a mapping of any other length the kernel refuses.
#define SLOTS      512u
#define SLOT_SMALL 2048u
#define SLOT_LARGE 16384u
#define MAC        80u // where a slot's frame starts

struct copy {
	struct host_copy *c;
	int far;
	uint32_t slot_len, next; // next slot to be written
	uint8_t *ring;
	struct burst burst;
	struct port_stats st;
};

static void open_copy(struct copy *k, uint32_t mtu)
{
	struct error err;
	k->slot_len = mtu <= 1600 ? SLOT_SMALL : SLOT_LARGE;
	assert_int_equal(host_copy_new((int)if_nametoindex("wx0"), mtu, &k->c, &err), 0);
	k->ring = mmap(NULL, (size_t)SLOTS * k->slot_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		host_copy_fd(k->c), 0);
	assert_ptr_not_equal(k->ring, MAP_FAILED);
}

static void close_copy(struct copy *k)
{
	munmap(k->ring, (size_t)SLOTS * k->slot_len);
	host_copy_free(k->c);
	k->c = NULL;
	k->next = 0;
}

static int setup(void **state)
{
	struct copy *k = aligned_alloc(64, (sizeof(*k) + 63) & ~(size_t)63);
	memset(k, 0, sizeof(*k));
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "");
	k->far = netns_packet("wx1");
	open_copy(k, 1500);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct copy *k = *state;
	if (k->c)
		close_copy(k);
	close(k->far);
	netns_try("ip link del wx0 2>/dev/null");
	free(k);
	return 0;
}

static struct tpacket2_hdr *slot(const struct copy *k, uint32_t i)
{
	return (struct tpacket2_hdr *)(k->ring + (size_t)(i % SLOTS) * k->slot_len);
}

// Writes the next slot as the kernel would, with these fields and, where they fit, these bytes.
static void give(struct copy *k, struct tpacket2_hdr h, const void *bytes, uint32_t len)
{
	struct tpacket2_hdr *at = slot(k, k->next++);
	uint32_t status = h.tp_status | TP_STATUS_USER;
	h.tp_status = TP_STATUS_KERNEL;
	*at = h;
	if (bytes)
		memcpy((uint8_t *)at + h.tp_mac, bytes, len);
	__atomic_store_n(&at->tp_status, status, __ATOMIC_RELEASE);
}

static void give_frame(struct copy *k, const void *bytes, uint32_t len, uint32_t status)
{
	give(k,
		(struct tpacket2_hdr){
			.tp_status = status, .tp_len = len, .tp_snaplen = len, .tp_mac = MAC},
		bytes, len);
}

static uint32_t rx(struct copy *k)
{
	return host_copy_rx(k->c, &k->burst, FRAME_BURST, &k->st);
}

static void all_slots_are_the_kernels(const struct copy *k)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		assert_int_equal(slot(k, i)->tp_status & TP_STATUS_USER, 0);
}

static void fill(uint8_t *bytes, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 31 + seed);
	memset(bytes, 0xff, 6);
}

static void expect_frame(const struct frame *f, const uint8_t *bytes, uint32_t len)
{
	static uint8_t got[SLOT_LARGE];
	assert_int_equal(f->len, len);
	assert_int_equal(f->n_segs, len > f->head_len);
	frame_copy(f, 0, got, len);
	assert_memory_equal(got, bytes, len);
}

static void test_frames_of_all_lengths_are_lent_whole(void **state)
{
	struct copy *k = *state;
	static const uint32_t lengths[] = {14, 15, 60, 63, 64, 65, 1514, SLOT_SMALL - MAC};
	static uint8_t bytes[SLOT_SMALL];
	for (unsigned i = 0; i < N(lengths); i++) {
		fill(bytes, lengths[i], i);
		give_frame(k, bytes, lengths[i], 0);
		assert_int_equal(rx(k), 1);
		expect_frame(&k->burst.f[0], bytes, lengths[i]);
		assert_int_equal(k->burst.bytes, lengths[i]);
		assert_int_equal(slot(k, i)->tp_status, TP_STATUS_USER); // still lent
		host_copy_rx_done(k->c);
		all_slots_are_the_kernels(k);
	}
	assert_int_equal(k->st.rx_frames, N(lengths));
}

static void test_no_more_is_lent_than_asked_for(void **state)
{
	struct copy *k = *state;
	static uint8_t bytes[60];
	fill(bytes, sizeof(bytes), 1);
	for (unsigned i = 0; i < 5; i++)
		give_frame(k, bytes, sizeof(bytes), 0);
	assert_int_equal(host_copy_rx(k->c, &k->burst, 3, &k->st), 3);
	host_copy_rx_done(k->c);
	assert_int_equal(rx(k), 2);
	host_copy_rx_done(k->c);
}

// What a slot says of its frame is held against the slot before anything is read.
static void test_frames_that_leave_their_slot_are_refused(void **state)
{
	struct copy *k = *state;
	static const struct {
		uint32_t len, snaplen;
		uint16_t mac;
	} rows[] = {
		{1514, 1513, MAC}, // cut by the kernel
		{60, 0, MAC},
		{SLOT_SMALL - MAC + 1, SLOT_SMALL - MAC + 1, MAC}, // one byte too long
		{SLOT_SMALL, SLOT_SMALL, MAC},
		{SLOT_SMALL + 1, SLOT_SMALL + 1, 0},
		{60, 60, SLOT_SMALL - 59},
		{60, 60, SLOT_SMALL},
		{60, 60, SLOT_SMALL + 1}, // what is left would be negative
		{60, 60, 0xffff},
		{0xffffffff, 0xffffffff, MAC},
		{0xffffffff, 0xffffffff, 0xffff},
		{0x80000000, 0x80000000, MAC},
	};
	static uint8_t bytes[60];
	fill(bytes, sizeof(bytes), 1);
	for (unsigned i = 0; i < N(rows); i++) {
		give(k,
			(struct tpacket2_hdr){.tp_len = rows[i].len,
				.tp_snaplen = rows[i].snaplen,
				.tp_mac = rows[i].mac},
			NULL, 0);
		give_frame(k, bytes, sizeof(bytes), 0); // the next is not disturbed
		if (rx(k) != 1 || k->st.drop[DROP_too_long] != i + 1)
			fail_msg("row %u: lent", i);
		expect_frame(&k->burst.f[0], bytes, sizeof(bytes));
		host_copy_rx_done(k->c);
		all_slots_are_the_kernels(k);
	}
}

static void test_frames_without_a_header_are_refused(void **state)
{
	struct copy *k = *state;
	static uint8_t bytes[14];
	fill(bytes, sizeof(bytes), 1);
	for (uint32_t len = 0; len < FRAME_LEN_MIN; len++) {
		give_frame(k, bytes, len, 0);
		give_frame(k, bytes, len, TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID);
	}
	assert_int_equal(rx(k), 0);
	assert_int_equal(k->st.drop[DROP_too_short], 2 * FRAME_LEN_MIN);
	all_slots_are_the_kernels(k); // nobody else gives them back
}

// A ring with nothing but frames that are refused: each is looked at once, not round and round.
static void test_a_ring_of_refused_frames_ends(void **state)
{
	struct copy *k = *state;
	for (unsigned i = 0; i < SLOTS; i++)
		give_frame(k, NULL, 1, 0);
	uint64_t before = 0;
	for (unsigned calls = 0; calls < 8; calls++) {
		assert_int_equal(rx(k), 0);
		assert_true(k->st.drop[DROP_too_short] - before <= SLOTS / 2);
		before = k->st.drop[DROP_too_short];
	}
	assert_int_equal(before, SLOTS);
	all_slots_are_the_kernels(k);
}

// What the kernel has not handed over is not looked at, also when the ring is full.
static void test_a_full_ring_is_lent_once_and_in_order(void **state)
{
	struct copy *k = *state;
	static uint8_t bytes[SLOTS][60];
	for (unsigned i = 0; i < SLOTS; i++) {
		fill(bytes[i], 60, i * 7);
		give_frame(k, bytes[i], 60, 0);
	}
	for (unsigned i = 0; i < SLOTS; i += FRAME_BURST) {
		assert_true(host_copy_has_work(k->c));
		assert_int_equal(rx(k), FRAME_BURST);
		for (unsigned n = 0; n < FRAME_BURST; n++)
			expect_frame(&k->burst.f[n], bytes[i + n], 60);
		host_copy_rx_done(k->c);
	}
	assert_false(host_copy_has_work(k->c));
	assert_int_equal(rx(k), 0);
	all_slots_are_the_kernels(k);
}

static void test_a_tag_beside_the_frame_is_put_back(void **state)
{
	struct copy *k = *state;
	static const uint32_t lengths[] = {14, 60, 64, 65, 1514};
	static uint8_t bytes[1514], want[1518];
	for (unsigned i = 0; i < 2 * N(lengths); i++) {
		bool tpid = i & 1;
		uint32_t len = lengths[i / 2];
		fill(bytes, len, i);
		memcpy(want, bytes, 12);
		eth_put_be16(want + 12, tpid ? ETH_TYPE_QINQ : ETH_TYPE_VLAN);
		eth_put_be16(want + 14, 0x600a);
		memcpy(want + 16, bytes + 12, len - 12);
		give(k,
			(struct tpacket2_hdr){.tp_status = TP_STATUS_VLAN_VALID |
							   (tpid ? TP_STATUS_VLAN_TPID_VALID : 0),
				.tp_len = len,
				.tp_snaplen = len,
				.tp_mac = MAC,
				.tp_vlan_tci = 0x600a,
				.tp_vlan_tpid = ETH_TYPE_QINQ},
			bytes, len);
		assert_int_equal(rx(k), 1);
		expect_frame(&k->burst.f[0], want, len + 4);
		host_copy_rx_done(k->c);
	}
}

// The kernel's word counts: the same bytes are a partial checksum or not by what it says.
static void test_a_checksum_is_partial_if_the_kernel_says_so(void **state)
{
	struct copy *k = *state;
	static struct craft c;
	memset(&c, 0, sizeof(c));
	craft_eth(&c, 1, 2);
	craft_ipv4(&c, 1, 2, 0);
	craft_udp(&c, 53, 5000);
	craft_payload(&c, 100, 1);
	craft_finish(&c, true);
	for (unsigned i = 0; i < 4; i++) {
		bool said = i & 1, tagged = i & 2;
		give_frame(k, c.b, c.len,
			(said ? TP_STATUS_CSUMNOTREADY : 0) | (tagged ? TP_STATUS_VLAN_VALID : 0));
		assert_int_equal(rx(k), 1);
		struct frame *f = &k->burst.f[0];
		assert_int_equal(!!(f->flags & FRAME_OFFLOAD), said);
		assert_int_equal(k->burst.flags & FRAME_OFFLOAD, f->flags & FRAME_OFFLOAD);
		if (said) {
			assert_int_equal(f->offload.csum_start, c.l4 + (tagged ? ETH_TAG_LEN : 0));
			assert_int_equal(offload_check(f), 0);
		}
		host_copy_rx_done(k->c);
	}
}

// --- with frames of the kernel's ---

static bool got_one(void *ctx)
{
	return rx(ctx) == 1;
}

static void test_jumbo_frames_fit_a_slot(void **state)
{
	struct copy *k = *state;
	static uint8_t bytes[9014];
	close_copy(k);
	netns_run("ip link set wx0 mtu 9000 && ip link set wx1 mtu 9000");
	open_copy(k, 9000);
	fill(bytes, sizeof(bytes), 1);
	eth_put_be16(bytes + 12, 0x88b5);
	assert_int_equal(send(k->far, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_true(netns_wait(got_one, k));
	expect_frame(&k->burst.f[0], bytes, sizeof(bytes));
	host_copy_rx_done(k->c);
}

// Unicast is filtered before it costs a slot.
static void test_unicast_is_not_copied(void **state)
{
	struct copy *k = *state;
	static uint8_t bytes[60];
	for (unsigned i = 0; i < 2; i++) {
		fill(bytes, sizeof(bytes), i);
		eth_put_be16(bytes + 12, 0x88b5);
		if (i == 0)
			bytes[0] = 0xfe;
		assert_int_equal(send(k->far, bytes, sizeof(bytes), 0), sizeof(bytes));
	}
	assert_true(netns_wait(got_one, k));
	expect_frame(&k->burst.f[0], bytes, sizeof(bytes)); // the second
	host_copy_rx_done(k->c);
}

static bool some_lost(void *ctx)
{
	const struct copy *k = ctx;
	return host_copy_lost(k->c) > 0;
}

static void test_what_finds_no_slot_is_counted(void **state)
{
	struct copy *k = *state;
	static uint8_t bytes[60];
	fill(bytes, sizeof(bytes), 1);
	eth_put_be16(bytes + 12, 0x88b5);
	assert_int_equal(host_copy_lost(k->c), 0);
	for (unsigned i = 0; i < SLOTS + 100; i++)
		assert_int_equal(send(k->far, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_true(netns_wait(some_lost, k));
	// And the ring goes on.
	uint32_t got = 0;
	while (rx(k)) {
		got += k->burst.n;
		host_copy_rx_done(k->c);
	}
	assert_int_equal(got, SLOTS);
	assert_int_equal(send(k->far, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_true(netns_wait(got_one, k));
	host_copy_rx_done(k->c);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_frames_of_all_lengths_are_lent_whole),
		T(test_no_more_is_lent_than_asked_for),
		T(test_frames_that_leave_their_slot_are_refused),
		T(test_frames_without_a_header_are_refused),
		T(test_a_ring_of_refused_frames_ends),
		T(test_a_full_ring_is_lent_once_and_in_order),
		T(test_a_tag_beside_the_frame_is_put_back),
		T(test_a_checksum_is_partial_if_the_kernel_says_so),
		T(test_jumbo_frames_fit_a_slot),
		T(test_unicast_is_not_copied),
		T(test_what_finds_no_slot_is_counted),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
