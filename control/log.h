// SPDX-License-Identifier: BSD-2-Clause
// Log lines to stderr or the journal, rate-limited by what they are about.
#pragma once

#include <stdbool.h>
#include <syslog.h>

// Looks where stderr goes: with the journal there, lines carry its priority prefix and no time.
void log_init(int level);
// Lines above this syslog level are not written. Any thread.
void log_set_level(int level);

// Writes one line, "subject: text"; subject "" or NULL: none, else the port (and queue) it is
// about. A subject that writes more than LOG_BURST lines within LOG_WINDOW seconds is silenced
// until the window ends, and then one line says how many were left out. Any thread; never blocks
// for long.
#define LOG_BURST  20
#define LOG_WINDOW 10
__attribute__((format(printf, 3, 4))) void log_msg(
	int level, const char *subject, const char *fmt, ...);

// "warning" -> LOG_WARNING; -1 if there is no such level.
int log_level_parse(const char *name);
