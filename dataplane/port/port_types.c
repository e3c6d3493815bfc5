// SPDX-License-Identifier: BSD-2-Clause
// The list of port types. Alone in its file, so that a test may link a list of its own instead.
#include "dataplane/port/af_xdp.h"
#include "dataplane/port/port.h"
#include "dataplane/port/tap.h"
#include "dataplane/port/vhost_user.h"

const struct port_ops *const port_types[] = {
	&af_xdp_ops,
	&tap_ops,
	&vhost_user_ops,
	NULL,
};
