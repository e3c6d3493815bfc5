// SPDX-License-Identifier: BSD-2-Clause
// What people see: colours where they can be seen, short numbers, JSON.
#pragma once

#include "cli/command.h"

#include <stdarg.h>
#include <stdint.h>

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
// "94 s", "2 h 5 min", "12 d 3 h": the two largest units.
void duration_text(uint64_t s, char *buf, size_t size);
// Columns of the terminal; 80 if there is none.
unsigned terminal_width(void);

// Fields of an object: 0 or "" if they are not there.
uint64_t get_number(const json_t *json, const char *key);
const char *get_text(const json_t *json, const char *key);

// Text of any length, to be freed, as lists of ports have no longest one. Without memory it ends the program.
char *text_format(const char *fmt, va_list ap);
// The same, added to a text; *text is NULL or to be freed.
__attribute__((format(printf, 2, 3))) void text_add(char **text, const char *fmt, ...);
// "access 10", "trunk 10,20-30 native 1" of a port's configuration; to be freed.
char *vlan_text(const json_t *config);
