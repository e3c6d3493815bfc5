// SPDX-License-Identifier: BSD-2-Clause
// Policy: who may say what of itself, and how much in which time.
#include "dataplane/switch/policy.h"

#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"
#include "tests/lib/craft.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HZ 1000000u // ticks a second in these tests

// --- Addresses ---

// Station 1 with 10.0.0.1 and fd00::1 only.
static const struct policy_config strict = {
	.n_macs = 1,
	.macs = {{2, 0, 0, 0, 0, 1}},
	.n_ips = 2,
	.ips = {{4, 32, {10, 0, 0, 1}}, {6, 128, {0xfd, [15] = 1}}},
};

// What becomes of one frame: the reason it was dropped for, or N_DROP_REASONS.
static unsigned fate(const struct policy_config *config, const void *bytes, uint32_t len)
{
	struct port_stats st = {0};
	struct frame_list list = {.n = 1};
	struct frame *f = aligned_alloc(64, sizeof(*f));
	struct frame_seg seg;
	struct policy *p;

	assert_non_null(f);
	assert_int_equal(policy_new(config, HZ, &p), 0);
	craft_lend(f, bytes, len, 4096, &seg, NULL);
	policy_filter(p, 0, f, &list, &st);
	policy_free(p);
	free(f);
	for (unsigned r = 0; r < N_DROP_REASONS; r++)
		if (st.drop[r]) {
			assert_int_equal(list.n, 0);
			return r;
		}
	assert_int_equal(list.n, 1);
	return N_DROP_REASONS;
}

#define PASSES  N_DROP_REASONS
#define SPOOFED DROP_spoofed

static void source_macs(void **state)
{
	static struct craft c;
	const struct policy_config two = {
		.n_macs = 2, .macs = {{2, 0, 0, 0, 0, 7}, {2, 0, 0, 0, 0, 1}}};

	for (uint8_t from = 1; from < 4; from++) {
		craft_eth(&c, from, 9);
		craft_ipv4(&c, 200, 9, 0);
		craft_udp(&c, 1, 2);
		craft_payload(&c, 20, 0);
		craft_finish(&c, false);
		assert_int_equal(fate(&two, c.b, c.len), from == 1 ? PASSES : SPOOFED);
	}
}

static void arp(struct craft *c, uint8_t eth_from, uint8_t arp_from, uint8_t ip)
{
	uint8_t body[28] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, arp_from, 10, 0, 0, ip};

	if (!ip)
		memset(body + 14, 0, 4);
	craft_eth(c, eth_from, 9);
	craft_type(c, ETH_TYPE_ARP, body, sizeof(body));
	craft_payload(c, 18, 0);
}

static void arp_senders(void **state)
{
	static struct craft c;
	const struct {
		uint8_t eth, mac, ip;
		unsigned fate;
	} cases[] = {
		{1, 1, 1, PASSES}, {1, 1, 0, PASSES}, // a probe
		{1, 1, 2, SPOOFED},                   // says it is 10.0.0.2
		{1, 2, 1, SPOOFED},                   // says 10.0.0.1 is at station 2
		{2, 1, 1, SPOOFED},                   // from station 2
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		arp(&c, cases[i].eth, cases[i].mac, cases[i].ip);
		assert_int_equal(fate(&strict, c.b, c.len), cases[i].fate);
	}
	arp(&c, 1, 1, 1);
	assert_int_equal(fate(&strict, c.b, 14 + 27), DROP_malformed); // cut short
	// Behind a tag it is looked at too.
	uint8_t body[28] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 2};
	craft_eth(&c, 1, 9);
	craft_tag(&c, ETH_TYPE_VLAN, 5);
	craft_type(&c, ETH_TYPE_ARP, body, sizeof(body));
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
}

static void rarp(void **state)
{
	static struct craft c;
	uint8_t body[28] = {0, 1, 8, 0, 6, 4, 0, 3, 2, 0, 0, 0, 0, 1};

	craft_eth(&c, 1, 9);
	craft_type(&c, ETH_TYPE_RARP, body, sizeof(body));
	assert_int_equal(fate(&strict, c.b, c.len), PASSES);
	assert_int_equal(fate(&strict, c.b, c.len - 20), SPOOFED); // cannot be read
	c.b[14 + 13] = 2;
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
	c.b[14 + 13] = 1;
	c.b[14 + 17] = 2; // claims an address
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
	c.b[14 + 17] = 0;
	c.b[13] = 0x36; // looks like RARP, is not
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
}

static void ipv4_sources(void **state)
{
	static struct craft c;
	const struct policy_config net = {.n_ips = 2, .ips = {{4, 30, {10, 0, 0, 8}}, {6, 0, {0}}}};

	for (uint8_t from = 6; from < 14; from++) {
		craft_eth(&c, 1, 9);
		craft_ipv4(&c, from, 9, 0);
		craft_udp(&c, 1, 2);
		craft_payload(&c, 20, 0);
		craft_finish(&c, false);
		assert_int_equal(fate(&net, c.b, c.len), from >= 8 && from < 12 ? PASSES : SPOOFED);
	}
}

static void dhcp_from_nowhere(void **state)
{
	static struct craft c;
	const struct {
		uint16_t sport, dport;
		unsigned fate;
	} cases[] = {{68, 67, PASSES}, {68, 68, SPOOFED}, {67, 67, SPOOFED}, {53, 67, SPOOFED}};

	for (unsigned i = 0; i < 4; i++) {
		craft_eth(&c, 1, 9);
		craft_ipv4(&c, 1, 9, 0);
		memset(c.b + c.l3 + 12, 0, 4);
		craft_udp(&c, cases[i].sport, cases[i].dport);
		craft_payload(&c, 300, 0);
		craft_finish(&c, false);
		assert_int_equal(fate(&strict, c.b, c.len), cases[i].fate);
	}
	// The same ports of an address that is not nothing, and by another protocol.
	craft_eth(&c, 1, 9);
	craft_ipv4(&c, 2, 9, 0);
	craft_udp(&c, 68, 67);
	craft_payload(&c, 300, 0);
	craft_finish(&c, false);
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
	craft_eth(&c, 1, 9);
	craft_ipv4(&c, 1, 9, 0);
	memset(c.b + c.l3 + 12, 0, 4);
	craft_tcp(&c, 68, 67, 0, 0);
	craft_finish(&c, false);
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
	// A fragment could hide anything behind the same first bytes.
	craft_eth(&c, 1, 9);
	craft_ipv4(&c, 1, 9, 0);
	memset(c.b + c.l3 + 12, 0, 4);
	c.b[c.l3 + 6] = 0x20;
	craft_udp(&c, 68, 67);
	craft_payload(&c, 300, 0);
	craft_finish(&c, false);
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
}

// An IPv6 frame from station 1 with this source address.
static void ipv6_from(struct craft *c, const uint8_t *src)
{
	craft_eth(c, 1, 9);
	craft_ipv6(c, 1, 9);
	if (src)
		memcpy(c->b + c->l3 + 8, src, 16);
}

static void ipv6_sources(void **state)
{
	static struct craft c;
	static const uint8_t none[16],
		ll[16] = {0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 1},
		other_ll[16] = {0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 2},
		other[16] = {0xfd, [15] = 2};
	const struct {
		const uint8_t *src;
		bool icmp;
		unsigned fate;
	} cases[] = {
		{NULL, false, PASSES},
		{ll, false, PASSES}, // what its own MAC makes
		{other_ll, false, SPOOFED},
		{other, false, SPOOFED},
		{none, false, SPOOFED},
		{none, true, PASSES}, // asks whether its address is free, or joins a group
		{other, true, SPOOFED},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ipv6_from(&c, cases[i].src);
		if (cases[i].icmp) {
			craft_icmpv6(&c, 143, (uint8_t[24]){0}, 24); // MLDv2 report
		} else {
			craft_udp(&c, 1, 2);
			craft_payload(&c, 20, 0);
		}
		craft_finish(&c, false);
		assert_int_equal(fate(&strict, c.b, c.len), cases[i].fate);
	}
	// A fragment from nowhere could be anything.
	ipv6_from(&c, none);
	craft_fragment(&c, 0, true);
	craft_icmpv6(&c, 143, (uint8_t[24]){0}, 24);
	craft_finish(&c, false);
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
	// A message of neighbour discovery that claims nothing but its source.
	ipv6_from(&c, NULL);
	craft_icmpv6(&c, 133, (uint8_t[4]){0}, 4);
	craft_finish(&c, false);
	assert_int_equal(fate(&strict, c.b, c.len), PASSES);
}

// A neighbour advertisement for `target`, with a target link-layer address if `mac`.
static unsigned advertise(uint8_t target, uint8_t mac, const uint8_t *src)
{
	static struct craft c;
	uint8_t body[28] = {[4] = 0xfd, [19] = target, [20] = 2, 1, 2, 0, 0, 0, 0, mac};

	ipv6_from(&c, src);
	craft_icmpv6(&c, 136, body, mac ? 28 : 20);
	craft_finish(&c, false);
	return fate(&strict, c.b, c.len);
}

static void neighbour_advertisements(void **state)
{
	static const uint8_t none[16], other[16] = {0xfd, [15] = 2};

	assert_int_equal(advertise(1, 0, NULL), PASSES);
	assert_int_equal(advertise(1, 1, NULL), PASSES);
	assert_int_equal(advertise(2, 1, NULL), SPOOFED); // fd00::2 is at station 1
	assert_int_equal(advertise(1, 2, NULL), SPOOFED); // fd00::1 is at station 2
	assert_int_equal(advertise(1, 1, other), SPOOFED);
	assert_int_equal(advertise(2, 0, none), SPOOFED);
	assert_int_equal(advertise(1, 0, none), PASSES);
}

static void whatever_else(void **state)
{
	static struct craft c;
	const struct policy_config macs_only = {.n_macs = 1, .macs = {{2, 0, 0, 0, 0, 1}}};

	craft_eth(&c, 1, 9);
	craft_type(&c, 0x8847, (uint8_t[40]){0}, 40); // MPLS could carry anything
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
	assert_int_equal(fate(&macs_only, c.b, c.len), PASSES);
	// Headers that go on for longer than we look cannot be checked.
	ipv6_from(&c, NULL);
	craft_ext(&c, 0, 160);
	craft_udp(&c, 1, 2);
	craft_payload(&c, 20, 0);
	craft_finish(&c, false);
	assert_int_equal(fate(&strict, c.b, c.len), SPOOFED);
	assert_int_equal(fate(&macs_only, c.b, c.len), SPOOFED);
}

// --- Rates ---

// Offers `n` frames of `len` bytes at tick `now`; how many pass.
static uint32_t offer(struct policy *p, uint64_t now, uint32_t n, uint32_t len)
{
	static struct frame f[FRAME_BURST];
	struct port_stats st = {0};
	struct frame_list list = {.n = n};

	for (uint32_t i = 0; i < n; i++) {
		list.f[i] = (uint8_t)i;
		f[i].len = len;
	}
	policy_filter(p, now, f, &list, &st);
	assert_int_equal(st.drop[DROP_rate] + list.n, n);
	return list.n;
}

static void frames_a_second(void **state)
{
	const struct policy_config config = {.rate_pps = 1000};
	struct policy *p;
	uint32_t sum = 0;

	assert_int_equal(policy_new(&config, HZ, &p), 0);
	assert_int_equal(offer(p, 0, FRAME_BURST, 60), FRAME_BURST); // a burst's worth
	assert_int_equal(offer(p, 0, FRAME_BURST, 60), 0);
	assert_int_equal(offer(p, 999, 64, 60), 0);
	assert_int_equal(offer(p, 1000, 64, 60), 1);
	assert_int_equal(offer(p, 5500, 64, 60), 4);
	assert_int_equal(offer(p, 6000, 64, 60), 1); // the half frame was not lost
	assert_int_equal(offer(p, 5000, 64, 60), 0); // time does not run back
	for (uint64_t t = 6000; t < 6000 + HZ; t += 137)
		sum += offer(p, t, 3, 60);
	assert_in_range(sum, 998, 1001);
	assert_int_equal(offer(p, 100 * (uint64_t)HZ, FRAME_BURST, 60), FRAME_BURST); // and no more
	assert_int_equal(offer(p, 100 * (uint64_t)HZ, FRAME_BURST, 60), 0);
	policy_free(p);
}

static void bits_a_second(void **state)
{
	const struct policy_config config = {.rate_bps = 100000000}; // 12.5 bytes a tick
	struct policy *p;
	uint64_t bytes = 0;

	assert_int_equal(policy_new(&config, HZ, &p), 0);
	while (offer(p, 0, 1, 1500)) // the bucket is full at first
		bytes += 1500;
	assert_in_range(bytes, 120000, 140000);
	bytes = 0;
	for (uint64_t t = 0; t < HZ; t += 100)
		bytes += 1500ull * offer(p, t, 64, 1500);
	assert_in_range(bytes, 12500000 - 3000, 12500000 + 3000);
	// The longest frame there is fits into the smallest bucket, in time.
	policy_free(p);
	assert_int_equal(policy_new(&(struct policy_config){.rate_bps = 1000}, HZ, &p), 0);
	assert_int_equal(offer(p, 0, 1, FRAME_LEN_MAX), 1);
	policy_free(p);
}

static void a_small_frame_passes_where_a_large_one_does_not(void **state)
{
	const struct policy_config config = {.rate_bps = 8000};
	struct policy *p;

	assert_int_equal(policy_new(&config, HZ, &p), 0);
	while (offer(p, 0, 1, 1500))
		;
	assert_int_equal(offer(p, 0, 1, 60), 1);
	policy_free(p);
}

static void the_fastest_rates_do_not_overflow(void **state)
{
	const struct policy_config config = {.rate_bps = UINT64_MAX, .rate_pps = UINT64_MAX};
	struct policy *p;

	assert_int_equal(policy_new(&config, 5000000000u, &p), 0);
	assert_int_equal(offer(p, 1, 64, FRAME_LEN_MAX), 64);
	assert_int_equal(offer(p, UINT64_MAX / 2, 64, FRAME_LEN_MAX), 64);
	policy_free(p);
}

// A segment costs what the frames cost that it stands for: nobody gets more through in segments.
static void a_segment_costs_its_frames(void **state)
{
	const struct policy_config frames = {.rate_pps = 1000}, bits = {.rate_bps = 1000000};
	const struct policy_config storm = {.storm_pps = 1000};
	struct frame f = {.len = 54 + 44 * 1448,
		.flags = FRAME_OFFLOAD,
		.offload = {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448, .hdr_len = 54}};
	struct port_stats st = {0};
	struct frame_list one;
	struct policy *p;
	uint64_t sum = 0;

	assert_int_equal(offload_parts(&f), 44);
	assert_int_equal(policy_new(&frames, HZ, &p), 0);
	for (uint64_t t = 0; t <= 10 * HZ; t += 1000) {
		one = (struct frame_list){.n = 1};
		policy_filter(p, t, &f, &one, &st);
		sum += 44 * one.n;
	}
	assert_in_range(sum, 9900, 10000 + FRAME_BURST);
	policy_free(p);
	// More parts than the bucket ever holds: all the same, in time.
	f.offload.gso_size = 48;
	assert_int_equal(policy_new(&storm, HZ, &p), 0);
	sum = 0;
	for (uint64_t t = 0; t <= 10 * HZ; t += 1000)
		sum += policy_flood(p, t, &f) ? offload_parts(&f) : 0;
	assert_in_range(sum, 8000, 10000 + 2 * OFFLOAD_PARTS_MAX);
	policy_free(p);
	assert_int_equal(policy_new(&bits, HZ, &p), 0);
	sum = 0;
	for (uint64_t t = 0; t <= 100 * HZ; t += 1000) {
		one = (struct frame_list){.n = 1};
		policy_filter(p, t, &f, &one, &st);
		sum += one.n * 8ull * (f.len + (offload_parts(&f) - 1) * 54);
	}
	assert_in_range(sum, 97000000, 104000000);
	policy_free(p);
}

static void floods(void **state)
{
	const struct frame plain = {.len = 60};
	const struct policy_config config = {.storm_pps = 100}, none = {.rate_pps = 1};
	struct policy *p;
	unsigned n = 0;

	assert_int_equal(policy_new(&config, HZ, &p), 0);
	while (policy_flood(p, 0, &plain))
		n++;
	assert_int_equal(n, FRAME_BURST);
	assert_false(policy_flood(p, 9999, &plain));
	assert_true(policy_flood(p, 10000, &plain));
	assert_false(policy_flood(p, 10000, &plain));
	policy_free(p);
	assert_int_equal(policy_new(&none, HZ, &p), 0);
	for (n = 0; n < 1000; n++)
		assert_true(policy_flood(p, 0, &plain));
	policy_free(p);
}

// --- Configuration ---

static void configurations_have_limits(void **state)
{
	struct policy_config c = {.n_macs = POLICY_ADDRS_MAX, .n_ips = POLICY_ADDRS_MAX};
	struct error err = {0};

	for (unsigned i = 0; i < POLICY_ADDRS_MAX; i++) {
		c.macs[i][0] = 2;
		c.ips[i].family = 4;
	}
	assert_int_equal(policy_check(&c, &err), 0);
	c.n_ips++;
	assert_int_equal(policy_check(&c, &err), -EINVAL);
	assert_string_equal(err.key, "policy.ips");
	assert_non_null(strstr(err.text, "at most"));
	c.n_macs++;
	assert_int_equal(policy_check(&c, &err), -EINVAL);
	assert_string_equal(err.key, "policy.macs");
	assert_non_null(strstr(err.text, "at most"));
	// Any one of these is a policy, and none is none.
	assert_false(policy_is_any(&(struct policy_config){0}));
	assert_true(policy_is_any(&(struct policy_config){.n_macs = 1}));
	assert_true(policy_is_any(&(struct policy_config){.n_ips = 1}));
	assert_true(policy_is_any(&(struct policy_config){.rate_bps = 1}));
	assert_true(policy_is_any(&(struct policy_config){.rate_pps = 1}));
	assert_true(policy_is_any(&(struct policy_config){.storm_pps = 1}));
}

static void configurations(void **state)
{
	const struct {
		struct policy_config c;
		const char *key;
	} cases[] = {
		{{0}, NULL},
		{strict, NULL},
		{{.n_macs = POLICY_ADDRS_MAX + 1}, "policy.macs"},
		{{.n_macs = 1}, "policy.macs"}, // zero
		{{.n_macs = 1, .macs = {{1}}}, "policy.macs"},
		{{.n_ips = POLICY_ADDRS_MAX + 1}, "policy.ips"},
		{{.n_ips = 1, .ips = {{5, 0, {0}}}}, "policy.ips"},
		{{.n_ips = 1, .ips = {{4, 33, {0}}}}, "policy.ips"},
		{{.n_ips = 1, .ips = {{6, 129, {0}}}}, "policy.ips"},
		{{.n_ips = 1, .ips = {{6, 128, {0}}}}, NULL},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = {0};
		assert_int_equal(policy_check(&cases[i].c, &err), cases[i].key ? -EINVAL : 0);
		assert_string_equal(err.key, cases[i].key ? cases[i].key : "");
	}
	assert_false(policy_is_any(&(struct policy_config){.isolated = true}));
	assert_true(policy_is_any(&(struct policy_config){.storm_pps = 1}));
	assert_true(policy_is_any(&strict));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(source_macs),
		cmocka_unit_test(arp_senders),
		cmocka_unit_test(rarp),
		cmocka_unit_test(ipv4_sources),
		cmocka_unit_test(dhcp_from_nowhere),
		cmocka_unit_test(ipv6_sources),
		cmocka_unit_test(neighbour_advertisements),
		cmocka_unit_test(whatever_else),
		cmocka_unit_test(frames_a_second),
		cmocka_unit_test(bits_a_second),
		cmocka_unit_test(a_small_frame_passes_where_a_large_one_does_not),
		cmocka_unit_test(the_fastest_rates_do_not_overflow),
		cmocka_unit_test(floods),
		cmocka_unit_test(a_segment_costs_its_frames),
		cmocka_unit_test(configurations_have_limits),
		cmocka_unit_test(configurations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
