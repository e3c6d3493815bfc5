// SPDX-License-Identifier: BSD-2-Clause
// What people see: tables that fit the terminal, colours where they can be seen, short numbers.
#pragma once

#include "cli/command.h"

#include <stdint.h>

enum { COL_RIGHT = 1, COL_TRUNC = 2, COL_WRAP = 4 };

struct column {
	const char *title;
	unsigned flags;
};

struct table;

struct table *table_new(const struct cli *cli, const struct column *columns, unsigned n);
void table_row(struct table *t);
// Sets a cell of the last row. `colour` is one of the words below, or NULL.
__attribute__((format(printf, 4, 5))) void table_cell(
	struct table *t, unsigned column, const char *colour, const char *fmt, ...);
void table_hide_titles(struct table *t);
// Prints and frees; without a row it prints `none`.
void table_print(struct table *t, const char *none);
// The same, each line indented.
void table_print_indented(struct table *t, unsigned indent);

#define GOOD   "green"
#define BAD    "red"
#define WARN   "yellow"
#define STRONG "bold"
#define FAINT  "halfbright"

// The escape sequence that starts a colour or ends all; "" without colours.
const char *paint(const struct cli *cli, const char *colour);
const char *unpaint(const struct cli *cli);

// JSON for programs, on stdout.
void print_json(const json_t *json);

// "950", "12.3k", "4.56M": at most five characters.
#define SHORT_NUMBER 16
const char *short_number(double v, char buf[SHORT_NUMBER]);
// Columns of the terminal; 80 if there is none.
unsigned terminal_width(void);

// Fields of an object: 0 or "" if they are not there.
uint64_t get_number(const json_t *json, const char *key);
const char *get_text(const json_t *json, const char *key);

// "access 10", "trunk 10,20-30 native 1" of a port's configuration.
void vlan_text(const json_t *config, char *buf, size_t size);
