// SPDX-License-Identifier: BSD-2-Clause
// Partial checksums over AF_XDP: those of a peer's stack are found, ours are completed by the kernel.
#include "dataplane/frame/eth.h"
#include "dataplane/port/af_xdp.h"
#include "tests/lib/craft.h"
#include "tests/lib/netns.h"
#include "tests/lib/port_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static int setup(void **state)
{
	netns_run(
		"sysctl -qw net.ipv6.conf.default.disable_ipv6=0 "
		"net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0");
	*state = rig_new_veth("");
	netns_run("ip addr add 10.9.0.1/24 dev wx1 && ip -6 addr add fd09::1/64 dev wx1 nodad && "
		  "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev wx1 && "
		  "ip -6 neigh add fd09::2 lladdr 02:00:00:00:00:02 dev wx1");
	return 0;
}

static void open_mode(struct port_rig *r, int mode)
{
	struct port_config c = {
		.name = "up", .type = "af-xdp", .device = "wx0", .xdp_mode = (unsigned)mode};
	rig_open_ok(r, &c);
}

// Makes the peer's stack send one packet of a protocol to the port.
static void peer_sends(bool v6, bool tcp)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	inet_pton(AF_INET, "10.9.0.2", &to4.sin_addr);
	inet_pton(AF_INET6, "fd09::2", &to6.sin6_addr);
	int fd = socket(v6 ? AF_INET6 : AF_INET,
		(tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc = connect(fd, v6 ? (void *)&to6 : (void *)&to4, v6 ? sizeof(to6) : sizeof(to4));
	assert_true(rc == 0 || errno == EINPROGRESS);
	if (!tcp)
		assert_int_equal(send(fd, "hello world", 11, 0), 11);
	close(fd);
}

// The bytes with their checksum completed as the switch would for a guest that takes only whole
// ones, checked the slow way.
static void expect_right(struct frame *f, bool v6)
{
	static uint8_t bytes[2048];
	assert_int_equal(offload_check(f), 0);
	offload_complete_csum(f);
	frame_copy(f, 0, bytes, f->len);
	uint32_t l4 = 14 + (v6 ? 40 : 20), len = f->len - l4;
	uint32_t sum = len + (v6 ? bytes[20] : bytes[23]);
	for (uint32_t i = v6 ? 22 : 26; i < l4; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	assert_int_equal(craft_checksum(bytes + l4, len, sum), 0);
}

static void receive_and_check(struct port_rig *r, bool v6, bool tcp)
{
	for (bool found = false; !found;) {
		assert_true(rig_rx(r));
		for (uint32_t i = 0; i < r->burst.n; i++) {
			struct frame *f = &r->burst.f[i];
			const uint8_t *head = frame_head(f);
			if (eth_type(f) != (v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4) ||
				head[v6 ? 20 : 23] != (tcp ? IPPROTO_TCP : IPPROTO_UDP))
				continue; // something of the stack's own
			found = true;
			assert_int_equal(f->offload.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			assert_true(r->burst.flags & FRAME_OFFLOAD);
			expect_right(f, v6);
		}
		rig_rx_done(r);
	}
}

static void test_what_a_local_stack_begins_is_found(void **state)
{
	struct port_rig *r = *state;
	static const int mode[] = {XDP_MODE_COPY, XDP_MODE_GENERIC};
	for (unsigned m = 0; m < N(mode); m++) {
		open_mode(r, mode[m]);
		for (unsigned i = 0; i < 4; i++) {
			peer_sends(i & 1, i & 2);
			receive_and_check(r, i & 1, i & 2);
		}
		rig_close(r);
	}
}

static bool far_gets(void *ctx)
{
	struct craft *got = ctx;
	ssize_t n = recv((int)got->hdr_len, got->b, sizeof(got->b), 0);
	got->len = n > 0 ? (uint32_t)n : 0;
	return n > 0 && got->b[5] == 1;
}

static void send_partial(struct port_rig *r, bool v6, bool tcp, unsigned tags)
{
	static struct craft c, whole, got;
	static struct frame_seg segs[CRAFT_SEGS];
	static const uint8_t list[] = {0};
	struct frame f;
	for (int partial = 0; partial < 2; partial++) {
		memset(&c, 0, sizeof(c));
		craft_eth(&c, 2, 1);
		for (unsigned i = 0; i < tags; i++)
			craft_tag(&c, ETH_TYPE_VLAN, 10);
		if (v6)
			craft_ipv6(&c, 2, 1);
		else
			craft_ipv4(&c, 2, 1, 0);
		if (tcp)
			craft_tcp(&c, 80, 5000, 0x10, 0);
		else
			craft_udp(&c, 53, 5000);
		craft_payload(&c, 777, 3);
		craft_finish(&c, partial);
		if (!partial)
			whole = c;
	}
	struct virtio_net_hdr claim = craft_claim(&c, 0, 0);
	craft_lend(&f, c.b, c.len, 300, segs, &claim);
	assert_int_equal(offload_check(&f), 0);
	assert_int_equal(r->port->ops->tx(r->port, 0, &f, list, 1, &r->st), 1);
	r->port->ops->notify(r->port, 0, PORT_TX, &r->st);
	got.hdr_len = (uint32_t)r->far;
	assert_true(netns_wait(far_gets, &got));
	// A packet socket shows the frame without its tag.
	uint32_t tag = tags * ETH_TAG_LEN;
	assert_int_equal(got.len, whole.len - tag);
	assert_memory_equal(got.b, whole.b, 12);
	assert_memory_equal(got.b + 12, whole.b + 12 + tag, whole.len - 12 - tag);
}

// With a device that cannot, the kernel completes what transmit metadata asks for: the wire has
// what it should. (With one that can, a packet socket would see it before the card has done it.)
static void test_transmit_metadata_completes_checksums(void **state)
{
	struct port_rig *r = *state;
	netns_run("ethtool -K wx0 tx off >/dev/null");
	open_mode(r, XDP_MODE_AUTO);
	if (!(r->port->offloads & PORT_OFFLOAD_CSUM)) {
		print_message("SKIP: transmit metadata (Linux 6.11)\n");
		skip();
	}
	assert_string_equal(rig_says(r, "tx_checksum_offload"), "true");
	for (unsigned i = 0; i < 8; i++)
		send_partial(r, i & 1, i & 2, i / 4);
	assert_int_equal(r->st.drop[DROP_no_offload], 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_what_a_local_stack_begins_is_found),
		T(test_transmit_metadata_completes_checksums),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
