// SPDX-License-Identifier: BSD-2-Clause
// What is told to the person whose request failed: which key, and a sentence with the remedy.
#pragma once

#include <stdarg.h>
#include <stdio.h>

struct error {
	char key[64];   // the key at fault as the configuration spells it ("socket"), or ""
	char text[512]; // one sentence: what is wrong and what to do
};

// Fills `err` (which may be NULL) and returns `rc`, so that a failure is one line:
//	return error_set(err, -EINVAL, "queues", "queues: at most %u, not %u", max, n);
__attribute__((format(printf, 4, 5))) static inline int error_set(
	struct error *err, int rc, const char *key, const char *fmt, ...)
{
	if (err) {
		va_list ap;
		va_start(ap, fmt);
		snprintf(err->key, sizeof(err->key), "%s", key ? key : "");
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return rc;
}
