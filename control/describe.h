// SPDX-License-Identifier: BSD-2-Clause
// What a port says about itself, as JSON.
#pragma once

#include "dataplane/switch/switch.h"

#include <jansson.h>

// A new reference; NULL if there is no such port in the switch.
json_t *describe_port(struct sw *sw, const char *name);
