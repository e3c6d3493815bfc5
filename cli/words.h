// SPDX-License-Identifier: BSD-2-Clause
// Words of a command line as parameters of the API.
#pragma once

#include "cli/command.h"

// Arguments as a command's table has them, then keys of the configuration if it takes any. A status;
// on CLI_OK *out is a new object.
int words_parse(struct cli *cli, const struct command *c, int argc, char **argv, json_t **out);

// The keys of the configuration below "ports" or "" as weftd describes them; borrowed from *owner.
int words_schema(struct cli *cli, const char *under, json_t **owner, const json_t **keys);

// Which words may come next after these, for completion: adds strings to `list`. Of ports' keys those
// that the port's type has; NULL: all, until the words say "type T".
void words_next(const json_t *keys, const char *type, int argc, char **argv, json_t *list);
