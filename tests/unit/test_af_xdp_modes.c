// SPDX-License-Identifier: BSD-2-Clause
// Which modes an AF_XDP port tries, in which order, and what it says of those that failed. No device
// here has zero-copy, and none refuses native XDP: the two calls that find it out, bind() of a
// socket and libxdp's attach, are taken over by this program, fail as they are told to, and are
// otherwise the real ones. So are mmap() of huge pages, which may be there or not, and dup(); ethtool may
// be refused; sendmsg() is counted.
#include "dataplane/port/af_xdp.h"
#include "dataplane/port/cycles.h"
#include "dataplane/port/xsk.h"
#include "tests/lib/netns.h"
#include "tests/lib/port_rig.h"

#include <bpf/bpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

// What fails, 0 for nothing; and what was tried: 'z' and 'c' for a socket in zero-copy and copy
// mode, 'n' and 'g' for a program attached natively and in generic mode.
static struct {
	int zerocopy, copy, native, generic, dup, map;
	bool zerocopy_works, huge_pages, on_device;
	bool no_frags, no_driver_frags; // before Linux 6.6; of a driver that has none
	unsigned busy;                  // times that a queue is still in use
	unsigned huge, attached;        // mappings of huge pages; attempts to attach
	const char *driver;             // that the device says it has; NULL: the real one
	bool no_vlan_change;            // rx-vlan-offload is as it is
	unsigned changes;               // of devices, asked for by netlink
	char tried[64];
} kernel;

static int try(char what, int error)
{
	size_t n = strlen(kernel.tried);
	// Once for all its queues and repetitions.
	if (n + 1 < sizeof(kernel.tried) && (!n || kernel.tried[n - 1] != what))
		kernel.tried[n] = what;
	errno = error;
	return error ? -1 : 0;
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_xdp xdp;
	if (addr->sa_family != AF_XDP || len != sizeof(xdp))
		return (int)syscall(SYS_bind, fd, addr, len);
	memcpy(&xdp, addr, sizeof(xdp));
	bool zerocopy = xdp.sxdp_flags & XDP_ZEROCOPY;
	assert_true(xdp.sxdp_flags & XDP_USE_NEED_WAKEUP); // always
	if (kernel.busy || (kernel.no_frags && xdp.sxdp_flags & XDP_USE_SG)) {
		errno = kernel.busy ? EBUSY : EINVAL;
		kernel.busy -= kernel.busy > 0;
		return -1;
	}
	if (try(zerocopy ? 'z' : 'c', zerocopy ? kernel.zerocopy : kernel.copy))
		return -1;
	if (zerocopy && kernel.zerocopy_works)
		xdp.sxdp_flags = (uint16_t)((xdp.sxdp_flags & ~XDP_ZEROCOPY) | XDP_COPY);
	return (int)syscall(SYS_bind, fd, &xdp, sizeof(xdp));
}

int xdp_program__attach(
	struct xdp_program *prog, int ifindex, enum xdp_attach_mode mode, unsigned int flags)
{
	int (*real)(struct xdp_program *, int, enum xdp_attach_mode, unsigned int);
	*(void **)&real = dlsym(RTLD_NEXT, "xdp_program__attach");
	__atomic_add_fetch(&kernel.attached, 1, __ATOMIC_RELAXED);
	if (try(mode == XDP_MODE_NATIVE ? 'n' : 'g',
		    mode == XDP_MODE_NATIVE ? kernel.native : kernel.generic))
		return -errno;
	if (kernel.no_driver_frags && xdp_program__xdp_frags_support(prog))
		return -EOPNOTSUPP;
	int rc = real(prog, ifindex, mode, flags);
	kernel.on_device = !rc;
	return rc;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	int (*real)(int, const void *, const void *, __u64);
	*(void **)&real = dlsym(RTLD_NEXT, "bpf_map_update_elem");
	// Once the program is on the device the sockets follow.
	if (kernel.map && kernel.on_device) {
		errno = kernel.map;
		return -errno;
	}
	return real(fd, key, value, flags);
}

// Huge pages of 2 MiB where the default is 1 GiB: what asks for another size, or a part of one,
// fails as it would there. Where there are none, none.
void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	const unsigned size = 0x3fu << MAP_HUGE_SHIFT;
	if (flags & MAP_HUGETLB) {
		bool right = (flags & size) == 21 << MAP_HUGE_SHIFT && len % (2u << 20) == 0;
		if (!kernel.huge_pages || !right) {
			errno = kernel.huge_pages ? EINVAL : ENOMEM;
			return MAP_FAILED;
		}
		flags &= ~(MAP_HUGETLB | size);
		kernel.huge++;
	}
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

int dup(int fd)
{
	errno = kernel.dup;
	return kernel.dup ? -1 : (int)syscall(SYS_dup, fd);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	if (request == SIOCETHTOOL && kernel.no_vlan_change) {
		uint32_t command;
		memcpy(&command, ((struct ifreq *)arg)->ifr_data, sizeof(command));
		if (command == ETHTOOL_SFLAGS) {
			errno = EOPNOTSUPP;
			return -1;
		}
	}
	int rc = (int)syscall(SYS_ioctl, fd, request, arg);
	if (request != SIOCETHTOOL)
		return rc;
	struct ethtool_drvinfo *info = (void *)((struct ifreq *)arg)->ifr_data;
	if (info->cmd == ETHTOOL_GDRVINFO && kernel.driver)
		snprintf(info->driver, sizeof(info->driver), "%s", kernel.driver);
	return rc;
}

// Of libnl: how often something was to be changed.
ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	const struct nlmsghdr *h = msg->msg_iov[0].iov_base;
	if (msg->msg_iov[0].iov_len >= sizeof(*h))
		kernel.changes += h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_SETLINK;
	return (ssize_t)syscall(SYS_sendmsg, fd, msg, flags);
}

static int setup(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	*state = rig_new_veth("");
	return 0;
}

// What a port that did not open may not leave: descriptors, rings, buffers, anything of the device.
struct left {
	int fd;         // the first that is free
	unsigned rings; // mappings of sockets
	unsigned mib;   // of memory
};

static struct left what_is_left(void)
{
	struct left left = {.fd = open("/dev/null", O_RDONLY)};
	close(left.fd);
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned long from, to, bytes = 0;
	while (maps && fgets(line, sizeof(line), maps)) {
		left.rings += strstr(line, "socket:") != NULL;
		if (sscanf(line, "%lx-%lx", &from, &to) == 2)
			bytes += to - from;
	}
	fclose(maps);
	left.mib = (unsigned)(bytes >> 20);
	return left;
}

static void nothing_is_left(struct left before)
{
	struct left now = what_is_left();
	assert_int_equal(now.fd, before.fd);
	assert_int_equal(now.rings, before.rings);
	assert_in_range(now.mib, 0, before.mib + 4); // the buffers of one queue are 16
	netns_run("! ip -d link show dev wx0 | grep -q -e prog/xdp -e 'promiscuity 1'");
	netns_run("ethtool -k wx0 | grep -q 'rx-vlan-offload: on'");
}

static struct port_config wx0(unsigned mode)
{
	return (struct port_config){
		.name = "up", .type = "af-xdp", .device = "wx0", .xdp_mode = mode};
}

static void says(struct port_rig *r, const char *key, const char *text)
{
	if (!strstr(rig_says(r, key), text) || (!*text && *rig_says(r, key)))
		fail_msg("%s: \"%s\", not \"%s\"", key, rig_says(r, key), text);
}

static void test_zerocopy_comes_first_and_needs_no_excuse(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_AUTO);
	kernel.zerocopy_works = true;
	rig_open_ok(r, &c);
	assert_string_equal(kernel.tried, "zn");
	says(r, "mode", "native, zero-copy");
	says(r, "why_not_zerocopy", "");
	says(r, "why_not_copy", "");
	// No device is asked to complete checksums there, so the switch does.
	says(r, "tx_checksum_offload", "false");
	assert_int_equal(r->port->offloads, 0);
	rig_exchange(r, 100);
}

static void test_the_next_best_mode_says_why_not_better(void **state)
{
	static const struct {
		int zerocopy, native;
		const char *tried, *mode, *why_zerocopy, *why_copy;
	} rows[] = {
		{EOPNOTSUPP, 0, "zcn", "native, copy",
			"the driver has no zero-copy AF_XDP on queue 0 (Operation not supported): "
			"a newer kernel",
			""},
		{EINVAL, 0, "zcn", "native, copy",
			"the driver has no zero-copy AF_XDP on queue 0 (Invalid argument)", ""},
		{ENOMEM, 0, "zcn", "native, copy",
			"cannot bind an AF_XDP socket to queue 0: Cannot allocate memory", ""},
		{EOPNOTSUPP, EOPNOTSUPP, "zcncg", "generic", "no zero-copy",
			"the driver takes no native XDP program (Operation not supported)"},
		{EOPNOTSUPP, EINVAL, "zcncg", "generic", "no zero-copy",
			"the driver takes no native XDP program (Invalid argument)"},
		// The driver has zero-copy, but no room for the program.
		{0, ERANGE, "zncncg", "generic",
			"the driver takes no native XDP program (Numerical result out of range)",
			"the driver takes no native XDP program (Numerical result out of range)"},
	};
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_AUTO);
	for (unsigned i = 0; i < N(rows); i++) {
		memset(&kernel, 0, sizeof(kernel));
		kernel.zerocopy_works = true;
		kernel.zerocopy = rows[i].zerocopy;
		kernel.native = rows[i].native;
		rig_open_ok(r, &c);
		assert_string_equal(kernel.tried, rows[i].tried);
		says(r, "mode", rows[i].mode);
		says(r, "why_not_zerocopy", rows[i].why_zerocopy);
		says(r, "why_not_copy", rows[i].why_copy);
		rig_exchange(r, 100);
		rig_close(r);
	}
}

// A mode that the configuration asks for is the only one tried.
// It came up in native mode, and nothing arrived. There are no bonds here: a veth says that it is one.
static void test_a_bond_is_not_used_natively(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_AUTO);
	struct error err = {0};
	kernel.driver = "bonding";
	rig_open_ok(r, &c);
	assert_string_equal(kernel.tried, "cg");
	says(r, "mode", "generic");
	says(r, "why_not_zerocopy", "it is a bond");
	says(r, "why_not_copy", "it is a bond");
	rig_exchange(r, 100);
	rig_close(r);
	c.xdp_mode = XDP_MODE_COPY;
	assert_int_equal(rig_open(r, &c, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "only the generic mode receives"));
}

static void test_a_configured_mode_is_not_replaced(void **state)
{
	static const struct {
		unsigned mode;
		int zerocopy, native, generic;
		const char *tried, *key, *text;
	} rows[] = {
		{XDP_MODE_ZEROCOPY, EOPNOTSUPP, 0, 0, "z", "mode",
			"wx0: the driver has no zero-copy AF_XDP on queue 0"},
		{XDP_MODE_COPY, 0, EOPNOTSUPP, 0, "cn", "mode",
			"wx0: the driver takes no native XDP program"},
		{XDP_MODE_GENERIC, 0, 0, ENOMEM, "cg", "device",
			"wx0: cannot attach the XDP program: Cannot allocate memory"},
	};
	struct port_rig *r = *state;
	for (unsigned i = 0; i < N(rows); i++) {
		struct port_config c = wx0(rows[i].mode);
		struct error err = {0};
		memset(&kernel, 0, sizeof(kernel));
		kernel.zerocopy = rows[i].zerocopy;
		kernel.native = rows[i].native;
		kernel.generic = rows[i].generic;
		assert_true(rig_open(r, &c, &err) < 0);
		assert_string_equal(kernel.tried, rows[i].tried);
		assert_string_equal(err.key, rows[i].key);
		if (!strstr(err.text, rows[i].text))
			fail_msg("mode %u: %s", rows[i].mode, err.text);
	}
	static const char *const tried[] = {
		[XDP_MODE_ZEROCOPY] = "zn", [XDP_MODE_COPY] = "cn", [XDP_MODE_GENERIC] = "cg"};
	for (unsigned mode = XDP_MODE_ZEROCOPY; mode <= XDP_MODE_GENERIC; mode++) {
		struct port_config c = wx0(mode);
		memset(&kernel, 0, sizeof(kernel));
		kernel.zerocopy_works = true;
		rig_open_ok(r, &c);
		assert_string_equal(kernel.tried, tried[mode]);
		if (mode != XDP_MODE_ZEROCOPY)
			says(r, "why_not_zerocopy", "not tried: mode is configured");
		if (mode == XDP_MODE_GENERIC)
			says(r, "why_not_copy", "not tried: mode is configured");
		rig_exchange(r, 100);
		rig_close(r);
	}
}

// What no other mode would cure ends the search, with its own words.
static void test_what_is_the_same_in_every_mode_is_an_error_at_once(void **state)
{
	static const struct {
		int zerocopy, native;
		const char *tried, *text;
		int map, dup;
	} rows[] = {
		{EBUSY, 0, "z", "in use by another AF_XDP socket: stop that program"},
		{EPERM, 0, "z", "weftd needs CAP_NET_RAW"},
		{ENODEV, 0, "z", "the device is gone or down"},
		{EOPNOTSUPP, EPERM, "zcn", "weftd needs CAP_NET_ADMIN and CAP_BPF"},
		{EOPNOTSUPP, EBUSY, "zcn", "has an XDP program already, of another kind or mode"},
		{EOPNOTSUPP, 0, "zcn", "cannot direct queue 0 to its socket", .map = EPERM},
		{EOPNOTSUPP, 0, "zcncg", "cannot keep the maps", .dup = EMFILE},
	};
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_AUTO);
	rig_open_ok(r, &c); // once, for what libraries keep
	rig_close(r);
	struct left before = what_is_left();
	for (unsigned i = 0; i < N(rows); i++) {
		struct error err = {0};
		memset(&kernel, 0, sizeof(kernel));
		kernel.zerocopy = rows[i].zerocopy;
		kernel.native = rows[i].native;
		kernel.map = rows[i].map;
		kernel.dup = rows[i].dup;
		assert_true(rig_open(r, &c, &err) < 0);
		assert_string_equal(kernel.tried, rows[i].tried);
		if (!strstr(err.text, rows[i].text))
			fail_msg("row %u: %s", i, err.text);
		nothing_is_left(before);
	}
	memset(&kernel, 0, sizeof(kernel));
	rig_open_ok(r, &c);
	rig_exchange(r, 100);
}

// Nothing works: the last mode's error is what the operator sees.
static void test_without_any_mode_the_last_error_is_told(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_AUTO);
	struct error err = {0};
	kernel.zerocopy = kernel.native = EOPNOTSUPP;
	kernel.generic = ENOSPC;
	assert_int_equal(rig_open(r, &c, &err), -ENOSPC);
	assert_string_equal(kernel.tried, "zcncg");
	assert_non_null(strstr(err.text, "cannot attach the XDP program: No space left"));
}

// After a close the kernel takes a moment to free the queue.
static void test_a_queue_that_is_being_freed_is_waited_for(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	rig_open_ok(r, &c);
	rig_close(r);
	kernel.busy = 3;
	rig_open_ok(r, &c);
	assert_int_equal(kernel.busy, 0);
	rig_exchange(r, 100);
}

// Control opens it again and again, and did nothing else for half a second each time.
static void test_a_queue_that_another_program_has_is_not_waited_for_each_time(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	struct error err = {0};
	usleep(2100000); // nobody has closed a socket in that time
	kernel.busy = 1000;
	assert_int_equal(rig_open(r, &c, &err), -EBUSY);
	assert_int_equal(kernel.busy, 999);
	assert_int_equal(rig_open(r, &c, &err), -EBUSY);
	assert_int_equal(kernel.busy, 998);
}

static void test_a_kernel_without_frames_of_several_buffers(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_GENERIC);
	struct error err = {0};
	kernel.no_frags = true;
	rig_open_ok(r, &c);
	says(r, "multi_buffer", "false");
	rig_exchange(r, 1514);
	rig_close(r);
	struct left before = what_is_left();
	for (unsigned mode = XDP_MODE_COPY; mode <= XDP_MODE_GENERIC; mode++) {
		c = wx0(mode);
		c.mtu = 9000;
		assert_int_equal(rig_open(r, &c, &err), -EINVAL);
		assert_non_null(strstr(err.text, "use an MTU of at most 3818"));
		nothing_is_left(before);
	}
}

static void test_a_driver_without_frames_of_several_buffers(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	struct error err = {0};
	kernel.no_driver_frags = true;
	rig_open_ok(r, &c);
	rig_exchange(r, 1514);
	rig_close(r);
	struct left before = what_is_left();
	c.mtu = 9000;
	assert_int_equal(rig_open(r, &c, &err), -EOPNOTSUPP);
	assert_string_equal(err.key, "mtu");
	assert_non_null(strstr(err.text, "the MTU may be at most 3818, not 9000"));
	nothing_is_left(before);
}

// Three times, with and without frames of several buffers.
static bool has_tried_again(void *ctx)
{
	netns_run("ip link set wx1 alias x && ip link set wx1 alias y"); // something to look at
	return __atomic_load_n(&kernel.attached, __ATOMIC_RELAXED) >= *(unsigned *)ctx + 6;
}

// A driver that takes no program with its new MTU: that is told once, however often it is tried.
static void test_what_fails_again_and_again_is_told_once(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	static const char text[] = "the driver takes no native XDP program";
	rig_open_ok(r, &c);
	unsigned told = r->n_link, attached = kernel.attached;
	kernel.native = EOPNOTSUPP;
	netns_run("ip link set wx0 mtu 1400");
	rig_wait_link(r, PORT_LINK_DOWN);
	assert_true(rig_why_has(r, text));
	assert_true(netns_wait(has_tried_again, &attached));
	assert_null(strstr(strstr(r->log, text) + 1, text));
	assert_int_equal(r->n_link, told + 1);
	kernel.native = 0;
	rig_wait_log(r, "set up again");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
}

// The watch looks after each message of any interface, and an attempt may reset the card.
static void test_attempts_do_not_come_faster_when_others_change(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	rig_open_ok(r, &c);
	kernel.native = EOPNOTSUPP;
	netns_run("ip link set wx0 mtu 1400");
	rig_wait_link(r, PORT_LINK_DOWN);
	unsigned attached = __atomic_load_n(&kernel.attached, __ATOMIC_RELAXED);
	uint64_t from = clock_ns(CLOCK_MONOTONIC);
	netns_run("for i in $(seq 100); do ip link set wx1 alias a$i; sleep 0.01; done");
	attached = __atomic_load_n(&kernel.attached, __ATOMIC_RELAXED) - attached;
	unsigned seconds = (unsigned)((clock_ns(CLOCK_MONOTONIC) - from) / 1000000000u);
	assert_in_range(attached, 0,
		2 * (seconds + 2)); // each tries twice: with frames of several buffers, and without
}

static void test_buffers_are_in_huge_pages_if_there_are_any(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	rig_open_ok(r, &c);
	says(r, "huge_pages", "false");
	rig_exchange(r, 100);
	rig_close(r);
	kernel.huge_pages = true;
	rig_open_ok(r, &c);
	assert_int_equal(kernel.huge, 1); // one queue
	says(r, "huge_pages", "true");
	rig_exchange(r, 100);
}

// The maps are kept beside the program. Where that failed once the port was never set up again.
static void test_maps_that_could_not_be_kept_once_are_kept_later(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_AUTO);
	struct error err = {0};
	kernel.dup = EMFILE;
	assert_int_equal(rig_open(r, &c, &err), -EMFILE);
	assert_non_null(strstr(err.text, "cannot keep the maps"));
	kernel.dup = 0;
	rig_open_ok(r, &c);
	netns_run("ip link set wx0 mtu 1400"); // the program is loaded once more, with these maps
	rig_wait_log(r, "set up again");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
	assert_int_equal(rig_number(r, "program.redirected"), 1);
}

// Control opens a port anew every five seconds until it can be: its MTU was set each time, whatever somebody
// had set meanwhile to make it work.
static void test_an_mtu_that_xdp_does_not_take_is_given_once(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	struct error err = {0};
	kernel.no_driver_frags = true;
	c.mtu = 9000;
	assert_int_equal(rig_open(r, &c, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "the MTU may be at most 3818, not 9000"));
	netns_run("ip link show wx0 | grep -q 'mtu 9000' && ip link set wx0 mtu 1450");
	rig_open_ok(r, &c);
	assert_int_equal(port_load(&r->port->mtu), 1450);
	rig_exchange(r, 1464);
	// Who opens it once it worked wishes again.
	rig_close(r);
	assert_int_equal(rig_open(r, &c, &err), -EOPNOTSUPP);
	netns_run("ip link show wx0 | grep -q 'mtu 9000'");
	// And so does another configuration.
	c.mtu = 1400;
	rig_open_ok(r, &c);
	assert_int_equal(port_load(&r->port->mtu), 1400);
}

// It was set up again each time, too.
static void test_a_device_that_somebody_sets_down_stays_down_without_a_port(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	struct error err = {0};
	kernel.native = EOPNOTSUPP;
	netns_run("ip link set wx0 down");
	assert_int_equal(rig_open(r, &c, &err), -EOPNOTSUPP);
	netns_run("ip link show wx0 | grep -q '[<,]UP[,>]' && ip link set wx0 down");
	assert_true(rig_open(r, &c, &err) < 0);
	netns_run("! ip link show wx0 | grep -q '[<,]UP[,>]' && ip link set wx0 up");
	kernel.native = 0;
	rig_open_ok(r, &c);
	rig_exchange(r, 100);
	// Once it has worked, a port that is opened sets it up.
	rig_close(r);
	netns_run("ip link set wx0 down");
	rig_open_ok(r, &c);
	rig_exchange(r, 100);
}

// The same once a port is open, and its device was replaced by one whose driver has less.
static void test_an_mtu_that_a_new_device_does_not_take_is_given_once(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	c.mtu = 9000;
	rig_open_ok(r, &c);
	kernel.no_driver_frags = true;
	netns_run("ip link del wx0");
	rig_wait_link(r, PORT_LINK_DOWN);
	close(r->far);
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "");
	r->far = netns_packet("wx1");
	rig_wait_log(r, "may be at most 3818, not 9000");
	netns_run("ip link set wx0 mtu 1450");
	rig_wait_link(r, PORT_LINK_UP);
	assert_int_equal(port_load(&r->port->mtu), 1450);
	rig_exchange(r, 1464);
}

// It was asked for each time.
static void test_an_mtu_that_the_kernel_refuses_is_not_asked_for_each_time(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	struct error err = {0};
	c.mtu = 1u << 20;
	kernel.changes = 0;
	for (unsigned i = 0; i < 4; i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(rig_open(r, &c, &err), -EINVAL);
		assert_string_equal(err.key, "mtu");
		assert_non_null(strstr(err.text, "this MTU is refused"));
	}
	assert_int_equal(kernel.changes, 1);
	// Another configuration, another device, or an MTU that somebody has set meanwhile.
	c.mtu++;
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_int_equal(kernel.changes, 2);
	netns_run("ip link del wx0");
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "");
	close(r->far);
	r->far = netns_packet("wx1");
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_int_equal(kernel.changes, 3);
	netns_run("ip link set wx0 mtu 1450");
	rig_open_ok(r, &c);
	assert_int_equal(port_load(&r->port->mtu), 1450);
	assert_int_equal(kernel.changes, 3);
}

// Nobody was told that each VLAN's frames end up in the port's own.
static void test_tags_that_are_stripped_for_good_are_told_once(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0(XDP_MODE_COPY);
	static const char text[] = "its rx-vlan-offload cannot be switched off";
	kernel.no_vlan_change = true;
	rig_open_ok(r, &c);
	rig_wait_log(r, text);
	netns_run("ip link set wx0 mtu 1400");
	rig_wait_log(r, "set up again");
	assert_null(strstr(strstr(r->log, text) + 1, text));
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_zerocopy_comes_first_and_needs_no_excuse),
		T(test_the_next_best_mode_says_why_not_better),
		T(test_a_bond_is_not_used_natively),
		T(test_a_configured_mode_is_not_replaced),
		T(test_what_is_the_same_in_every_mode_is_an_error_at_once),
		T(test_without_any_mode_the_last_error_is_told),
		T(test_a_queue_that_is_being_freed_is_waited_for),
		T(test_a_queue_that_another_program_has_is_not_waited_for_each_time),
		T(test_a_kernel_without_frames_of_several_buffers),
		T(test_a_driver_without_frames_of_several_buffers),
		T(test_what_fails_again_and_again_is_told_once),
		T(test_attempts_do_not_come_faster_when_others_change),
		T(test_buffers_are_in_huge_pages_if_there_are_any),
		T(test_maps_that_could_not_be_kept_once_are_kept_later),
		T(test_tags_that_are_stripped_for_good_are_told_once),
		T(test_an_mtu_that_xdp_does_not_take_is_given_once),
		T(test_a_device_that_somebody_sets_down_stays_down_without_a_port),
		T(test_an_mtu_that_a_new_device_does_not_take_is_given_once),
		T(test_an_mtu_that_the_kernel_refuses_is_not_asked_for_each_time),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
