// SPDX-License-Identifier: BSD-2-Clause
// What the two files of the running configuration share: single changes, and whole ones.
#pragma once

#include "control/running.h"

struct running {
	struct sw *sw;
	struct running_hooks hooks;
	json_t *base; // everything but ports: and fdb.static
	unsigned n_ports, n_fixed;
	struct running_port ports[PORT_MAX];
	struct config_static *fixed;
};

struct running_port *running_port_lookup(const struct running *r, const char *name);
struct running_port *running_port_append(struct running *r, const struct config_port *c);
// Removes a port from the switch and from what is wanted.
void running_port_drop(struct running *r, struct running_port *p);
// Adds the port to the switch, or changes it there.
int running_port_open(struct running *r, struct running_port *p, struct error *err);
// Keeps a port wanted that cannot be opened now.
void running_port_pend(struct running_port *p, const struct error *reason);

// Tells who listens that the configuration changed.
void running_changed(struct running *r, const char *fmt, const char *name);
// Lets the queues of an open port go to the workers that its configuration names.
int running_assign(struct running *r, const struct config_port *c, struct error *err);

// What a configuration says beside ports and static addresses. A new reference.
json_t *running_base(const json_t *json);
// Applies the settings that differ from r->base; on failure takes back those already applied.
int running_settings_apply(struct running *r, const struct config *config,
	struct running_report *report, struct error *err);
// running_apply without telling.
int running_make(struct running *r, const struct config *config, struct running_report *report,
	struct error *err);

// Enters the static addresses of a port that was opened; forgets those of one that is removed.
void running_fixed_apply(struct running *r, const char *port);
void running_fixed_forget(struct running *r, const char *port);
