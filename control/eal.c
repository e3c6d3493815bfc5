// SPDX-License-Identifier: BSD-2-Clause
// Starting DPDK's environment, which librte_vhost needs: small, quiet, and without side effects.
#include "control/eal.h"

#include "control/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

// DPDK's levels are syslog's plus one, so far as they go.
static int level_of_message(void)
{
	int level = rte_log_cur_msg_loglevel();

	return level >= (int)RTE_LOG_DEBUG ? LOG_DEBUG : level < 1 ? LOG_ERR : level - 1;
}

static ssize_t write_log(void *cookie, const char *text, size_t size)
{
	size_t n = size;

	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	if (n)
		log_msg(level_of_message(), "dpdk", "%.*s", (int)(n < 512 ? n : 512), text);
	return (ssize_t)size;
}

static int route_log(void)
{
	const cookie_io_functions_t io = {.write = write_log};
	FILE *stream = fopencookie(NULL, "w", io);

	if (!stream)
		return -errno;
	setvbuf(stream, NULL, _IOLBF, 1024);
	return rte_openlog_stream(stream);
}

// The environment keeps its control threads off the cores of its lcores. It polls nothing, so its
// one lcore is said to be where the workers are; the last core, where one that is not told goes.
static void lcore_text(
	const struct switch_config *config, const cpu_set_t *cores, char *buf, size_t size)
{
	size_t n = snprintf(buf, size, "0@(");
	int last = CPU_SETSIZE - 1;

	while (last > 0 && !CPU_ISSET(last, cores))
		last--;

	for (int i = 0; i < CPU_SETSIZE && n < size; i++) {
		bool worker = config->n_workers == 0 && i == last;
		for (uint32_t w = 0; w < config->n_workers; w++)
			worker |= config->cores[w] == i;
		if (worker && CPU_ISSET(i, cores))
			n += snprintf(buf + n, size - n, "%s%d", buf[n - 1] == '(' ? "" : ",", i);
	}
	if (n < size)
		snprintf(buf + n, size - n, ")");
}

// The environment asks the loader whether it is a shared library itself, and if so loads every
// driver there is on the system: a hundred libraries, 16 MB and 100 ms, none of them of use to a
// switch that only has rte_vhost speak. While it starts, this comes before libc's and says no.
static __thread bool is_starting;

void *dlopen(const char *file, int mode)
{
	static void *(*of_libc)(const char *, int);

	if (is_starting && file && strncmp(file, "librte_eal.so", 13) == 0)
		return NULL;
	if (!of_libc)
		of_libc = (void *(*)(const char *, int))(uintptr_t)dlsym(RTLD_NEXT, "dlopen");
	return of_libc(file, mode);
}

// And where the processor does not tell its frequency, it measures it for 100 ms, most of the daemon's
// start, during which guests wait for their switch to come back. What needs it nobody here calls.
int nanosleep(const struct timespec *wanted, struct timespec *left)
{
	struct timespec t = *wanted;
	int rc;

	if (is_starting && t.tv_sec == 0 && t.tv_nsec == 100000000)
		t.tv_nsec = 1000000;
	rc = clock_nanosleep(CLOCK_MONOTONIC, 0, &t, left);
	if (!rc)
		return 0;
	errno = rc;
	return -1;
}

static void no_usage(const char *name)
{
}

int eal_start(const struct switch_config *config, struct error *err)
{
	char prefix[40], lcore[4096], name[16];
	const char *args[] = {"weftd", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf",
		"--file-prefix", prefix, "--lcores", lcore, "-m", "64", "--log-level", "*:warning"};
	const int n = sizeof(args) / sizeof(args[0]);
	char *argv[sizeof(args) / sizeof(args[0]) + 1] = {NULL};
	cpu_set_t cores;
	int rc;

	rc = switch_cpus(&cores);
	if (rc < 0)
		return error_set(
			err, rc, "", "the CPUs that weftd may use are unknown: %s", strerror(-rc));
	pthread_getname_np(pthread_self(), name, sizeof(name));
	snprintf(prefix, sizeof(prefix), "weft-%d", (int)getpid());
	lcore_text(config, &cores, lcore, sizeof(lcore));
	for (int i = 0; i < n; i++)
		argv[i] = (char *)args[i];
	route_log();
	// Its arguments are ours, not the operator's: no page of help about them. (The environment
	// refuses --in-memory beside --no-huge; --no-shconf leaves no files behind either.)
	rte_set_application_usage_hook(no_usage);
	is_starting = true;
	rc = rte_eal_init(n, argv);
	is_starting = false;
	// It pinned us to the lcore.
	sched_setaffinity(0, sizeof(cores), &cores);
	pthread_setname_np(pthread_self(), name);
	// An empty directory that it makes even when it shares no files.
	rmdir(rte_eal_get_runtime_dir());
	if (rc < 0)
		return error_set(err, -rte_errno, "", "DPDK's environment did not start: %s",
			rte_strerror(rte_errno));
	return 0;
}

void eal_stop(void)
{
	rte_eal_cleanup();
}
