// SPDX-License-Identifier: BSD-2-Clause
// The screen of weftctl top: what is shown, how it is drawn, and what keys change of it.
#pragma once

#include "cli/command.h"
#include "cli/top_model.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct top_screen {
	struct cli *cli;
	struct top top;
	json_t *ports, *workers; // of the last look
	json_t *error;           // why the last look failed, if weftd said why
	double interval;
	long count; // looks left; -1: no end
	bool stop;  // asked for by a key, or nobody reads
	enum top_sort sort;
	bool reverse, bits, help, paused, editing, utf8, is_live;
	char filter[32], version[32];
	unsigned first; // port at the top of the list
	unsigned name_width;
	unsigned rows, columns;
	FILE *to; // where the lines of the frame being drawn go
	unsigned line;
};

// Reads the size of the terminal.
void top_screen_measure(struct top_screen *s);
// Draws what was last seen, with one write.
void top_screen_draw(struct top_screen *s);
// Takes one key.
void top_screen_key(struct top_screen *s, char key);
