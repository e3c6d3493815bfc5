// SPDX-License-Identifier: BSD-2-Clause
// Ports of type af-xdp: a network interface, over AF_XDP.
#pragma once

#include "dataplane/port/port.h"

extern const struct port_ops af_xdp_ops;
