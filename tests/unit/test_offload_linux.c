// SPDX-License-Identifier: BSD-2-Clause
// Checksums and segments are, bit for bit, those that the Linux stack makes of the same frame.
//
// A frame goes with its virtio-net header into a tap that is on a bridge with another tap, in a
// network namespace of this program's own. The second tap takes neither partial checksums nor
// segments, so the kernel does in software what the dataplane does here; both results are compared.
#include "dataplane/frame/offload.h"
#include "tests/lib/craft.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define TCPV4 VIRTIO_NET_HDR_GSO_TCPV4
#define TCPV6 VIRTIO_NET_HDR_GSO_TCPV6
#define USO   VIRTIO_NET_HDR_GSO_UDP_L4
#define ECN   VIRTIO_NET_HDR_GSO_ECN

#define FIN 0x01
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define ECE 0x40
#define CWR 0x80

static int tap_in = -1, tap_out = -1;
static struct craft frame;
static struct frame_seg lent[CRAFT_SEGS], views[CRAFT_SEGS];
static uint8_t theirs[CRAFT_MAX], ours[CRAFT_MAX];
static char shape[200]; // of the frame under test, for a person to read
static unsigned compared;

static int tap(const char *name, int flags)
{
	struct ifreq ifr = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags)};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	strcpy(ifr.ifr_name, name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int control(int sock, unsigned long request, const char *name, int value)
{
	struct ifreq ifr = {0};
	strcpy(ifr.ifr_name, name);
	if (request == SIOCBRADDIF)
		ifr.ifr_ifindex = value;
	else if (request == SIOCSIFMTU)
		ifr.ifr_mtu = value;
	else if (request == SIOCSIFTXQLEN)
		ifr.ifr_qlen = value;
	else
		ifr.ifr_flags = (short)value;
	return ioctl(sock, request, &ifr);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

// 0, or -1 with errno: what is missing here.
static int make_network(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	tap_in = tap("in", IFF_VNET_HDR);
	tap_out = tap("out", 0);
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (tap_in < 0 || tap_out < 0 || sock < 0)
		return -1;
	int rc = ioctl(sock, SIOCBRADDBR, "br");
	unsigned long no_delay[4] = {8 /* BRCTL_SET_BRIDGE_FORWARD_DELAY */, 0, 0, 0};
	struct ifreq ifr = {.ifr_name = "br", .ifr_data = (void *)no_delay};
	rc |= ioctl(sock, SIOCDEVPRIVATE, &ifr);
	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? "out" : "in";
		rc |= control(sock, SIOCSIFMTU, name, 65521);
		rc |= control(sock, SIOCSIFTXQLEN, name, 4000);
		rc |= control(sock, SIOCBRADDIF, "br", (int)if_nametoindex(name));
		rc |= control(sock, SIOCSIFFLAGS, name, IFF_UP);
	}
	rc |= control(sock, SIOCSIFFLAGS, "br", IFF_UP);
	close(sock);
	return rc;
}

// The next frame of ours that comes out; other traffic of the kernel's is passed over. 0: none.
static ssize_t read_theirs(int timeout_ms)
{
	struct pollfd p = {.fd = tap_out, .events = POLLIN};
	while (poll(&p, 1, timeout_ms) > 0) {
		ssize_t n = read(tap_out, theirs, sizeof(theirs));
		if (n >= 14 && memcmp(theirs, frame.b, 12) == 0)
			return n;
	}
	return 0;
}

static int write_to_linux(const struct virtio_net_hdr *claim)
{
	struct iovec iov[] = {{(void *)claim, sizeof(*claim)}, {frame.b, frame.len}};
	return writev(tap_in, iov, 2) < 0 ? -errno : 0;
}

static void differ(const char *what, unsigned part, const struct frame *f, ssize_t n)
{
	print_error("%s: frame %u: %s\n", shape, part, what);
	for (ssize_t i = 0; i < n && i < f->len; i++) {
		if (ours[i] != theirs[i])
			print_error("  byte %zd: ours %02x, Linux' %02x\n", i, ours[i], theirs[i]);
	}
	fail();
}

static void compare(const struct frame *f, unsigned part)
{
	ssize_t n = read_theirs(2000);
	frame_copy(f, 0, ours, f->len);
	if (n == 0)
		differ("Linux made none", part, f, 0);
	if (n != f->len)
		differ("of another length", part, f, n);
	if (memcmp(ours, theirs, f->len) != 0)
		differ("other bytes", part, f, n);
	compared++;
}

// Both take the frame at hand with this claim, and make the same of it.
static void same(struct virtio_net_hdr claim, uint32_t seg_len)
{
	static struct frame f, part[7];
	struct offload_segmenter s;
	unsigned n = 0;
	craft_lend(&f, frame.b, frame.len, seg_len, lent, &claim);
	int rc = offload_check(&f);
	if (rc != 0) {
		print_error("%s: refused: %d\n", shape, rc);
		fail();
	}
	rc = write_to_linux(&claim);
	if (rc != 0) {
		print_error("%s: refused by Linux: %d\n", shape, rc);
		fail();
	}
	if (!offload_is_segment(&f)) {
		offload_complete_csum(&f);
		compare(&f, 0);
	} else {
		offload_segmenter_init(&s, &f, 0);
		while ((rc = offload_segment_next(&s, part, N(part), views, N(views))) > 0) {
			for (int i = 0; i < rc; i++)
				compare(&part[i], n++);
		}
		assert_int_equal(rc, 0);
	}
	assert_int_equal(read_theirs(0), 0);
}

// Neither takes it: Linux says so at once, or nothing comes out.
static void both_refuse(struct virtio_net_hdr claim)
{
	static struct frame f;
	craft_lend(&f, frame.b, frame.len, 1000, lent, &claim);
	if (offload_check(&f) == 0) {
		print_error("%s: taken\n", shape);
		fail();
	}
	write_to_linux(&claim);
	if (read_theirs(0) != 0) {
		print_error("%s: taken by Linux\n", shape);
		fail();
	}
}

// Layers 2 and 3, by number.
static const char *const l3_names[] = {"IPv4", "IPv4 4 of options", "IPv4 40 of options", "IPv6",
	"IPv6 hop-by-hop", "IPv6 hop-by-hop, routing, 24 of destination options"};
#define N_L3  N(l3_names)
#define N_L2  4u
#define L3_V6 3u

static void start(unsigned l2, unsigned l3)
{
	craft_eth(&frame, 1, 2);
	if (l2 == 2)
		craft_tag(&frame, 0x88a8, 0x2003);
	if (l2 == 3)
		craft_tag(&frame, 0x8100, 0x0005);
	if (l2 > 0)
		craft_tag(&frame, 0x8100, 0xe00a);
	if (l3 < L3_V6)
		craft_ipv4(&frame, 1, 2, l3 == 0 ? 0 : l3 == 1 ? 4 : 40);
	else
		craft_ipv6(&frame, 1, 2);
	if (l3 > L3_V6)
		craft_ext(&frame, IPPROTO_HOPOPTS, 8);
	if (l3 > L3_V6 + 1) {
		craft_ext(&frame, IPPROTO_ROUTING, 8);
		craft_ext(&frame, IPPROTO_DSTOPTS, 24);
	}
}

static void tcp_segments(void **state)
{
	static const struct {
		uint32_t payload;
		uint16_t gso_size;
	} sizes[] = {{2896, 1448}, {2895, 1448}, {2897, 1448}, {1449, 1448}, {40, 39}, {41, 20},
		{17, 8}, {100, 8}, {7000, 1001}, {9100, 8948}, {65000, 1448}, {65001, 32001},
		{64000, 48}};
	static const uint8_t flags[] = {
		ACK, ACK | PSH, ACK | FIN, ACK | PSH | FIN | CWR, ACK | ECE | CWR | URG};
	static const unsigned options[] = {0, 12, 40};
	unsigned n = 0;
	for (unsigned k = 0; k < N_L2 * N_L3 * N(sizes) * N(options) * N(flags); k++) {
		unsigned l2 = k % N_L2, l3 = k / N_L2 % N_L3, i = k / N_L2 / N_L3 % N(sizes);
		unsigned opt = options[k / N_L2 / N_L3 / N(sizes) % N(options)];
		uint8_t fl = flags[k / N_L2 / N_L3 / N(sizes) / N(options)];
		if (sizes[i].payload > 60000 && n++ % 5)
			continue; // it is the same many times over
		start(l2, l3);
		craft_tcp(&frame, 1000, 2000, fl, opt);
		craft_payload(&frame, sizes[i].payload, k);
		craft_finish(&frame, true);
		snprintf(shape, sizeof(shape), "TSO of %s, %u tags, flags %x, options %u, %u by %u",
			l3_names[l3], l2, fl, opt, sizes[i].payload, sizes[i].gso_size);
		uint8_t type = l3 < L3_V6 ? TCPV4 : TCPV6;
		same(craft_claim(&frame, type | (fl & CWR ? ECN : 0), sizes[i].gso_size),
			k % 3 ? 4096 : 37 + k % 31);
	}
}

static void udp_segments(void **state)
{
	static const struct {
		uint32_t payload;
		uint16_t gso_size;
	} sizes[] = {{2944, 1472}, {2943, 1472}, {2945, 1472}, {3, 1}, {128, 1}, {7001, 999},
		{60000, 1400}, {62000, 500}};
	for (unsigned k = 0; k < N_L2 * N_L3 * N(sizes); k++) {
		unsigned l2 = k % N_L2, l3 = k / N_L2 % N_L3, i = k / N_L2 / N_L3;
		start(l2, l3);
		craft_udp(&frame, 1000, 2000);
		craft_payload(&frame, sizes[i].payload, k);
		craft_finish(&frame, true);
		snprintf(shape, sizeof(shape), "USO of %s, %u tags, %u by %u", l3_names[l3], l2,
			sizes[i].payload, sizes[i].gso_size);
		same(craft_claim(&frame, USO, sizes[i].gso_size), k % 2 ? 4096 : 101);
	}
}

static void mere_checksums(void **state)
{
	static const uint32_t payloads[] = {0, 1, 2, 3, 17, 64, 999, 1460, 8961};
	for (unsigned k = 0; k < N_L2 * N_L3 * N(payloads) * 2; k++) {
		unsigned l2 = k % N_L2, l3 = k / N_L2 % N_L3;
		unsigned i = k / N_L2 / N_L3 % N(payloads);
		bool udp = k / N_L2 / N_L3 / N(payloads);
		start(l2, l3);
		if (udp)
			craft_udp(&frame, 7, 9);
		else
			craft_tcp(&frame, 7, 9, ACK | PSH, 4);
		craft_payload(&frame, payloads[i], k);
		craft_finish(&frame, true);
		snprintf(shape, sizeof(shape), "checksum of %s %s, %u tags, %u", l3_names[l3],
			udp ? "UDP" : "TCP", l2, payloads[i]);
		same(craft_claim(&frame, 0, 0), 1 + k % 200);
	}
}

// Gives the payload a first word that makes the checksum of the (first) frame come out as 0.
static void make_zero(const struct virtio_net_hdr *claim)
{
	static struct frame f, part;
	struct offload_segmenter s;
	memset(frame.b + frame.hdr_len, 0, 2);
	craft_lend(&f, frame.b, frame.len, 5000, lent, claim);
	assert_int_equal(offload_check(&f), 0);
	if (offload_is_segment(&f)) {
		offload_segmenter_init(&s, &f, 0);
		assert_int_equal(offload_segment_next(&s, &part, 1, views, N(views)), 1);
		f = part;
	} else {
		offload_complete_csum(&f);
	}
	memcpy(frame.b + frame.hdr_len, frame_head(&f) + claim->csum_start + claim->csum_offset, 2);
}

static void a_checksum_of_zero(void **state)
{
	for (unsigned k = 0; k < 8; k++) {
		bool udp = k & 1, v6 = k & 2, segment = k & 4;
		start(0, v6 ? L3_V6 : 0);
		if (udp)
			craft_udp(&frame, 7, 9);
		else
			craft_tcp(&frame, 7, 9, ACK, 0);
		craft_payload(&frame, 300, k);
		craft_finish(&frame, true);
		struct virtio_net_hdr claim = craft_claim(&frame,
			segment ? udp  ? USO
				  : v6 ? TCPV6
				       : TCPV4
				: 0,
			segment ? 100 : 0);
		make_zero(&claim);
		snprintf(shape, sizeof(shape), "a checksum of 0, %s %s%s", v6 ? "IPv6" : "IPv4",
			udp ? "UDP" : "TCP", segment ? " segment" : "");
		same(claim, 64);
		uint16_t field;
		memcpy(&field, theirs + claim.csum_start + claim.csum_offset, 2);
		if (!segment)
			assert_int_equal(field, 0xffff);
	}
}

static void checksums_of_other_places(void **state)
{
	// Inside a tunnel, begun at an odd offset, its field at another.
	start(0, 0);
	craft_udp(&frame, 4789, 4789);
	craft_payload(&frame, 200, 1);
	craft_finish(&frame, false);
	struct virtio_net_hdr claim = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	for (claim.csum_start = frame.hdr_len; claim.csum_start < 80; claim.csum_start++) {
		for (claim.csum_offset = 0; claim.csum_offset < 20; claim.csum_offset++) {
			snprintf(shape, sizeof(shape), "in a tunnel at %u, %u", claim.csum_start,
				claim.csum_offset);
			same(claim, 3 + claim.csum_offset);
		}
	}
	// Of a protocol that is not IP at all.
	craft_eth(&frame, 1, 2);
	craft_type(&frame, 0x88b5, NULL, 20);
	craft_payload(&frame, 99, 5);
	claim.csum_start = 21;
	claim.csum_offset = 5;
	snprintf(shape, sizeof(shape), "not IP");
	same(claim, 10);
}

static void a_wrong_pseudo_header_stays_wrong(void **state)
{
	for (unsigned l3 = 0; l3 < N_L3; l3++) {
		start(1, l3);
		craft_tcp(&frame, 1, 2, ACK, 0);
		craft_payload(&frame, 5000, l3);
		craft_finish(&frame, true);
		frame.b[frame.l4 + 16] ^= 0x5a;
		frame.b[frame.l3 + 3] ^= 1; // lengths that do not matter
		snprintf(shape, sizeof(shape), "wrong pseudo header, %s", l3_names[l3]);
		same(craft_claim(&frame, l3 < L3_V6 ? TCPV4 : TCPV6, 1000), 4096);
		start(0, l3);
		craft_udp(&frame, 1, 2);
		craft_payload(&frame, 5000, l3);
		craft_finish(&frame, true);
		frame.b[frame.l4 + 4] ^= 1; // as it is held against the sum
		frame.b[frame.l4 + 7] ^= 7;
		same(craft_claim(&frame, USO, 1000), 4096);
	}
}

static void what_both_refuse(void **state)
{
	start(0, 0);
	craft_tcp(&frame, 1, 2, ACK, 0);
	craft_payload(&frame, 3000, 1);
	craft_finish(&frame, true);
	const struct virtio_net_hdr good = craft_claim(&frame, TCPV4, 1000);
	struct virtio_net_hdr bad;
#define REFUSED(change)                                        \
	do {                                                   \
		bad = good;                                    \
		bad.change;                                    \
		snprintf(shape, sizeof(shape), "%s", #change); \
		both_refuse(bad);                              \
	} while (0)
	REFUSED(gso_size = 0);
	REFUSED(gso_type = TCPV6);
	REFUSED(gso_type = USO);
	REFUSED(gso_type = 2);
	REFUSED(gso_type = 0x7f);
	REFUSED(csum_start = 0xffff);
	REFUSED(csum_start += 2);
	REFUSED(csum_offset = 14);
	REFUSED(csum_offset = 0xffff);
	REFUSED(csum_start = (uint16_t)(frame.len - 17));
#undef REFUSED
	snprintf(shape, sizeof(shape), "TCP header of 4 bytes");
	frame.b[frame.l4 + 12] = 0x10;
	both_refuse(good);
	snprintf(shape, sizeof(shape), "TCP header beyond the frame");
	frame.len = frame.hdr_len + 10;
	frame.b[frame.l4 + 12] = 0xf0;
	bad = good;
	bad.gso_size = 1;
	both_refuse(bad);
	start(0, 0);
	craft_udp(&frame, 1, 2);
	craft_payload(&frame, 129, 1);
	craft_finish(&frame, true);
	snprintf(shape, sizeof(shape), "129 UDP segments");
	both_refuse(craft_claim(&frame, USO, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_segments),
		cmocka_unit_test(udp_segments),
		cmocka_unit_test(mere_checksums),
		cmocka_unit_test(a_checksum_of_zero),
		cmocka_unit_test(checksums_of_other_places),
		cmocka_unit_test(a_wrong_pseudo_header_stays_wrong),
		cmocka_unit_test(what_both_refuse),
	};
	if (geteuid() != 0 || make_network() != 0) {
		printf("skipped: needs root, /dev/net/tun and a kernel with bridges: %s\n",
			geteuid() ? "not root" : strerror(errno));
		return 77;
	}
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	printf("%u frames compared\n", compared);
	return rc;
}
