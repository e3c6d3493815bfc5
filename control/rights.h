// SPDX-License-Identifier: BSD-2-Clause
// Who may use the API: groups, and the credentials of the process at the other end of a socket.
#pragma once

#include "dataplane/switch/switch.h"

#include <stdbool.h>
#include <sys/types.h>

struct rights_group {
	bool is_set;
	gid_t gid;
};

// Members of `readers` may read, of `admins` change; root and our own user may do both.
struct rights {
	struct rights_group readers, admins;
};

// What the process at the other end of a connection may do.
struct rights_peer {
	bool may_read, may_change;
	uid_t uid;
};

// Looks the groups up; "" for `group` is weft where there is one, "" for `admin_group` none.
// -EINVAL with *err filled if there is no such group.
int rights_find(const char *group, const char *admin_group, struct rights *out, struct error *err);

// Gives a socket the group and the permissions by which those can reach it who may; what the file
// system does not allow is logged.
void rights_show(const struct rights *r, const char *path);

struct rights_peer rights_of_peer(const struct rights *r, int fd);
