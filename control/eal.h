// SPDX-License-Identifier: BSD-2-Clause
// Starting DPDK's environment, which librte_vhost needs.
#pragma once

#include "dataplane/switch/switch.h"

// Once, on the control thread, which keeps its CPU affinity. No huge pages, no devices, no files.
int eal_start(struct error *err);
void eal_stop(void);
