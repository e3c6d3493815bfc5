// SPDX-License-Identifier: BSD-2-Clause
// YAML text as checked JSON: what is wrong is said with its line, its key and what was expected.
#pragma once

#include "control/config_schema.h"
#include "dataplane/switch/switch.h"

#include <jansson.h>
#include <stddef.h>

// Where something is wrong in a configuration, and what.
struct config_error {
	struct error error;    // key: its path, "ports[1].vlan.access"
	unsigned line, column; // from 1; 0: not known, as the request was no text
};

// A configuration as a tree, with the place of each key.
struct config_tree;

// Parses YAML (or JSON, which is YAML) and checks every key and value against `schema`. `prefix` is
// where the schema stands in conf_keys ("" or "ports"). -EINVAL with *err filled.
int config_tree_new(const char *text, size_t len, const struct cyaml_schema_value *schema,
	const char *prefix, struct config_tree **out, struct config_error *err);
void config_tree_free(struct config_tree *tree);

// The tree as JSON: exactly the keys of the text, numbers and booleans typed. Owned by the tree.
json_t *config_tree_json(const struct config_tree *tree);

// Fills err->line and column with the place of err->error.key, or of its nearest parent there is.
void config_tree_locate(struct config_tree *tree, struct config_error *err);
