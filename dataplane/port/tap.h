// SPDX-License-Identifier: BSD-2-Clause
// Ports of type tap: a Linux interface for the host itself.
#pragma once

#include "dataplane/port/port.h"

extern const struct port_ops tap_ops;
