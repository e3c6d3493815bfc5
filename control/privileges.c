// SPDX-License-Identifier: BSD-2-Clause
// Giving up every capability that the daemon does not need.
#include "control/privileges.h"

#include "control/log.h"

#include <cap-ng.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

// Kept for the whole life of the daemon, because ports come and go.
static const int kept[] = {
	CAP_NET_ADMIN, // taps, attaching XDP programs, queues of devices
	CAP_NET_RAW,   // AF_XDP sockets
	CAP_BPF,       // XDP programs and maps
	CAP_PERFMON,   // pointer arithmetic in XDP programs
	CAP_IPC_LOCK,  // UMEM is locked memory
};

static void raise_limit(int what, rlim_t want, const char *name)
{
	struct rlimit lim;

	if (getrlimit(what, &lim) < 0 || lim.rlim_cur >= want)
		return;
	struct rlimit more = {.rlim_cur = want, .rlim_max = lim.rlim_max};
	if (lim.rlim_max < want)
		more.rlim_max = want;
	if (setrlimit(what, &more) == 0)
		return;
	more.rlim_cur = more.rlim_max = lim.rlim_max;
	if (setrlimit(what, &more) < 0)
		log_msg(LOG_WARNING, "", "cannot raise the limit %s: %s", name, strerror(errno));
}

// Giving sockets to other users needs a right that is nearly root's: only where it was asked for.
static bool gives_sockets_away(const struct config *config)
{
	for (uint32_t i = 0; i < config->n_ports; i++)
		if (*config->ports[i].sw.port.socket_owner)
			return true;
	return false;
}

// Finding and removing an XDP program that a crashed weftd left on a device takes
// BPF_PROG_GET_FD_BY_ID, which the kernel gives to CAP_SYS_ADMIN alone.
static bool has_xdp(const struct config *config)
{
	for (uint32_t i = 0; i < config->n_ports; i++)
		if (strcmp(config->ports[i].sw.port.type, "af-xdp") == 0)
			return true;
	return false;
}

int privileges_drop(const struct config *config, struct error *err)
{
	raise_limit(RLIMIT_NOFILE, 65536, "RLIMIT_NOFILE");
	raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY, "RLIMIT_MEMLOCK");

	if (capng_get_caps_process() < 0)
		return error_set(err, -EPERM, "", "cannot read this process's capabilities");
	bool had[CAP_LAST_CAP + 1];
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		had[cap] = capng_have_capability(CAPNG_PERMITTED, cap);

	capng_clear(CAPNG_SELECT_BOTH);
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (had[kept[i]])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, kept[i]);
	if (had[CAP_CHOWN] && gives_sockets_away(config))
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_CHOWN);
	if (had[CAP_SYS_ADMIN] && has_xdp(config))
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_ADMIN);
	// The bounding set needs CAP_SETPCAP to shrink; without it there is nothing to gain from
	// it.
	if (capng_apply(had[CAP_SETPCAP] ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0)
		return error_set(err, -EPERM, "", "cannot drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set(err, -errno, "", "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	return 0;
}

struct call {
	int (*fn)(void *ctx);
	void *ctx;
	int rc;
};

static void *without(void *arg)
{
	struct call *call = arg;

	// Capabilities belong to a thread, and so does libcap-ng's state.
	capng_clear(CAPNG_SELECT_CAPS);
	call->rc = capng_apply(CAPNG_SELECT_CAPS) < 0 ? -EPERM : call->fn(call->ctx);
	return NULL;
}

int privileges_without(int (*fn)(void *ctx), void *ctx)
{
	struct call call = {fn, ctx, 0};
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, without, &call);

	if (rc)
		return -rc;
	pthread_join(thread, NULL);
	return call.rc;
}
