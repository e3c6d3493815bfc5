// SPDX-License-Identifier: BSD-2-Clause
// How a table's columns share a terminal: which are as wide as they want, which wrap and where.
#include "cli/fit.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t fit_length(const char *text, size_t bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += (text[i] & 0xc0) != 0x80;
	return n;
}

// Bytes of the piece at p that is not broken: up to a space, or with the comma that ends it.
static size_t piece(const char *p)
{
	size_t n = strcspn(p, " ,");

	while (p[n] == ',')
		n++;
	return n;
}

void fit_text(struct fit *f, const char *text)
{
	size_t all = fit_length(text, strlen(text));

	if (all > f->want)
		f->want = (unsigned)all;
	for (const char *p = text; *p;) {
		size_t n = piece(p), length = fit_length(p, n);
		if (length > FIT_PIECE)
			length = FIT_PIECE;
		if (length > f->least)
			f->least = (unsigned)length;
		p += n;
		p += *p == ' ';
	}
}

static unsigned sum(const struct fit *f, unsigned n)
{
	unsigned total = 0, shown = 0;

	for (unsigned i = 0; i < n; i++) {
		total += f[i].is_hidden ? 0 : f[i].width;
		shown += !f[i].is_hidden;
	}
	return total + (shown ? shown - 1 : 0);
}

// The column that would take most lines.
static struct fit *tallest(struct fit *f, unsigned n)
{
	struct fit *best = NULL;

	for (unsigned i = 0; i < n; i++) {
		struct fit *c = &f[i];
		if (c->is_hidden || c->width >= c->want)
			continue;
		if (!best || (uint64_t)c->want * best->width > (uint64_t)best->want * c->width)
			best = c;
	}
	return best;
}

// Of those that wrap and can give way.
static struct fit *widest(struct fit *f, unsigned n)
{
	struct fit *best = NULL;

	for (unsigned i = 0; i < n; i++)
		if (f[i].wraps && !f[i].is_hidden && f[i].width > FIT_LEAST &&
			(!best || f[i].width > best->width))
			best = &f[i];
	return best;
}

void fit_columns(struct fit *f, unsigned n, unsigned width)
{
	struct fit *c;

	for (unsigned i = 0; i < n; i++) {
		f[i].is_hidden = false;
		f[i].width = f[i].wraps && f[i].least < f[i].want ? f[i].least : f[i].want;
	}
	for (unsigned i = n; i-- > 0 && sum(f, n) > width;)
		f[i].is_hidden = f[i].is_spare;
	for (unsigned used = sum(f, n); used < width && (c = tallest(f, n)); used++)
		c->width++;
	// Where not even whole words have room, those of the widest column are cut.
	for (unsigned used = sum(f, n); used > width && (c = widest(f, n)); used--)
		c->width--;
}

// Bytes of the first `width` characters.
static size_t bytes_of(const char *p, size_t bytes, unsigned width)
{
	size_t i = 0;

	for (unsigned n = 0; i < bytes; i++) {
		if ((p[i] & 0xc0) != 0x80 && n++ == width)
			break;
	}
	return i;
}

char *fit_wrap(const char *text, unsigned width)
{
	// Each byte may get a line of its own.
	char *out = malloc(2 * strlen(text) + 1), *to = out;
	size_t at = 0; // characters in the line

	if (!out)
		return NULL;
	if (width == 0)
		width = 1;
	for (const char *p = text; *p;) {
		size_t n = piece(p), length = fit_length(p, n);
		bool after_space = p > text && p[-1] == ' ';
		if (at && at + after_space + length > width) {
			*to++ = '\n';
			at = 0;
		} else if (at && after_space) {
			*to++ = ' ';
			at++;
		}
		while (length > width) {
			size_t part = bytes_of(p, n, width);
			to = mempcpy(to, p, part);
			*to++ = '\n';
			p += part;
			n -= part;
			length -= width;
		}
		to = mempcpy(to, p, n);
		at += length;
		p += n;
		p += *p == ' ';
	}
	*to = 0;
	return out;
}
