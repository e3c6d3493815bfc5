// SPDX-License-Identifier: BSD-2-Clause
// The tap port: frames and offloads both ways with the host's stack, and an interface that goes.
#include "dataplane/frame/eth.h"
#include "dataplane/port/tap.h"
#include "tests/lib/craft.h"
#include "tests/lib/netns.h"
#include "tests/lib/port_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/udp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct port_config weft0 = {
	.name = "host", .type = "tap", .device = "weft0", .queues = 1};

// What the kernel says to the next frames that are written, unless 0.
static int refusal;

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	errno = refusal;
	return refusal ? -1 : syscall(SYS_writev, fd, iov, n);
}

static int setup(void **state)
{
	refusal = 0;
	*state = rig_new();
	return 0;
}

static int teardown(void **state)
{
	rig_teardown(state);
	netns_try("ip link del weft0 2>/dev/null; ip netns del weft-test-$PPID 2>/dev/null");
	return 0;
}

static void open_tap(struct port_rig *r)
{
	rig_open_ok(r, &weft0);
	r->far = netns_packet("weft0");
}

// From now on whoever opens a file fails.
static void no_more_files(struct rlimit *before)
{
	int lowest = dup(0);
	assert_true(lowest > 0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
	struct rlimit none = {(rlim_t)lowest, before->rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

// The port looks at its own after each.
#define OTHERS 10
static void change_other_interfaces(void)
{
	netns_run("ulimit -Sn 256; for i in 1 2 3 4 5; do ip link add wxo0 type veth peer wxo1 && "
		  "ip link del wxo0 || exit 1; done");
}

static void test_frames_of_all_lengths_pass_both_ways(void **state)
{
	static const uint32_t lengths[] = {14, 15, 60, 63, 64, 65, 1000, 1513, 1514};
	struct port_rig *r = *state;
	open_tap(r);
	for (unsigned i = 0; i < N(lengths); i++)
		rig_exchange(r, lengths[i]);
	assert_int_equal(r->st.rx_frames, N(lengths));
	assert_int_equal(r->st.tx_frames, N(lengths));
	assert_true(r->st.notified >= 2 * N(lengths));
}

static void test_frames_above_the_mtu_are_counted(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	assert_int_equal(rig_tx(r, 0, 1515, 1), 1);
	assert_int_equal(r->st.drop[DROP_too_long], 1);
	netns_run("ip link set weft0 mtu 9000");
	for (unsigned n = 0; port_load(&r->port->mtu) != 9000; n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	rig_exchange(r, 9014);
}

static const struct sockaddr_in to_vm = {
	.sin_family = AF_INET, .sin_port = 0x0900, .sin_addr.s_addr = 0x0200000a}; // 10.0.0.2:9

static void give_address(void)
{
	netns_run("ip addr add 10.0.0.1/24 dev weft0 && "
		  "ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev weft0");
}

// The host leaves checksums and segments to us, and the port says so.
static void test_the_hosts_offloads_are_claimed(void **state)
{
	struct port_rig *r = *state;
	static uint8_t payload[6000];
	int size = 1000;
	open_tap(r);
	give_address();
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(sendto(fd, payload, 100, 0, (void *)&to_vm, sizeof(to_vm)) == 100);
	assert_true(rig_rx(r));
	struct frame *f = &r->burst.f[0];
	assert_true(f->flags & FRAME_OFFLOAD);
	assert_int_equal(f->offload.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(f->offload.csum_start, 34);
	assert_int_equal(f->offload.csum_offset, 6);
	rig_rx_done(r);
	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) == 0 &&
		r->port->offloads & PORT_OFFLOAD_USO4) {
		assert_true(sendto(fd, payload, 5500, 0, (void *)&to_vm, sizeof(to_vm)) == 5500);
		assert_true(rig_rx(r));
		f = &r->burst.f[0];
		assert_int_equal(f->len, 42 + 5500);
		assert_int_equal(f->offload.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
		assert_int_equal(f->offload.gso_size, 1000);
		assert_int_equal(f->offload.hdr_len, 42); // exact, whatever the kernel hinted
		rig_rx_done(r);
	}
	close(fd);
}

// Headers longer than the head are pulled before the switch cuts a segment behind them: weftd
// crashed on the first large write of a TCP connection with timestamps.
static void test_headers_of_a_segment_are_in_its_head(void **state)
{
	struct port_rig *r = *state;
	static struct craft c;
	struct virtio_net_hdr claim;
	open_tap(r);
	int hdr_size = sizeof(claim), one = 1;
	assert_int_equal(setsockopt(r->far, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	memset(&c, 0, sizeof(c));
	craft_eth(&c, 1, 2);
	craft_ipv4(&c, 1, 2, 0);
	craft_tcp(&c, 80, 5000, 0x10, 40);
	craft_payload(&c, 4000, 1);
	craft_finish(&c, true);
	claim = craft_claim(&c, VIRTIO_NET_HDR_GSO_TCPV4, 1000);
	struct iovec iov[] = {{&claim, (size_t)hdr_size}, {c.b, c.len}};
	assert_int_equal(writev(r->far, iov, 2), hdr_size + c.len);
	assert_true(rig_rx(r));
	const struct frame *f = &r->burst.f[0];
	assert_int_equal(f->len, c.len);
	assert_int_equal(f->offload.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(f->offload.hdr_len, 14 + 20 + 60);
	assert_true(f->head_len >= f->offload.hdr_len);
	rig_rx_done(r);
}

// What is dropped takes a worker no longer than what is not: a host that sent nothing else kept it.
static void test_a_look_ends_whatever_is_dropped(void **state)
{
	struct port_rig *r = *state;
	static uint8_t bytes[100];
	int one = 1;
	struct virtio_net_hdr claim = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 60, .csum_offset = 16};
	open_tap(r);
	assert_int_equal(setsockopt(r->far, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	rig_fill(bytes, sizeof(bytes), 1);
	eth_put_be16(bytes + 12, ETH_TYPE_ARP); // which has no checksum
	struct iovec iov[] = {{&claim, sizeof(claim)}, {bytes, sizeof(bytes)}};
	for (unsigned i = 0; i < 2 * FRAME_BURST; i++)
		assert_int_equal(writev(r->far, iov, 2), sizeof(claim) + sizeof(bytes));
	for (unsigned look = 1; look <= 2; look++) {
		assert_int_equal(r->port->ops->rx(r->port, 0, &r->burst, FRAME_BURST, &r->st), 0);
		assert_int_equal(r->st.drop[DROP_malformed], look * FRAME_BURST);
	}
	assert_int_equal(r->st.notified, 2 * FRAME_BURST);
}

static void test_no_more_is_lent_than_asked_for(void **state)
{
	struct port_rig *r = *state;
	static uint8_t bytes[100];
	open_tap(r);
	rig_fill(bytes, sizeof(bytes), 1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(write(r->far, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(r->port->ops->rx(r->port, 0, &r->burst, 3, &r->st), 3);
	rig_rx_done(r);
	assert_int_equal(r->port->ops->rx(r->port, 0, &r->burst, FRAME_BURST, &r->st), 2);
	rig_rx_done(r);
}

static bool readable(void *ctx)
{
	struct pollfd p = {.fd = *(int *)ctx, .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

// A partial checksum and a segment of a guest's arrive at the host's socket.
static void test_the_host_takes_partial_checksums_and_segments(void **state)
{
	struct port_rig *r = *state;
	static struct craft c;
	static struct frame_seg segs[CRAFT_SEGS];
	static uint8_t got[4096];
	static const uint8_t list[] = {0};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct frame f;
	netns_run("sysctl -qw net.ipv4.conf.default.rp_filter=0");
	open_tap(r);
	netns_run("ip link set weft0 address 02:00:00:00:00:01");
	give_address();
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (void *)&at, sizeof(at)), 0);
	for (unsigned segment = 0; segment < 2; segment++) {
		if (segment && !(r->port->offloads & PORT_OFFLOAD_USO4))
			break;
		memset(&c, 0, sizeof(c));
		craft_eth(&c, 2, 1);
		craft_ipv4(&c, 2, 1, 0);
		craft_udp(&c, 5000, 9);
		craft_payload(&c, segment ? 2500 : 900, 1);
		craft_finish(&c, true);
		struct virtio_net_hdr claim =
			craft_claim(&c, segment ? VIRTIO_NET_HDR_GSO_UDP_L4 : 0, 1000);
		craft_lend(&f, c.b, c.len, 700, segs, &claim);
		assert_int_equal(offload_check(&f), 0);
		assert_true(f.flags & FRAME_OFFLOAD);
		assert_int_equal(r->port->ops->tx(r->port, 0, &f, list, 1, &r->st), 1);
		for (uint32_t left = segment ? 2500 : 900; left > 0;) {
			assert_true(netns_wait(readable, &fd));
			ssize_t n = recv(fd, got, sizeof(got), 0);
			assert_int_equal(n, left < 1000 ? left : 1000);
			left -= (uint32_t)n;
		}
	}
	assert_int_equal(r->st.drop[DROP_no_offload], 0);
	close(fd);
}

static void test_a_claim_the_kernel_refuses_is_counted(void **state)
{
	struct port_rig *r = *state;
	static const uint8_t list[] = {0};
	struct frame_seg segs[2];
	static uint8_t bytes[200];
	struct frame f;
	open_tap(r);
	rig_fill(bytes, 200, 1);
	rig_make(&f, segs, bytes, 200);
	f.flags = FRAME_OFFLOAD;
	f.offload = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 190, .csum_offset = 100};
	assert_int_equal(r->port->ops->tx(r->port, 0, &f, list, 1, &r->st), 1);
	assert_int_equal(r->st.drop[DROP_no_offload], 1);
}

static void test_each_refusal_has_its_reason(void **state)
{
	struct port_rig *r = *state;
	static const struct {
		int error;
		enum drop_reason reason;
		bool later; // the frame stays with the switch
	} rows[] = {
		{EAGAIN, 0, true},
		{ENOBUFS, 0, true},
		{ENOMEM, 0, true},
		{EINVAL, DROP_no_offload, false},
		{EIO, DROP_port_down, false},
		{EBADFD, DROP_port_down, false},
	};
	open_tap(r);
	for (unsigned i = 0; i < N(rows); i++) {
		struct port_stats before = r->st;
		refusal = rows[i].error;
		assert_int_equal(rig_tx(r, 0, 100, 1), !rows[i].later);
		refusal = 0;
		assert_int_equal(r->st.tx_frames, before.tx_frames);
		assert_int_equal(r->st.tx_bytes, before.tx_bytes);
		for (unsigned reason = 0; reason < N_DROP_REASONS; reason++)
			assert_int_equal(r->st.drop[reason],
				before.drop[reason] + (!rows[i].later && reason == rows[i].reason));
	}
	rig_exchange(r, 100);
}

static void test_a_tag_makes_no_frame_too_long(void **state)
{
	struct port_rig *r = *state;
	static uint8_t bytes[1519];
	static const uint8_t list[] = {0};
	struct frame_seg segs[2];
	struct frame f;
	open_tap(r);
	for (uint32_t len = 1518; len <= 1519; len++) {
		rig_fill(bytes, len, 1);
		rig_make(&f, segs, bytes, len);
		f.flags = FRAME_TAGGED;
		assert_int_equal(r->port->ops->tx(r->port, 0, &f, list, 1, &r->st), 1);
	}
	assert_int_equal(r->st.tx_frames, 1);
	assert_int_equal(r->st.drop[DROP_too_long], 1);
}

// More pieces than are written at once, or a segment of a kind that this kernel's tap has not.
static void test_what_cannot_be_passed_on_is_counted(void **state)
{
	struct port_rig *r = *state;
	static uint8_t bytes[700];
	static struct frame_seg segs[513];
	static struct craft c;
	static const uint8_t list[] = {0};
	struct frame f;
	open_tap(r);
	rig_fill(bytes, sizeof(bytes), 1);
	rig_make(&f, segs, bytes, FRAME_HEAD);
	for (unsigned n = 512; n <= 513; n++) {
		for (unsigned i = 0; i < n; i++)
			segs[i] = (struct frame_seg){1, bytes + FRAME_HEAD + i};
		frame_set_segs(&f, segs, n);
		f.len = FRAME_HEAD + n;
		assert_int_equal(r->port->ops->tx(r->port, 0, &f, list, 1, &r->st), 1);
		assert_int_equal(r->st.tx_frames, 1);
		assert_int_equal(r->st.drop[DROP_no_offload], n - 512);
	}
	craft_eth(&c, 2, 1);
	craft_ipv4(&c, 2, 1, 0);
	craft_udp(&c, 5000, 9);
	craft_payload(&c, 2500, 1);
	craft_finish(&c, true);
	struct virtio_net_hdr claim = craft_claim(&c, VIRTIO_NET_HDR_GSO_UDP_L4, 1000);
	craft_lend(&f, c.b, c.len, 700, segs, &claim);
	assert_int_equal(offload_check(&f), 0);
	__atomic_store_n(&r->port->offloads, PORT_OFFLOAD_CSUM, __ATOMIC_RELAXED);
	assert_int_equal(r->port->ops->tx(r->port, 0, &f, list, 1, &r->st), 1);
	assert_int_equal(r->st.tx_frames, 1);
	assert_int_equal(r->st.drop[DROP_no_offload], 2);
}

static void test_an_interface_set_down_drops_and_is_told(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	netns_run("ip link set weft0 down");
	rig_wait_link(r, PORT_LINK_DOWN);
	assert_int_equal(rig_tx(r, 0, 100, 1), 1);
	assert_int_equal(r->st.drop[DROP_port_down], 1);
	netns_run("ip link set weft0 up");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
}

static void test_a_deleted_interface_is_made_again(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	netns_run("ip link del weft0");
	rig_wait_log(r, "weft0 was deleted; made again");
	rig_wait_link(r, PORT_LINK_UP);
	close(r->far);
	r->far = netns_packet("weft0");
	rig_exchange(r, 100);
}

static void test_an_interface_in_another_namespace_keeps_working(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	netns_run("ip netns add weft-test-$PPID && ip link set weft0 netns weft-test-$PPID && "
		  "ip -n weft-test-$PPID link set weft0 up");
	for (unsigned n = 0; strcmp(rig_says(r, "state"), "in another namespace"); n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	uint64_t drops = r->st.drop[DROP_port_down];
	assert_int_equal(rig_tx(r, 0, 100, 1), 1);
	assert_int_equal(r->st.drop[DROP_port_down], drops);
}

static void wait_mtu(struct port_rig *r, uint32_t mtu)
{
	for (unsigned n = 0; port_load(&r->port->mtu) != mtu; n++)
		assert_true(n < 10000 && usleep(1000) == 0);
}

// It was said to be in another namespace, and its MTU was not followed.
static void test_a_renamed_interface_is_followed(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	struct port_config c = r->port->config;
	struct error err;
	netns_run("ip link set weft0 name weft9 && ip link set weft9 mtu 1400");
	wait_mtu(r, 1400);
	assert_string_equal(rig_says(r, "state"), "up");
	c.mtu = 1450;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), 0);
	wait_mtu(r, 1450);
	netns_run("ip link set weft9 down");
	rig_wait_link(r, PORT_LINK_DOWN);
	assert_true(rig_why_has(r, "weft9 is set down"));
}

// Another one that has its name here is not taken for it.
static void test_an_interface_elsewhere_is_not_confused_with_one_here(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	netns_run("ip netns add weft-test-$PPID && ip link set weft0 netns weft-test-$PPID && "
		  "ip link add weft0 mtu 1300 type veth peer name weft8");
	for (unsigned n = 0; strcmp(rig_says(r, "state"), "in another namespace"); n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	assert_int_equal(port_load(&r->port->mtu), 1500);
	assert_int_equal(r->link, PORT_LINK_UP);
	// Nor is it given the MTU that is meant for ours.
	struct port_config c = r->port->config;
	struct error err;
	c.mtu = 1350;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), -ENODEV);
	assert_non_null(strstr(err.text, "weft0 is in another namespace: set it there"));
	netns_run("ip link show weft0 | grep -q 'mtu 1300' && ip link del weft0");
}

// One that was made beforehand keeps its addresses over a restart.
static void test_an_interface_that_was_there_stays(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = weft0;
	struct error err;
	netns_run("ip tuntap add weft0 mode tap && ip link set weft0 address 02:00:00:00:00:77");
	for (unsigned i = 0; i < 2; i++) {
		open_tap(r);
		rig_exchange(r, 1514);
		close(r->far);
		r->far = -1;
		rig_close(r);
		netns_run("ip link show weft0 | grep -q 02:00:00:00:00:77");
	}
	netns_run("ip link del weft0 && ip tuntap add weft0 mode tap multi_queue");
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "or a tap of several queues"));
}

// The name was taken when ours was deleted.
static void test_an_mtu_for_an_interface_to_come_waits_for_it(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	netns_run("ip link add weft7 mtu 1300 type veth peer name weft8 && "
		  "ip netns add weft-test-$PPID && ip link set weft0 netns weft-test-$PPID && "
		  "ip link set weft7 name weft0 && ip -n weft-test-$PPID link del weft0");
	for (unsigned n = 0; strcmp(rig_says(r, "state"), "cannot be made"); n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	struct port_config c = r->port->config;
	struct error err;
	c.mtu = 1350;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), 0);
	netns_run("ip link show weft0 | grep -q 'mtu 1300' && ip link del weft0");
	r->port->ops->tick(r->port);
	wait_mtu(r, 1350);
	netns_run("ip link show weft0 | grep -q 'mtu 1350'");
}

// From there it comes back, and is told of once each way however many interfaces change meanwhile.
static void test_an_interface_that_comes_back_is_told(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	uint32_t told = r->n_link;
	netns_run("ip netns add weft-test-$PPID && ip link set weft0 netns weft-test-$PPID");
	for (unsigned n = 0; strcmp(rig_says(r, "state"), "in another namespace"); n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	change_other_interfaces();
	netns_run("ip -n weft-test-$PPID link set weft0 netns $PPID && ip link set weft0 up");
	for (unsigned n = 0; strcmp(rig_says(r, "state"), "up"); n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	rig_wait_link(r, PORT_LINK_UP);
	for (unsigned n = 0; !rig_why_has(r, "weft0 is up"); n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	// Away, back, and up: between the latter two it may have been seen down.
	assert_in_range(r->n_link - told, 2, 3);
	change_other_interfaces();
	assert_in_range(r->n_link - told, 2, 3);
}

// One that cannot be made again for now is tried again, once a tick and with one line in the log:
// each try makes an interface and deletes it, which wakes who tries.
static void test_what_cannot_be_made_again_is_tried_again(void **state)
{
	struct port_rig *r = *state;
	struct rlimit before;
	open_tap(r);
	unsigned index = if_nametoindex("weft0");
	no_more_files(&before);
	netns_run("ulimit -Sn 256; ip link del weft0");
	rig_wait_log(r, "cannot open an rtnetlink socket");
	assert_string_equal(rig_says(r, "state"), "cannot be made");
	assert_int_equal(rig_tx(r, 0, 100, 1), 1);
	assert_int_equal(r->st.drop[DROP_port_down], 1);
	change_other_interfaces();
	const char *first = strstr(r->log, "cannot open an");
	assert_null(strstr(first + 1, "cannot open an"));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	r->port->ops->tick(r->port);
	rig_wait_log(r, "made again");
	// Every interface that is made has the next number: the others, one try in vain, this one.
	assert_int_equal(if_nametoindex("weft0") - index, OTHERS + 2);
	rig_wait_link(r, PORT_LINK_UP);
	close(r->far);
	r->far = netns_packet("weft0");
	rig_exchange(r, 100);
}

static void test_without_files_there_is_no_tap(void **state)
{
	struct port_rig *r = *state;
	struct error err = {0};
	struct rlimit before;
	no_more_files(&before);
	int rc = rig_open(r, &weft0, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(rc, -EMFILE);
	assert_string_equal(err.key, "type");
	assert_non_null(strstr(err.text, "/dev/net/tun"));
}

static void test_mtu_is_set_at_first_and_later(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = weft0;
	struct error err = {0};
	c.mtu = 2000;
	rig_open_ok(r, &c);
	assert_int_equal(port_load(&r->port->mtu), 2000);
	c.mtu = 3000;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), 0);
	assert_int_equal(r->port->config.mtu, 3000);
	netns_run("ip link show weft0 | grep -q 'mtu 3000 '");
	// What is refused stays as it was.
	c.mtu = 70000;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), -EINVAL);
	assert_string_equal(err.key, "mtu");
	assert_int_equal(r->port->config.mtu, 3000);
	// The same again is no change of the interface, whoever changed it since.
	netns_run("ip link set weft0 mtu 2500");
	c.mtu = 3000;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), 0);
	c.mtu = 0;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), 0);
	assert_int_equal(r->port->config.mtu, 0);
	netns_run("ip link show weft0 | grep -q 'mtu 2500 '");
}

static void test_nothing_else_is_set_in_place(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = weft0;
	struct error err = {0};
	open_tap(r);
	assert_int_equal(r->port->ops->set(r->port, &c, &err), 0);
	c.queues = 2;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), -ENOTSUP);
	c.queues = 1;
	snprintf(c.device, sizeof(c.device), "weft1");
	assert_int_equal(r->port->ops->set(r->port, &c, &err), -ENOTSUP);
}

// What another program holds is neither set up nor given another MTU.
static void test_a_refused_interface_is_left_as_it_is(void **state)
{
	struct port_rig *r = *state, *other = aligned_alloc(64, (sizeof(*other) + 63) & ~63ul);
	struct port_config c = weft0;
	struct error err = {0};
	open_tap(r);
	netns_run("ip link set weft0 down");
	c.mtu = 2000;
	rig_init(other);
	assert_int_equal(rig_open(other, &c, &err), -EBUSY);
	netns_run("ip link show weft0 | grep 'mtu 1500 ' | grep -qv '[<,]UP[,>]'");
	free(other);
}

// UDP segments are claimed where the kernel's tap has them, and there only.
static void test_uso_is_claimed_as_the_kernel_has_it(void **state)
{
	struct port_rig *r = *state;
	struct ifreq ifr = {.ifr_name = "weftprobe0", .ifr_flags = IFF_TAP | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	bool uso = !ioctl(fd, TUNSETOFFLOAD, 0x01 | 0x20 | 0x40); // CSUM, USO4, USO6
	close(fd);
	open_tap(r);
	assert_int_equal(!!(r->port->offloads & PORT_OFFLOAD_USO4), uso);
	assert_int_equal(!!(r->port->offloads & PORT_OFFLOAD_USO6), uso);
	assert_string_equal(rig_says(r, "uso"), uso ? "true" : "false");
}

static void test_errors_say_what_to_do(void **state)
{
	struct port_rig *r = *state, *other = aligned_alloc(64, (sizeof(*other) + 63) & ~63ul);
	struct port_config c = weft0;
	struct error err = {0};
	c.device[0] = 0;
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_string_equal(err.key, "device");
	snprintf(c.device, sizeof(c.device), "lo");
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "of another kind"));
	snprintf(c.device, sizeof(c.device), "weft%%d");
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "weft%d cannot be a tap"));
	c = weft0;
	c.queues = 2;
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_string_equal(err.key, "queues");
	open_tap(r);
	rig_init(other);
	assert_int_equal(rig_open(other, &weft0, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use by another program"));
	free(other);
}

static void test_a_sleeping_worker_is_woken(void **state)
{
	struct port_rig *r = *state;
	open_tap(r);
	assert_false(r->port->ops->arm(r->port, 0));
	assert_false(readable(&r->port->rxq[0].fd));
	rig_far_send(r, 100, 1);
	assert_true(netns_wait(readable, &r->port->rxq[0].fd));
	assert_true(r->port->ops->arm(r->port, 0));
	r->port->ops->disarm(r->port, 0);
	// The very first poll after sleep finds it: nothing is skipped.
	assert_int_equal(r->port->ops->rx(r->port, 0, &r->burst, FRAME_BURST, &r->st), 1);
	// Idle polls cost few system calls.
	uint64_t before = r->st.notified;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(r->port->ops->rx(r->port, 0, &r->burst, FRAME_BURST, &r->st), 0);
	assert_true(r->st.notified - before < 80);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_frames_of_all_lengths_pass_both_ways),
		T(test_frames_above_the_mtu_are_counted),
		T(test_the_hosts_offloads_are_claimed),
		T(test_headers_of_a_segment_are_in_its_head),
		T(test_no_more_is_lent_than_asked_for),
		T(test_a_look_ends_whatever_is_dropped),
		T(test_the_host_takes_partial_checksums_and_segments),
		T(test_a_claim_the_kernel_refuses_is_counted),
		T(test_each_refusal_has_its_reason),
		T(test_a_tag_makes_no_frame_too_long),
		T(test_what_cannot_be_passed_on_is_counted),
		T(test_an_interface_set_down_drops_and_is_told),
		T(test_a_deleted_interface_is_made_again),
		T(test_an_interface_in_another_namespace_keeps_working),
		T(test_a_renamed_interface_is_followed),
		T(test_an_interface_elsewhere_is_not_confused_with_one_here),
		T(test_an_interface_that_was_there_stays),
		T(test_an_mtu_for_an_interface_to_come_waits_for_it),
		T(test_an_interface_that_comes_back_is_told),
		T(test_what_cannot_be_made_again_is_tried_again),
		T(test_without_files_there_is_no_tap),
		T(test_mtu_is_set_at_first_and_later),
		T(test_nothing_else_is_set_in_place),
		T(test_a_refused_interface_is_left_as_it_is),
		T(test_uso_is_claimed_as_the_kernel_has_it),
		T(test_errors_say_what_to_do),
		T(test_a_sleeping_worker_is_woken),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
