// SPDX-License-Identifier: BSD-2-Clause
// Ports of type vhost-user. rte_eal_init() must have been called before the first is opened.
#pragma once

#include "dataplane/port/port.h"

extern const struct port_ops vhost_user_ops;
