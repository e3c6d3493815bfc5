// SPDX-License-Identifier: BSD-2-Clause
// The AF_XDP port on a veth: frames both ways in each mode, errors in words, a clean device after.
#include "dataplane/port/af_xdp.h"
#include "dataplane/port/af_xdp_queue.h"
#include "tests/lib/netns.h"
#include "tests/lib/open_fds.h"
#include "tests/lib/port_rig.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct port_config wx0(void)
{
	return (struct port_config){.name = "up", .type = "af-xdp", .device = "wx0"};
}

static int setup(void **state)
{
	*state = rig_new_veth("numtxqueues 4 numrxqueues 4");
	return 0;
}

static const uint32_t lengths[] = {14, 15, 59, 60, 63, 64, 65, 128, 1000, 1513, 1514};

static void exchange_all(struct port_rig *r)
{
	for (unsigned i = 0; i < N(lengths); i++)
		rig_exchange(r, lengths[i]);
	assert_int_equal(r->st.rx_frames, N(lengths));
	assert_int_equal(r->st.tx_frames, N(lengths));
	assert_int_equal(r->st.rx_bytes, r->st.tx_bytes);
}

static void test_auto_takes_the_best_mode_and_says_why_not_better(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	rig_open_ok(r, &c);
	exchange_all(r);
	assert_string_equal(rig_says(r, "mode"), "native, copy");
	assert_string_equal(rig_says(r, "busy_poll"), "false");
	assert_non_null(strstr(rig_says(r, "why_not_zerocopy"), "no zero-copy"));
	assert_string_equal(rig_says(r, "why_not_copy"), "");
	assert_int_equal(rig_number(r, "program.redirected"), N(lengths));
}

static void test_generic_mode_moves_frames(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	c.xdp_mode = XDP_MODE_GENERIC;
	rig_open_ok(r, &c);
	exchange_all(r);
	assert_string_equal(rig_says(r, "mode"), "generic");
	assert_string_equal(rig_says(r, "why_not_copy"), "not tried: mode is configured");
}

static void test_forced_zerocopy_fails_in_words(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	struct error err;
	c.xdp_mode = XDP_MODE_ZEROCOPY;
	assert_int_equal(rig_open(r, &c, &err), -EOPNOTSUPP);
	assert_string_equal(err.key, "mode");
	assert_non_null(strstr(err.text, "wx0: the driver has no zero-copy AF_XDP"));
}

static void test_busy_polling_moves_frames(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	c.busy_poll = 64;
	rig_open_ok(r, &c);
	exchange_all(r);
	assert_string_equal(rig_says(r, "busy_poll"), "true");
}

static void test_an_unknown_device_is_named(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	struct error err;
	snprintf(c.device, sizeof(c.device), "nosuch");
	assert_int_equal(rig_open(r, &c, &err), -ENODEV);
	assert_string_equal(err.key, "device");
	assert_non_null(strstr(err.text, "there is no device nosuch"));
}

// Bare IP would be taken for Ethernet, and lo be cut off from the host.
static void test_what_carries_no_ethernet_is_refused(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	static const char *const names[] = {"lo", "wxtun"};
	struct error err;
	netns_run("ip tuntap add wxtun mode tun");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(c.device, sizeof(c.device), "%s", names[i]);
		assert_int_equal(rig_open(r, &c, &err), -EINVAL);
		assert_string_equal(err.key, "device");
		assert_non_null(strstr(err.text, "it is no Ethernet interface"));
	}
	netns_run("! ip link show dev wxtun | grep -q '[<,]UP[,>]' && ip link del wxtun");
}

static void test_queues_that_would_not_be_served_are_an_error(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	struct error err;
	c.queues = 2;
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_string_equal(err.key, "queues");
	assert_non_null(strstr(err.text, "receives on 4 queues, and queues: says 2"));
	assert_non_null(strstr(err.text, "ethtool -L wx0 rx 2"));
	netns_run("ethtool -L wx0 rx 2"); // which helps
	rig_open_ok(r, &c);
}

static void test_more_queues_than_sockets_are_an_error(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	struct error err;
	static const char *const text[] = {
		"it receives on 17 queues, this port serves at most 16: ethtool -L wx0 rx 16",
		// One of the port's is for the copy of broadcasts.
		"it receives on 17 queues, this port serves at most 15: ethtool -L wx0 rx 15",
	};
	netns_run("ip link del wx0");
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "numtxqueues 17 numrxqueues 17");
	for (unsigned share = 0; share < 2; share++) {
		c.share_host = share;
		assert_int_equal(rig_open(r, &c, &err), -E2BIG);
		assert_string_equal(err.key, "queues");
		assert_non_null(strstr(err.text, text[share]));
	}
}

static void test_what_no_port_can_be_is_refused(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	struct error err;
	c.device[0] = 0;
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_string_equal(err.key, "device");
	c = wx0();
	c.queues = PORT_QUEUES_MAX + 1;
	assert_int_equal(rig_open(r, &c, &err), -EINVAL);
	assert_string_equal(err.key, "queues");
	assert_non_null(strstr(err.text, "at most 16, not 17"));
}

static void test_nothing_but_the_mtu_is_set_in_place(void **state)
{
	struct port_rig *r = *state;
	const struct port_config before = wx0();
	struct error err;
	struct port_config rows[] = {before, before, before, before, before, before};
	snprintf(rows[0].device, sizeof(rows[0].device), "wx1");
	rows[1].xdp_mode = XDP_MODE_GENERIC;
	rows[2].share_host = true;
	rows[3].queues = 4;
	rows[4].busy_poll = 64;
	rows[5].rx_ring = 8192;
	rig_open_ok(r, &before);
	for (unsigned i = 0; i < N(rows); i++)
		assert_int_equal(r->port->ops->set(r->port, &rows[i], &err), -ENOTSUP);
	assert_int_equal(r->port->ops->set(r->port, &before, &err), 0);
	rig_exchange(r, 100);
}

static void test_each_queue_sends(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	rig_open_ok(r, &c);
	assert_int_equal(r->port->n_rxq, 4);
	assert_int_equal(r->port->n_txq, 4);
	for (unsigned q = 0; q < 4; q++) {
		assert_int_equal(rig_tx(r, q, 100, q), 1);
		rig_expect_far(r, 100, q);
	}
}

static void test_a_second_user_of_the_queue_is_told(void **state)
{
	struct port_rig *r = *state, *other = aligned_alloc(64, (sizeof(*other) + 63) & ~63ul);
	struct port_config c = wx0();
	struct error err;
	rig_open_ok(r, &c);
	rig_init(other);
	assert_int_equal(rig_open(other, &c, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use by another AF_XDP socket"));
	rig_exchange(r, 100); // and the first is not disturbed
	free(other);
}

// Opens the port in a child that gave up rights; its error comes back.
static void open_without(const char *what, struct error *err)
{
	int back[2], status;
	assert_int_equal(pipe(back), 0);
	pid_t pid = fork();
	if (pid == 0) {
		static struct port_rig r;
		struct port_config c = wx0();
		struct rlimit none = {0};
		rig_init(&r);
		setrlimit(RLIMIT_MEMLOCK, &none);
		capng_get_caps_process();
		for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
			if (strstr(what, capng_capability_to_name((unsigned)cap)))
				capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
					(unsigned)cap);
		capng_apply(CAPNG_SELECT_CAPS);
		int rc = rig_open(&r, &c, err);
		_exit(write(back[1], err, sizeof(*err)) != sizeof(*err) || rc == 0);
	}
	close(back[1]);
	assert_int_equal(read(back[0], err, sizeof(*err)), sizeof(*err));
	close(back[0]);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void test_missing_rights_are_named(void **state)
{
	static const struct {
		const char *caps, *text;
	} rows[] = {
		{"net_raw", "weftd needs CAP_NET_RAW"},
		{"ipc_lock", "raise the memlock limit"},
		{"sys_admin net_admin bpf", "weftd needs CAP_NET_ADMIN and CAP_BPF"},
	};
	for (unsigned i = 0; i < N(rows); i++) {
		struct error err = {0};
		open_without(rows[i].caps, &err);
		if (!strstr(err.text, rows[i].text))
			fail_msg("without %s: %s", rows[i].caps, err.text);
	}
}

static bool has_program(void)
{
	return netns_try("ip link show dev wx0 | grep -q 'prog/xdp'") == 0;
}

static void test_the_device_is_clean_after_close(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	netns_run("! ip -d link show dev wx0 | grep -q 'promiscuity 1'");
	rig_open_ok(r, &c);
	assert_true(has_program());
	netns_run("ip -d link show dev wx0 | grep -q 'promiscuity 1'");
	rig_close(r);
	assert_false(has_program());
	netns_run("! ip -d link show dev wx0 | grep -q 'promiscuity 1'");
	rig_open_ok(r, &c);
	rig_exchange(r, 100);
}

// Somebody else's program, in the place of whatever is there.
static void attach_foreign(void)
{
	// r0 = XDP_PASS; exit
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(
		BPF_PROG_TYPE_XDP, "somebody_else", "Dual BSD/GPL", pass, N(pass), NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_xdp_attach((int)if_nametoindex("wx0"), fd, 0, NULL), 0);
	close(fd);
}

static uint32_t program_id(void)
{
	uint32_t id = 0;
	assert_int_equal(bpf_xdp_query_id((int)if_nametoindex("wx0"), 0, &id), 0);
	return id;
}

static void test_a_foreign_program_is_refused_by_name(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	struct error err;
	attach_foreign();
	assert_int_equal(rig_open(r, &c, &err), -EBUSY);
	assert_non_null(strstr(err.text, "'somebody_else'"));
	assert_true(has_program());
}

// Bytes of memory that this process has mapped.
static uint64_t mapped_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

// What ports had that were opened, or could not be, is given back: rings, buffers, sockets, programs.
static void test_nothing_is_left_behind(void **state)
{
	struct port_rig *r = *state, *other = aligned_alloc(64, (sizeof(*other) + 63) & ~63ul);
	struct port_config c = wx0();
	struct error err;
	uint64_t bytes = 0;
	unsigned fds = 0;
	for (unsigned i = 0; i < 8; i++) {
		rig_open_ok(r, &c);
		rig_init(other);
		assert_int_equal(rig_open(other, &c, &err), -EBUSY);
		rig_close(r);
		attach_foreign();
		assert_int_equal(rig_open(other, &c, &err), -EBUSY);
		netns_run("ip link set dev wx0 xdp off");
		if (i == 1) { // whatever is kept for all ports is there by now
			bytes = mapped_bytes();
			fds = open_fds();
		}
	}
	assert_int_equal(open_fds(), fds);
	assert_in_range(mapped_bytes(), 0, bytes + (4u << 20)); // of 32 MiB a queue
	free(other);
}

// Put there while the port is open it stays too, and when it goes the port is back.
static void test_a_foreign_program_in_place_of_ours_stays(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	rig_open_ok(r, &c);
	attach_foreign();
	uint32_t id = program_id();
	rig_wait_link(r, PORT_LINK_DOWN);
	assert_true(rig_why_has(r, "wx0: the device has the XDP program 'somebody_else'"));
	assert_int_equal(program_id(), id);
	netns_run("ip link set dev wx0 xdp off");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
	attach_foreign();
	id = program_id();
	rig_close(r);
	assert_int_equal(program_id(), id);
}

// A daemon that is killed while its port is open.
static void killed_daemon(const struct port_config *c)
{
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		static struct port_rig r;
		struct error err;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rig_init(&r);
		if (rig_open(&r, c, &err) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool host_sees(void *ctx)
{
	int *fd = ctx;
	uint8_t frame[2048];
	return recv(*fd, frame, sizeof(frame), 0) == 77;
}

static void test_kill_9_leaves_the_host_connected_and_a_restart_works(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	for (unsigned i = 0; i < 2; i++) {
		const unsigned fds = open_fds();
		c.xdp_mode = i ? XDP_MODE_GENERIC : XDP_MODE_AUTO;
		killed_daemon(&c);
		assert_true(has_program());
		int host = netns_packet("wx0");
		rig_far_send(r, 77, 1);
		assert_true(netns_wait(host_sees, &host));
		close(host);
		c.xdp_mode = XDP_MODE_AUTO;
		rig_open_ok(r, &c); // replaces the leftover
		rig_exchange(r, 100);
		rig_close(r);
		assert_false(has_program());
		assert_true(!i || open_fds() == fds);
	}
}

// It stayed off for good: what was off when the next daemon came was none of its business.
static void test_kill_9_is_no_end_of_stripping_tags(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	static const char on[] = "ethtool -k wx0 | grep -q 'rx-vlan-offload: on'";
	for (unsigned mode = XDP_MODE_COPY; mode <= XDP_MODE_GENERIC; mode++) {
		netns_run("%s", on);
		c.xdp_mode = mode;
		killed_daemon(&c);
		killed_daemon(&c); // the second knows from the first
		assert_int_not_equal(netns_try("%s", on), 0);
		rig_open_ok(r, &c);
		assert_int_not_equal(netns_try("%s", on), 0);
		rig_close(r);
	}
	netns_run("%s", on);
	// What an operator had switched off stays off.
	netns_run("ethtool -K wx0 rx-vlan-offload off");
	killed_daemon(&c);
	rig_open_ok(r, &c);
	rig_close(r);
	assert_int_not_equal(netns_try("%s", on), 0);
}

// Frames may wait as long as the kernel has buffers enough for what comes meanwhile.
static void test_most_of_the_ring_may_wait(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	bool kept[PORT_QUEUES_MAX] = {false};
	unsigned full = PORT_QUEUES_MAX;
	rig_open_ok(r, &c);
	// One that is empty may have to wake the kernel.
	for (unsigned q = 0; q < r->port->n_rxq; q++)
		assert_int_equal(
			r->port->ops->rx_backlog(r->port, q, 8, &r->st), PORT_BACKLOG_UNKNOWN);
	for (unsigned sent = 1; full == PORT_QUEUES_MAX; sent++) {
		assert_true(sent < 10000);
		rig_far_send(r, 60, sent);
		for (unsigned q = 0; q < r->port->n_rxq; q++) {
			uint32_t n = r->port->ops->rx_backlog(r->port, q, 8, &r->st);
			bool keeps = n != PORT_BACKLOG_UNKNOWN;
			assert_true(n <= 8 || !keeps);
			if (kept[q] && !keeps)
				full = q;
			kept[q] = keeps;
		}
		assert_true(full == PORT_QUEUES_MAX || sent > PORT_RX_RING_DEFAULT / 4 * 3);
	}
	assert_int_equal(
		r->port->ops->rx(r->port, full, &r->burst, FRAME_BURST, &r->st), FRAME_BURST);
	r->port->ops->rx_done(r->port, full, &r->burst);
	assert_int_equal(r->port->ops->rx_backlog(r->port, full, 8, &r->st), 8);
}

// Receives all that the kernel holds.
static void drain(struct port_rig *r)
{
	uint64_t before = 0;
	do {
		before = r->st.rx_frames;
		for (unsigned i = 0; i < 8192 / FRAME_BURST; i++)
			for (r->q = 0; r->q < r->port->n_rxq; r->q++)
				if (r->port->ops->rx(r->port, r->q, &r->burst, FRAME_BURST, &r->st))
					rig_rx_done(r);
	} while (r->st.rx_frames != before);
}

static void test_what_the_kernel_dropped_is_told(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	rig_open_ok(r, &c);
	r->port->ops->tick(r->port);
	for (unsigned i = 0; i < 10000; i++) // more than the rings of all queues hold
		rig_far_send(r, 60, i);
	r->port->ops->tick(r->port);
	rig_wait_log(r, "the kernel dropped");
	// Nothing is lost but these: what the rings hold comes through, and then what is sent next.
	drain(r);
	rig_exchange(r, 100);
	assert_string_equal(rig_says(r, "rings.0.conserved"), "true");
}

// What arrives while the worker is away: all of it if there is room, else as much as there is.
static void test_the_ring_holds_what_it_is_told_to(void **state)
{
	static const struct {
		uint32_t rx_ring, least, most;
	} rows[] = {{16384, 10000, 10000}, {1024, 1024, 4096}};
	struct port_rig *r = *state;
	for (unsigned k = 0; k < N(rows); k++) {
		struct port_config c = wx0();
		c.rx_ring = rows[k].rx_ring;
		rig_open_ok(r, &c);
		const uint64_t before = r->st.rx_frames;
		for (unsigned i = 0; i < 10000; i++)
			rig_far_send(r, 60, i);
		drain(r);
		assert_in_range(r->st.rx_frames - before, rows[k].least, rows[k].most);
		char size[16];
		snprintf(size, sizeof(size), "%u", rows[k].rx_ring);
		assert_string_equal(rig_says(r, "rx_ring_size"), size);
		assert_string_equal(rig_says(r, "rings.0.conserved"), "true");
		rig_exchange(r, 100);
		rig_close(r);
	}
}

static bool readable(void *ctx)
{
	struct pollfd p = {.fd = *(int *)ctx, .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

static void test_a_sleeping_worker_is_woken(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	rig_open_ok(r, &c);
	for (unsigned q = 0; q < 4; q++)
		assert_false(r->port->ops->arm(r->port, q));
	rig_far_send(r, 100, 1);
	bool woken = false;
	for (unsigned tries = 0; tries < 5000 && !woken; tries++) {
		for (unsigned q = 0; q < 4; q++)
			woken |= readable(&r->port->rxq[q].fd);
		usleep(1000);
	}
	assert_true(woken);
	unsigned work = 0;
	for (unsigned q = 0; q < 4; q++)
		work += r->port->ops->arm(r->port, q);
	assert_int_equal(work, 1);
	rig_expect_rx(r, 100, 1);
}

// A worker that has long been awake is not told of anything, until it is about to sleep.
static void test_a_worker_that_sleeps_after_long_work_is_woken(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0();
	rig_open_ok(r, &c);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 2 * XDP_QUEUE_AWAKE; i++)
			for (unsigned q = 0; q < 4; q++)
				assert_int_equal(r->port->ops->rx(r->port, q, &r->burst,
							 FRAME_BURST, &r->st),
					0);
		for (unsigned q = 0; q < 4; q++)
			assert_int_equal(r->port->rxq[q].fd, -1);
		for (unsigned q = 0; q < 4; q++)
			assert_false(r->port->ops->arm(r->port, q));
		bool woken = false;
		rig_far_send(r, 100, round);
		for (unsigned tries = 0; tries < 5000 && !woken; tries++) {
			for (unsigned q = 0; q < 4; q++)
				woken |= r->port->rxq[q].fd >= 0 && readable(&r->port->rxq[q].fd);
			usleep(1000);
		}
		assert_true(woken);
		rig_expect_rx(r, 100, round);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_auto_takes_the_best_mode_and_says_why_not_better),
		T(test_generic_mode_moves_frames),
		T(test_forced_zerocopy_fails_in_words),
		T(test_busy_polling_moves_frames),
		T(test_an_unknown_device_is_named),
		T(test_what_carries_no_ethernet_is_refused),
		T(test_queues_that_would_not_be_served_are_an_error),
		T(test_more_queues_than_sockets_are_an_error),
		T(test_what_no_port_can_be_is_refused),
		T(test_nothing_but_the_mtu_is_set_in_place),
		T(test_each_queue_sends),
		T(test_a_second_user_of_the_queue_is_told),
		T(test_missing_rights_are_named),
		T(test_the_device_is_clean_after_close),
		T(test_a_foreign_program_is_refused_by_name),
		T(test_nothing_is_left_behind),
		T(test_a_foreign_program_in_place_of_ours_stays),
		T(test_kill_9_leaves_the_host_connected_and_a_restart_works),
		T(test_kill_9_is_no_end_of_stripping_tags),
		T(test_most_of_the_ring_may_wait),
		T(test_what_the_kernel_dropped_is_told),
		T(test_the_ring_holds_what_it_is_told_to),
		T(test_a_sleeping_worker_is_woken),
		T(test_a_worker_that_sleeps_after_long_work_is_woken),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
