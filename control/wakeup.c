// SPDX-License-Identifier: BSD-2-Clause
// How long sleeping cores may take to wake up: a request to the kernel's power management (PM QoS).
#include "control/wakeup.h"

#include "control/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wakeup {
	const char *file;
	int fd;          // -1: it could not be opened
	bool is_pending; // `wanted` was not granted at the start
	int32_t wanted;
	int error; // pending: why
};

static const char *remedy_of(int error)
{
	if (error == EACCES)
		return "start weftd as root, or let its user write that file, as "
		       "'systemd-tmpfiles --create weft.conf' does for the user weft";
	if (error == EPERM)
		return "a unit of systemd must name it in DeviceAllow=";
	if (error == ENOENT || error == ENXIO || error == ENODEV)
		return "a kernel has it with CONFIG_CPU_IDLE, a container must be given it";
	return "it is asked for again every second";
}

static int refused(struct wakeup *w, int error, struct error *err)
{
	w->error = error;
	return error_set(err, -error, "wakeup-us", "wakeup-us: %s: %s; %s", w->file,
		strerror(error), remedy_of(error));
}

bool wakeup_lacks(const struct wakeup *w, struct error *what, const char **remedy)
{
	if (!w->is_pending)
		return false;
	error_set(what, -w->error, "wakeup-us", "%s: %s", w->file, strerror(w->error));
	*remedy = remedy_of(w->error);
	return true;
}

int wakeup_set(struct wakeup *w, int32_t us, struct error *err)
{
	if (w->fd < 0)
		w->fd = open(w->file, O_WRONLY | O_CLOEXEC);
	if (w->fd < 0 && us != WAKEUP_ANY)
		return refused(w, errno, err);
	// The device has no positions; a file that stands in for it keeps the last number.
	if (w->fd >= 0 && pwrite(w->fd, &us, sizeof(us), 0) < 0)
		return refused(w, errno, err);
	w->is_pending = false;
	return 0;
}

void wakeup_tick(struct wakeup *w)
{
	struct error err;

	if (w->is_pending && wakeup_set(w, w->wanted, &err) == 0)
		log_msg(LOG_NOTICE, "", "wakeup-us: granted now, after all");
}

struct wakeup *wakeup_new(const char *file, int32_t us)
{
	struct wakeup *w = calloc(1, sizeof(*w));
	struct error err;

	if (!w)
		return NULL;
	*w = (struct wakeup){.file = file, .fd = -1, .wanted = us};
	if (wakeup_set(w, us, &err) < 0) {
		w->is_pending = us != WAKEUP_ANY;
		if (w->is_pending)
			log_msg(LOG_WARNING, "", "%s", err.text);
	}
	return w;
}

void wakeup_free(struct wakeup *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}
