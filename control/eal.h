// SPDX-License-Identifier: BSD-2-Clause
// Starting DPDK's environment, which librte_vhost needs.
#pragma once

#include "dataplane/switch/switch.h"

// Once, on the control thread, which keeps its CPU affinity. No huge pages, no devices, no files.
// The environment's own threads keep off the workers' cores, if there are others.
int eal_start(const struct switch_config *config, struct error *err);
void eal_stop(void);
