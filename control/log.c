// SPDX-License-Identifier: BSD-2-Clause
// Log lines to stderr or the journal, rate-limited by what they are about.
#include "control/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SUBJECTS_MAX 64

// How much one subject has said in its window. Slots are shared by hash: a collision makes two
// subjects share an allowance, which is harmless.
struct subject {
	time_t start;
	uint32_t said, left_out;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct subject subjects[SUBJECTS_MAX]; // guarded by lock
static int max_level = LOG_INFO;              // any thread reads, atomically
static bool in_journal;                       // written by log_init before other threads run

static const char *const level_names[] = {
	[LOG_EMERG] = "emerg",
	[LOG_ALERT] = "alert",
	[LOG_CRIT] = "critical",
	[LOG_ERR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

int log_level_parse(const char *name)
{
	for (int i = 0; i <= LOG_DEBUG; i++)
		if (strcmp(level_names[i], name) == 0)
			return i;
	return -1;
}

void log_init(int level)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	log_set_level(level);
	in_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_set_level(int level)
{
	__atomic_store_n(&max_level, level, __ATOMIC_RELAXED);
}

static void write_line(int level, const char *subject, const char *text)
{
	char line[1024], when[40] = "";
	int n;

	if (in_journal) {
		snprintf(when, sizeof(when), "<%d>", level);
	} else {
		struct timespec ts;
		struct tm tm;
		clock_gettime(CLOCK_REALTIME, &ts);
		localtime_r(&ts.tv_sec, &tm);
		size_t len = strftime(when, sizeof(when), "%F %T", &tm);
		snprintf(when + len, sizeof(when) - len, ".%03ld ", ts.tv_nsec / 1000000);
	}
	n = snprintf(line, sizeof(line) - 1, "%s%s%s%s%s%s\n", when,
		in_journal ? "" : level_names[level], in_journal ? "" : ": ", subject,
		*subject ? ": " : "", text);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line) - 1) {
		n = sizeof(line) - 2;
		line[n - 1] = '\n';
	}
	// Text from outside must not forge lines or colour a terminal.
	for (int i = 0; i < n - 1; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
		;
}

// Whether `subject` may say one more line; *left_out counts what it was refused before.
static bool may_say(const char *subject, uint32_t *left_out)
{
	struct timespec now;
	uint32_t h = 2166136261u;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	for (const char *p = subject; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	struct subject *s = &subjects[h % SUBJECTS_MAX];
	*left_out = 0;
	if (s->start == 0 || now.tv_sec - s->start >= LOG_WINDOW) {
		*left_out = s->left_out;
		*s = (struct subject){.start = now.tv_sec};
	}
	if (s->said >= LOG_BURST) {
		s->left_out++;
		return false;
	}
	s->said++;
	return true;
}

void log_msg(int level, const char *subject, const char *fmt, ...)
{
	char text[768], more[64];
	uint32_t left_out;
	va_list ap;

	if (level > __atomic_load_n(&max_level, __ATOMIC_RELAXED))
		return;
	if (!subject)
		subject = "";
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	pthread_mutex_lock(&lock);
	if (may_say(subject, &left_out)) {
		if (left_out) {
			snprintf(more, sizeof(more), "%u lines were left out", left_out);
			write_line(LOG_NOTICE, subject, more);
		}
		write_line(level, subject, text);
	}
	pthread_mutex_unlock(&lock);
}
