// SPDX-License-Identifier: BSD-2-Clause
// Objects of the API as indented text for people.
#pragma once

#include "cli/command.h"

// "  name          text", wrapped to the terminal below itself; `indent` spaces more.
__attribute__((format(printf, 4, 5))) void field(
	const struct cli *cli, unsigned indent, const char *name, const char *fmt, ...);
// Text wrapped to the terminal; further lines start in column `left`.
__attribute__((format(printf, 2, 3))) void paragraph(unsigned left, const char *fmt, ...);
// Any value under its key: lists of words in a line, lists of objects as a table, objects indented.
void describe_value(const struct cli *cli, unsigned indent, const char *key, const json_t *value);
