// SPDX-License-Identifier: BSD-2-Clause
// A NIC shared with the host: each gets its own unicast, both get what goes to many.
#include "bpf/weft_xdp.h"
#include "dataplane/frame/eth.h"
#include "dataplane/port/af_xdp.h"
#include "tests/lib/netns.h"
#include "tests/lib/port_rig.h"

#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static const struct port_config shared = {
	.name = "up", .type = "af-xdp", .device = "wx0", .share_host = true};

static const uint8_t vm[6] = {2, 0, 0, 0, 0, 0x11}, host[6] = {2, 0, 0, 0, 0, 0xa0},
		     all[6] = {255, 255, 255, 255, 255, 255},
		     group[6] = {0x33, 0x33, 0xff, 0, 0, 1};

struct shared {
	struct port_rig rig;
	int host; // what reaches the host's stack on wx0
};

static int setup(void **state)
{
	struct shared *s = aligned_alloc(64, (sizeof(*s) + 63) & ~(size_t)63);
	rig_init(&s->rig);
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "numtxqueues 2 numrxqueues 2");
	s->rig.far = netns_packet("wx1");
	s->host = netns_packet("wx0");
	rig_open_ok(&s->rig, &shared);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct shared *s = *state;
	rig_fini(&s->rig);
	close(s->host);
	netns_try("ip link del wx0 2>/dev/null");
	free(s);
	return 0;
}

// Sends a frame from the far end, with a tag unless vid is 0. Returns its length.
static uint32_t far_sends(struct shared *s, const uint8_t *to, uint16_t vid, uint8_t number)
{
	uint8_t frame[100] = {0};
	rig_fill(frame, sizeof(frame), number);
	memcpy(frame, to, 6);
	if (vid) {
		memmove(frame + 16, frame + 12, sizeof(frame) - 16);
		eth_put_be16(frame + 12, ETH_TYPE_VLAN);
		eth_put_be16(frame + 14, vid);
	}
	assert_int_equal(send(s->rig.far, frame, sizeof(frame), 0), sizeof(frame));
	return sizeof(frame);
}

struct seen {
	struct shared *s;
	bool weft, host;
	uint16_t weft_tci, weft_type;
};

// Looks where frames to `to` arrive, until a last one (to everybody) has been seen by both.
static bool all_seen(void *ctx)
{
	struct seen *seen = ctx;
	struct port_rig *r = &seen->s->rig;
	static bool weft_last, host_last;
	uint8_t got[256];
	ssize_t n;
	while ((n = recv(seen->s->host, got, sizeof(got), 0)) > 0) {
		if (n == 99)
			host_last = true;
		else if (n > 60)
			seen->host = true;
	}
	// The host's frames are not counted beforehand: rx is to look.
	assert_int_equal(r->port->ops->rx_backlog(r->port, r->port->n_rxq - 1, 5, &r->st),
		PORT_BACKLOG_UNKNOWN);
	for (r->q = 0; r->q < r->port->n_rxq; r->q++) {
		if (!r->port->ops->rx(r->port, r->q, &r->burst, FRAME_BURST, &r->st))
			continue;
		for (uint32_t i = 0; i < r->burst.n; i++) {
			struct frame *f = &r->burst.f[i];
			if (f->len == 99) {
				weft_last = true;
			} else {
				seen->weft = true;
				seen->weft_type = eth_type(f);
				if (!eth_parse_tag(f, &seen->weft_tci))
					seen->weft_tci = 0;
			}
		}
		rig_rx_done(r);
	}
	if (!weft_last || !host_last)
		return false;
	weft_last = host_last = false;
	return true;
}

static struct seen send_and_look(struct shared *s, const uint8_t *to, uint16_t vid)
{
	struct seen seen = {.s = s};
	uint8_t last[99];
	far_sends(s, to, vid, 1);
	rig_fill(last, sizeof(last), 0);
	memcpy(last, all, 6);
	assert_int_equal(send(s->rig.far, last, sizeof(last), 0), sizeof(last));
	assert_true(netns_wait(all_seen, &seen));
	return seen;
}

static void steer(struct shared *s, uint16_t vid, bool add)
{
	s->rig.port->ops->steer(s->rig.port, vm, vid, add);
}

static void test_each_gets_its_unicast(void **state)
{
	struct shared *s = *state;
	struct seen seen = send_and_look(s, host, 0);
	assert_true(seen.host && !seen.weft);
	seen = send_and_look(s, vm, 0); // not steered yet
	assert_true(seen.host && !seen.weft);
	steer(s, 0, true);
	seen = send_and_look(s, vm, 0);
	assert_true(!seen.host && seen.weft);
	seen = send_and_look(s, host, 0);
	assert_true(seen.host && !seen.weft);
	steer(s, 0, false);
	seen = send_and_look(s, vm, 0);
	assert_true(seen.host && !seen.weft);
	steer(s, 0, false); // twice does no harm
}

static void test_vlans_are_told_apart(void **state)
{
	struct shared *s = *state;
	steer(s, 10, true);
	struct seen seen = send_and_look(s, vm, 10);
	assert_true(!seen.host && seen.weft);
	assert_int_equal(seen.weft_tci, 10);
	seen = send_and_look(s, vm, 11);
	assert_true(seen.host && !seen.weft);
	seen = send_and_look(s, vm, 0);
	assert_true(seen.host && !seen.weft);
}

static void test_what_goes_to_many_reaches_both_with_its_tag(void **state)
{
	struct shared *s = *state;
	struct seen seen = send_and_look(s, all, 0);
	assert_true(seen.host && seen.weft);
	assert_int_equal(seen.weft_tci, 0);
	assert_int_equal(seen.weft_type, 0x88b5);
	seen = send_and_look(s, group, 0);
	assert_true(seen.host && seen.weft);
	seen = send_and_look(s, all, 0x600a);
	assert_true(seen.host && seen.weft);
	assert_int_equal(seen.weft_type, ETH_TYPE_VLAN);
	assert_int_equal(seen.weft_tci, 0x600a);
}

static void test_steering_survives_the_device(void **state)
{
	struct shared *s = *state;
	steer(s, 0, true);
	netns_run("ip link set wx0 mtu 1400");
	rig_wait_log(&s->rig, "set up again");
	rig_wait_link(&s->rig, PORT_LINK_UP);
	struct seen seen = send_and_look(s, vm, 0);
	assert_true(!seen.host && seen.weft);
}

// A guest that sends from the NIC's own address would have cut the host off.
static void test_the_hosts_own_address_is_never_steered(void **state)
{
	struct shared *s = *state;
	struct port *port = s->rig.port;
	port->ops->steer(port, host, 0, true);
	struct seen seen = send_and_look(s, host, 0);
	assert_true(seen.host && !seen.weft);
	rig_wait_log(&s->rig, "sends from its own address, 02:00:00:00:00:a0");
	// Nor once it becomes the NIC's own; what is not any more is steered.
	steer(s, 0, true);
	netns_run("ip link set wx0 address 02:00:00:00:00:11");
	rig_wait_log(&s->rig, "sends from its own address, 02:00:00:00:00:11");
	seen = send_and_look(s, vm, 0);
	assert_true(seen.host && !seen.weft);
	seen = send_and_look(s, host, 0);
	assert_true(!seen.host && seen.weft);
	// It has moved behind the NIC meanwhile.
	steer(s, 0, false);
	netns_run("ip link set wx0 address 02:00:00:00:00:a0");
	for (seen.host = false; !seen.host;) // until that was noticed
		seen = send_and_look(s, host, 0);
	seen = send_and_look(s, vm, 0);
	assert_true(seen.host && !seen.weft);
}

// An address more than the map holds is told once, however many follow, and again after a rest.
static void test_addresses_without_room_are_told_once(void **state)
{
	struct shared *s = *state;
	struct port *port = s->rig.port;
	static const char *const text = "cannot steer one more address";
	const unsigned more = 100;
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < (round ? 0 : WEFT_XDP_STEERED) + more; i++) {
			uint8_t mac[6] = {2, 1, (uint8_t)round, i >> 16, i >> 8 & 0xff, i & 0xff};
			port->ops->steer(port, mac, 0, true);
		}
		port->ops->tick(port);
		rig_wait_log(&s->rig, text);
		assert_null(strstr(strstr(s->rig.log, text) + 1, text));
		rig_clear_log(&s->rig);
		port->ops->tick(port);
	}
	assert_int_equal(rig_number(&s->rig, "addresses_not_steered"), 2 * more);
}

static bool is_even(void *ctx, const uint8_t *mac, uint16_t vid)
{
	return mac[5] % 2 == 0;
}

// The address `i` of many.
static void steer_one_of_many(struct port *port, uint32_t i, bool add)
{
	const uint8_t mac[6] = {2, 1, 0, i >> 16, i >> 8 & 0xff, i & 0xff};
	port->ops->steer(port, mac, 0, add);
}

// It stayed with the host until it moved, however much room there was.
static void test_an_address_without_room_is_steered_when_there_is(void **state)
{
	struct shared *s = *state;
	struct port *port = s->rig.port;
	for (uint32_t i = 0; i < WEFT_XDP_STEERED; i++)
		steer_one_of_many(port, i, true);
	steer(s, 0, true);
	steer(s, 10, true);
	steer(s, 10, true); // once more of the same is no more
	assert_int_equal(rig_number(&s->rig, "addresses_not_steered"), 2);
	port->ops->tick(port);
	struct seen seen = send_and_look(s, vm, 0);
	assert_true(seen.host && !seen.weft);
	// Those that wait may be forgotten as well.
	steer(s, 10, false);
	assert_int_equal(rig_number(&s->rig, "addresses_not_steered"), 1);
	steer_one_of_many(port, 5, false);
	port->ops->tick(port);
	assert_int_equal(rig_number(&s->rig, "addresses_not_steered"), 0);
	seen = send_and_look(s, vm, 0);
	assert_true(!seen.host && seen.weft);
	seen = send_and_look(s, vm, 10);
	assert_true(seen.host && !seen.weft);
	// All that is known is told again, and what waited is not known any more.
	steer(s, 10, true);
	assert_int_equal(rig_number(&s->rig, "addresses_not_steered"), 1);
	port->ops->steer_check(port, is_even, NULL);
	port->ops->tick(port);
	assert_int_equal(rig_number(&s->rig, "addresses_not_steered"), 0);
	seen = send_and_look(s, vm, 10);
	assert_true(seen.host && !seen.weft);
}

// Without room, it is the NIC's own meanwhile: it waits for nothing then.
static void test_an_address_without_room_that_becomes_the_hosts(void **state)
{
	struct shared *s = *state;
	struct port *port = s->rig.port;
	for (uint32_t i = 0; i < WEFT_XDP_STEERED; i++)
		steer_one_of_many(port, i, true);
	steer(s, 0, true);
	netns_run("ip link set wx0 address 02:00:00:00:00:11");
	rig_wait_log(&s->rig, "sends from its own address, 02:00:00:00:00:11");
	assert_int_equal(rig_number(&s->rig, "addresses_not_steered"), 0);
	steer_one_of_many(port, 5, false);
	port->ops->tick(port);
	struct seen seen = send_and_look(s, vm, 0);
	assert_true(seen.host && !seen.weft);
}

// What is not known any more goes, whoever lost word of it; the rest stays.
static void test_addresses_are_checked(void **state)
{
	struct shared *s = *state;
	struct port *port = s->rig.port;
	const uint8_t even[6] = {2, 0, 0, 0, 0, 0x22};
	for (unsigned i = 0; i < 1000; i++) {
		const uint8_t mac[6] = {2, 1, 0, 0, (uint8_t)(i >> 7), (uint8_t)(i << 1 | 1)};
		port->ops->steer(port, mac, (uint16_t)i, true);
	}
	steer(s, 0, true);
	port->ops->steer(port, even, 0, true);
	port->ops->steer_check(port, is_even, NULL);
	struct seen seen = send_and_look(s, vm, 0);
	assert_true(seen.host && !seen.weft);
	seen = send_and_look(s, even, 0);
	assert_true(!seen.host && seen.weft);
	for (unsigned i = 0; i < WEFT_XDP_STEERED - 1; i++) { // there is room again
		const uint8_t mac[6] = {2, 2, 0, i >> 16, i >> 8 & 0xff, i & 0xff};
		port->ops->steer(port, mac, 0, true);
	}
	assert_int_equal(rig_number(&s->rig, "addresses_not_steered"), 0);
}

// The host's own broadcasts go out, and do not come back to weft as if they were received.
static void test_what_the_host_sends_is_not_copied(void **state)
{
	struct shared *s = *state;
	uint8_t frame[80];
	rig_fill(frame, sizeof(frame), 1);
	memcpy(frame, all, 6);
	assert_int_equal(send(s->host, frame, sizeof(frame), 0), sizeof(frame));
	struct seen seen = send_and_look(s, host, 0);
	assert_false(seen.weft);
}

// A peer's stack leaves the checksum of its multicasts to a card: the copy says so.
static void test_a_partial_checksum_of_a_multicast_is_claimed(void **state)
{
	struct shared *s = *state;
	struct port_rig *r = &s->rig;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5353)};
	to.sin_addr.s_addr = htonl(0xe00000fb);
	netns_run("ip addr add 10.9.0.1/24 dev wx1 && ip route add 224.0.0.0/4 dev wx1");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(sendto(fd, "hello", 5, 0, (void *)&to, sizeof(to)) == 5);
	close(fd);
	bool found = false;
	while (!found) {
		assert_true(rig_rx(r));
		for (uint32_t i = 0; i < r->burst.n; i++) {
			const struct frame *f = &r->burst.f[i];
			if (eth_type(f) != ETH_TYPE_IPV4 || f->len != 47)
				continue;
			found = true;
			assert_int_equal(f->offload.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			assert_int_equal(f->offload.csum_start, 34);
			assert_true(f->flags & FRAME_OFFLOAD);
		}
		rig_rx_done(r);
	}
}

static void test_many_broadcasts_go_round_the_ring(void **state)
{
	struct shared *s = *state;
	for (unsigned i = 0; i < 1500; i++) {
		struct seen seen = send_and_look(s, all, 0);
		assert_true(seen.weft && seen.host);
	}
	assert_int_equal(rig_number(&s->rig, "multicast_copies_lost"), 0);
}

// Those of a ring that is closed were forgotten, unless somebody had asked for them before.
static void test_lost_copies_are_counted_beyond_their_ring(void **state)
{
	struct shared *s = *state;
	for (unsigned i = 0; i < 600; i++) // the ring holds 512
		far_sends(s, all, 0, 1);
	netns_run("ip link set wx0 mtu 1400");
	rig_wait_log(&s->rig, "set up again");
	assert_in_range(rig_number(&s->rig, "multicast_copies_lost"), 1, 600);
}

static void test_the_copy_wakes_a_sleeping_worker(void **state)
{
	struct shared *s = *state;
	struct port *port = s->rig.port;
	unsigned q = port->n_rxq - 1;
	assert_false(port->ops->arm(port, q));
	far_sends(s, all, 0, 1);
	struct pollfd p = {.fd = port->rxq[q].fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_true(port->ops->arm(port, q));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_each_gets_its_unicast),
		T(test_vlans_are_told_apart),
		T(test_what_goes_to_many_reaches_both_with_its_tag),
		T(test_steering_survives_the_device),
		T(test_the_hosts_own_address_is_never_steered),
		T(test_addresses_without_room_are_told_once),
		T(test_an_address_without_room_is_steered_when_there_is),
		T(test_an_address_without_room_that_becomes_the_hosts),
		T(test_addresses_are_checked),
		T(test_what_the_host_sends_is_not_copied),
		T(test_a_partial_checksum_of_a_multicast_is_claimed),
		T(test_many_broadcasts_go_round_the_ring),
		T(test_lost_copies_are_counted_beyond_their_ring),
		T(test_the_copy_wakes_a_sleeping_worker),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
