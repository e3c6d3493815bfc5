// SPDX-License-Identifier: BSD-2-Clause
// Base64 (RFC 4648, section 4) back to bytes.
#include "cli/base64.h"

#include <string.h>

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long base64_decode(const char *text, uint8_t *out, size_t size)
{
	size_t len = strlen(text), n = 0;

	if (len % 4)
		return -1;
	for (size_t i = 0; i < len; i += 4) {
		unsigned pad = i + 4 == len ? (text[i + 3] == '=') + (text[i + 2] == '=') : 0;
		uint32_t v = 0;
		for (unsigned k = 0; k < 4; k++) {
			int d = k >= 4 - pad ? 0 : digit(text[i + k]);
			if (d < 0)
				return -1;
			v = v << 6 | (uint32_t)d;
		}
		for (unsigned k = 0; k < 3 - pad; k++) {
			if (n == size)
				return -1;
			out[n++] = (uint8_t)(v >> (16 - 8 * k));
		}
	}
	return (long)n;
}
