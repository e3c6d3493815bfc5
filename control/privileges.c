// SPDX-License-Identifier: BSD-2-Clause
// Giving up every capability that the daemon does not need.
#include "control/privileges.h"

#include "control/log.h"

#include <cap-ng.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
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

// Rights beyond those: bits of enum conf_privilege.
//
// Giving sockets to other users takes CAP_CHOWN, which is nearly root's. Finding and removing an XDP
// program that a crashed weftd left on a device, or joining those of others, takes
// BPF_PROG_GET_FD_BY_ID, which the kernel gives to CAP_SYS_ADMIN alone. So each is kept only where a
// port of the file needs it or the file asks for it.
static uint64_t wanted(const struct config *config)
{
	uint64_t bits = config->privileges;

	for (uint32_t i = 0; i < config->n_ports; i++) {
		const struct port_config *p = &config->ports[i].sw.port;
		if (*p->socket_owner)
			bits |= PRIVILEGE_SOCKET_OWNER;
		if (strcmp(p->type, "af-xdp") == 0)
			bits |= PRIVILEGE_XDP;
	}
	return bits;
}

// What was wanted at start.
static uint64_t at_start;

bool privileges_are_kept(uint64_t privileges)
{
	return (privileges & ~at_start) == 0;
}

void privileges_explain(const struct port_config *port, int rc, struct error *err)
{
	const bool xdp = strcmp(port->type, "af-xdp") == 0;
	const uint64_t need = xdp                   ? PRIVILEGE_XDP
			      : *port->socket_owner ? PRIVILEGE_SOCKET_OWNER
						    : 0;
	size_t n = strlen(err->text);

	if ((rc == -EPERM || rc == -EACCES || (xdp && rc == -EBUSY)) && !privileges_are_kept(need))
		snprintf(err->text + n, sizeof(err->text) - n,
			"; weftd gave up %s at its start, as no port needed it: put 'privileges: "
			"[%s]' into its file and start it again",
			xdp ? "CAP_SYS_ADMIN" : "CAP_CHOWN", xdp ? "xdp" : "socket-owner");
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
	at_start = wanted(config);
	if (had[CAP_CHOWN] && at_start & PRIVILEGE_SOCKET_OWNER)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_CHOWN);
	if (had[CAP_SYS_ADMIN] && at_start & PRIVILEGE_XDP)
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
