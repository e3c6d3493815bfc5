// SPDX-License-Identifier: BSD-2-Clause
// Loads and attaches the XDP program through libxdp.
#include "dataplane/port/af_xdp_program.h"

#include "bpf/weft_xdp.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>

// The libraries print why the kernel refused; it goes into our error instead.
static __thread char said[160];

static void listen_to(const char *fmt, va_list ap)
{
	char line[256];
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = 0;
	// What the driver says is worth more than what the library makes of it.
	const char *kernel = strstr(line, "Kernel error message: ");
	if (kernel)
		snprintf(said, sizeof(said), "%s", kernel + strlen("Kernel error message: "));
}

static int listen_libxdp(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBXDP_WARN)
		listen_to(fmt, ap);
	return 0;
}

static int listen_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN)
		listen_to(fmt, ap);
	return 0;
}

static int foreign(const char *name, uint32_t id, struct error *err)
{
	return error_set(err, -EBUSY, "device",
		"the device has the XDP program '%s' (id %u) of somebody else, which weft does not "
		"displace: stop its owner or remove it with 'ip link set dev DEVICE xdp off'",
		*name ? name : "?", id);
}

static bool is_ours(const char *name)
{
	return name && !strcmp(name, WEFT_XDP_PROGRAM);
}

static bool is_dispatchers(const char *name)
{
	return !strcmp(name, "xdp_dispatcher");
}

// Closes what there is of a program that nobody here has open: libxdp 1.3 leaves descriptors of a
// dispatcher and of the programs in it each time that it looks at one.
static void close_left(uint32_t id)
{
	DIR *all = opendir("/proc/self/fd");
	struct dirent *d;
	while (all && (d = readdir(all))) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);
		char what[32] = "";
		if (readlinkat(dirfd(all), d->d_name, what, sizeof(what) - 1) > 0 &&
			!strcmp(what, "anon_inode:bpf-prog") &&
			!bpf_obj_get_info_by_fd(atoi(d->d_name), &info, &len) && info.id == id)
			close(atoi(d->d_name));
	}
	if (all)
		closedir(all);
}

// What the daemon left that put it there.
static void read_note(int prog_fd, struct weft_xdp_note *note)
{
	__u32 ids[16], len;
	struct bpf_prog_info info = {
		.nr_map_ids = sizeof(ids) / sizeof(*ids), .map_ids = (uintptr_t)ids};
	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		return;
	for (__u32 i = 0; i < info.nr_map_ids && i < sizeof(ids) / sizeof(*ids); i++) {
		struct bpf_map_info map = {0};
		struct weft_xdp_note left = {0};
		__u32 first = 0;
		int fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd < 0)
			continue;
		len = sizeof(map);
		if (!bpf_obj_get_info_by_fd(fd, &map, &len) && !strcmp(map.name, WEFT_XDP_NOTE) &&
			map.value_size == sizeof(left) && !bpf_map_lookup_elem(fd, &first, &left))
			note->vlan_offload_off |= left.vlan_offload_off;
		close(fd);
	}
}

// In a dispatcher of libxdp's others stay, beside us.
static int clear_dispatcher(int ifindex, uint32_t id, struct weft_xdp_note *note)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex(ifindex);
	struct xdp_program *prog = NULL, *ours = NULL;
	uint32_t our_id = 0;
	int rc = 0;
	if (!mp || libxdp_get_error(mp))
		return 0; // attach will say
	while ((prog = xdp_multiprog__next_prog(prog, mp)))
		if (is_ours(xdp_program__name(prog)))
			ours = prog;
	if (ours) {
		read_note(xdp_program__fd(ours), note);
		our_id = xdp_program__id(ours);
		rc = xdp_program__detach(ours, ifindex, xdp_multiprog__attach_mode(mp), 0);
	}
	xdp_multiprog__close(mp);
	close_left(id);
	if (ours)
		close_left(our_id);
	return rc;
}

// Takes program `id` off the device if it is a leftover of our own; refuses if it is not ours. Whose a
// program that is alone on a device is, libxdp can say too, but libxdp 1.3 leaves a descriptor open each
// time, and devices are looked at for as long as the daemon runs.
static int clear_program(
	int ifindex, uint32_t id, uint32_t mode, struct weft_xdp_note *note, struct error *err)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int fd = id ? bpf_prog_get_fd_by_id(id) : -1, rc = 0;
	if (fd < 0)
		return 0; // nothing there, or nothing that we may look at: attach will say
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = fd);
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		info.name[0] = 0;
	if (is_dispatchers(info.name)) {
		close(fd); // or it would be taken for one that libxdp left
		fd = -1;
		rc = clear_dispatcher(ifindex, id, note);
	} else if (is_ours(info.name)) {
		read_note(fd, note);
		rc = bpf_xdp_detach(ifindex, mode, &opts);
	} else {
		rc = foreign(info.name, id, err);
	}
	if (fd >= 0)
		close(fd);
	if (rc && rc != -EBUSY)
		error_set(err, rc, "device", "cannot remove the XDP program that weft left: %s",
			strerror(-rc));
	return rc;
}

static int clear_device(int ifindex, struct weft_xdp_note *note, struct error *err)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, there);
	if (bpf_xdp_query(ifindex, 0, &there))
		return 0; // attach will say
	int rc = clear_program(ifindex, there.drv_prog_id, XDP_FLAGS_DRV_MODE, note, err);
	return rc ? rc : clear_program(ifindex, there.skb_prog_id, XDP_FLAGS_SKB_MODE, note, err);
}

static int attach_failed(int rc, bool native, struct error *err)
{
	const char *why = said[0] ? said : strerror(-rc);
	if (rc == -EPERM || rc == -EACCES)
		return error_set(err, rc, "device",
			"no permission to load an XDP program: weftd needs CAP_NET_ADMIN and "
			"CAP_BPF");
	if (rc == -EBUSY || rc == -EEXIST)
		return error_set(err, rc, "device",
			"the device has an XDP program already, of another kind or mode: see ip "
			"link; "
			"remove it with 'ip link set dev DEVICE xdp off'");
	if (native && (rc == -EOPNOTSUPP || rc == -EINVAL || rc == -ERANGE))
		return error_set(err, rc, "mode",
			"the driver takes no native XDP program (%s): a smaller MTU, fewer queues "
			"(ethtool -L), lro off (ethtool -K) or a newer kernel may help",
			why);
	return error_set(err, rc, "device", "cannot attach the XDP program: %s", why);
}

// Opens the program with the maps of the last time, if there were any.
static int program_open(struct af_xdp_program *p, bool share_host, bool frags)
{
	struct weft_xdp *skel = weft_xdp__open();
	if (!skel)
		return -errno;
	skel->rodata->weft_share_host = share_host;
	skel->rodata_note->weft_note = p->note;
	int rc = 0;
	if (p->steer_fd)
		rc = bpf_map__reuse_fd(skel->maps.weft_steer, p->steer_fd);
	if (!rc && p->counters_fd)
		rc = bpf_map__reuse_fd(skel->maps.weft_counters, p->counters_fd);

	DECLARE_LIBXDP_OPTS(
		xdp_program_opts, opts, .obj = skel->obj, .prog_name = WEFT_XDP_PROGRAM);
	struct xdp_program *prog = rc ? NULL : xdp_program__create(&opts);
	if (!rc)
		rc = prog ? (int)libxdp_get_error(prog) : -ENOMEM;
	if (!rc)
		rc = xdp_program__set_xdp_frags_support(prog, frags);
	if (rc) {
		if (prog && !libxdp_get_error(prog))
			xdp_program__close(prog);
		weft_xdp__destroy(skel);
		return rc;
	}
	p->skeleton = skel;
	p->handle = prog;
	p->frags = frags;
	return 0;
}

static void program_close(struct af_xdp_program *p)
{
	if (p->handle)
		xdp_program__close(p->handle);
	if (p->skeleton)
		weft_xdp__destroy(p->skeleton);
	p->handle = p->skeleton = NULL;
	p->ifindex = 0;
}

static int keep_map(int *fd, const struct bpf_map *map)
{
	if (*fd)
		return 0;
	int copy = dup(bpf_map__fd(map));
	if (copy < 0)
		return -errno;
	*fd = copy;
	return 0;
}

static int keep_maps(struct af_xdp_program *p)
{
	const struct weft_xdp *skel = p->skeleton;
	int rc = keep_map(&p->steer_fd, skel->maps.weft_steer);
	return rc ? rc : keep_map(&p->counters_fd, skel->maps.weft_counters);
}

// Whether program `id`, which is attached, is a dispatcher that calls `ours`. Also if we may not look at it.
static bool dispatches(int ifindex, uint32_t id, uint32_t ours)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return errno != ENOENT;
	bool is_dispatcher = !bpf_obj_get_info_by_fd(fd, &info, &len) && is_dispatchers(info.name);
	close(fd);
	struct xdp_multiprog *mp = is_dispatcher ? xdp_multiprog__get_from_ifindex(ifindex) : NULL;
	if (!mp || libxdp_get_error(mp))
		return false;
	struct xdp_program *prog = NULL;
	bool is_called = false;
	while ((prog = xdp_multiprog__next_prog(prog, mp)))
		is_called |= xdp_program__id(prog) == ours;
	xdp_multiprog__close(mp);
	close_left(id);
	return is_called;
}

int af_xdp_program_attach(
	struct af_xdp_program *p, int ifindex, bool native, bool share_host, struct error *err)
{
	libxdp_set_print(listen_libxdp);
	libbpf_set_print(listen_libbpf);
	said[0] = 0;
	int rc = clear_device(ifindex, &p->note, err);
	if (rc)
		return rc;
	// With support for frames of several buffers, and without where driver or kernel has none.
	for (int frags = 1; frags >= 0; frags--) {
		rc = program_open(p, share_host, frags);
		if (rc)
			return error_set(err, rc, "device", "cannot open the XDP program: %s",
				strerror(-rc));
		rc = xdp_program__attach(
			p->handle, ifindex, native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
		if (!rc)
			break;
		program_close(p);
		if (rc == -EPERM || rc == -EBUSY)
			break;
	}
	if (rc)
		return attach_failed(rc, native, err);
	p->ifindex = ifindex;
	p->native = native;
	p->id = xdp_program__id(p->handle);
	// If what is attached is not our program, it is one that calls it.
	uint32_t id = 0;
	p->attached_id = !bpf_xdp_query_id(ifindex, 0, &id) && id ? id : p->id;
	p->dispatcher = p->attached_id != p->id;
	rc = keep_maps(p);
	if (rc) {
		af_xdp_program_detach(p, false);
		return error_set(err, rc, "device", "cannot keep the maps of the XDP program: %s",
			strerror(-rc));
	}
	return 0;
}

// Alone on the device our program goes by its descriptor: libxdp would look at what is attached,
// which the kernel lets CAP_SYS_ADMIN do alone.
static int detach_alone(const struct af_xdp_program *p)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = xdp_program__fd(p->handle));
	return bpf_xdp_detach(
		p->ifindex, p->native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE, &opts);
}

// Nobody else's program is hit, as libxdp looks for ours. What it has pinned stays where the device is
// out of reach: one that comes back from another namespace has the dispatcher still.
static void detach_by_libxdp(const struct af_xdp_program *p)
{
	uint32_t id = 0;
	bpf_xdp_query_id(p->ifindex, 0, &id);
	xdp_program__detach(p->handle, p->ifindex, p->native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	if (id && id != p->id)
		close_left(id);
}

void af_xdp_program_detach(struct af_xdp_program *p, bool gone)
{
	const bool dispatcher = p->ifindex && p->dispatcher;
	// One that went may still be here, under another name. Alone there nobody else's program is hit
	// either, as the kernel compares the descriptor's with what is attached.
	if (dispatcher || (p->ifindex && detach_alone(p) < 0 && !gone))
		detach_by_libxdp(p);
	program_close(p);
	if (dispatcher)
		close_left(p->id);
}

bool af_xdp_program_is_attached(struct af_xdp_program *p)
{
	uint32_t id = 0;
	if (bpf_xdp_query_id(p->ifindex, 0, &id) || id == p->attached_id)
		return true;
	// Another dispatcher comes with each program that joins or leaves.
	if (!p->dispatcher || !id || !dispatches(p->ifindex, id, p->id))
		return false;
	p->attached_id = id;
	return true;
}

void af_xdp_program_fini(struct af_xdp_program *p)
{
	af_xdp_program_detach(p, false);
	if (p->steer_fd > 0)
		close(p->steer_fd);
	if (p->counters_fd > 0)
		close(p->counters_fd);
	memset(p, 0, sizeof(*p));
}

int af_xdp_program_bind(struct af_xdp_program *p, uint32_t queue, int xsk_fd)
{
	const struct weft_xdp *skel = p->skeleton;
	return bpf_map_update_elem(bpf_map__fd(skel->maps.weft_sockets), &queue, &xsk_fd, BPF_ANY)
		       ? -errno
		       : 0;
}

int af_xdp_program_steer(const struct af_xdp_program *p, const struct weft_steer_key *key)
{
	uint8_t one = 1;
	if (!p->steer_fd)
		return -ENODEV;
	return bpf_map_update_elem(p->steer_fd, key, &one, BPF_ANY) ? -errno : 0;
}

bool af_xdp_program_unsteer(const struct af_xdp_program *p, const struct weft_steer_key *key)
{
	return p->steer_fd && !bpf_map_delete_elem(p->steer_fd, key);
}

void af_xdp_program_foreach(const struct af_xdp_program *p,
	void (*each)(void *ctx, const struct weft_steer_key *key), void *ctx)
{
	struct weft_steer_key key, next;
	bool more = p->steer_fd && !bpf_map_get_next_key(p->steer_fd, NULL, &next);
	while (more) {
		key = next;
		// Before it may go: behind one that is not there the kernel begins anew.
		more = !bpf_map_get_next_key(p->steer_fd, &key, &next);
		each(ctx, &key);
	}
}

void af_xdp_program_counters(const struct af_xdp_program *p, uint64_t counters[WEFT_XDP_N_COUNTERS])
{
	int n_cpus = libbpf_num_possible_cpus();
	memset(counters, 0, WEFT_XDP_N_COUNTERS * sizeof(*counters));
	if (n_cpus <= 0 || !p->counters_fd)
		return;
	uint64_t values[n_cpus];
	for (uint32_t i = 0; i < WEFT_XDP_N_COUNTERS; i++)
		if (!bpf_map_lookup_elem(p->counters_fd, &i, values))
			for (int cpu = 0; cpu < n_cpus; cpu++)
				counters[i] += values[cpu];
}

const char *af_xdp_counter_name(enum weft_xdp_counter which)
{
	static const char *const names[] = {
#define X(name, text) #name,
		WEFT_XDP_COUNTERS(X)
#undef X
	};
	return names[which];
}
