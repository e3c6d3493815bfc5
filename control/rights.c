// SPDX-License-Identifier: BSD-2-Clause
// Who may use the API: groups, and SO_PEERCRED.
#include "control/rights.h"

#include "control/log.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int group_find(
	const char *name, const char *key, struct rights_group *out, struct error *err)
{
	*out = (struct rights_group){.is_set = false};
	if (!*name)
		return 0;
	const struct group *g = getgrnam(name);
	if (!g)
		return error_set(err, -EINVAL, key,
			"%s: there is no group '%s'; make it with groupadd --system %s", key, name,
			name);
	*out = (struct rights_group){.is_set = true, .gid = g->gr_gid};
	return 0;
}

int rights_find(const char *group, const char *admin_group, struct rights *out, struct error *err)
{
	struct rights r;

	// The usual group is there where weft was installed as a package.
	if (!*group && getgrnam("weft"))
		group = "weft";
	int rc = group_find(group, "api.group", &r.readers, err);
	if (rc == 0)
		rc = group_find(admin_group, "api.admin-group", &r.admins, err);
	if (rc == 0)
		*out = r;
	return rc;
}

void rights_show(const struct rights *r, const char *path)
{
	const gid_t gid = r->readers.is_set ? r->readers.gid : getegid();

	// Two groups do not fit into a file's permissions: then the peer's credentials alone
	// decide.
	if (chown(path, -1, gid) < 0 && r->readers.is_set)
		log_msg(LOG_WARNING, "api", "cannot give %s to the group %u: %s", path,
			(unsigned)gid, strerror(errno));
	if (chmod(path, r->admins.is_set ? 0666 : r->readers.is_set ? 0660 : 0600) < 0)
		log_msg(LOG_WARNING, "api", "cannot set permissions of %s: %s", path,
			strerror(errno));
}

static bool is_member(int fd, gid_t primary, gid_t gid)
{
	gid_t few[64], *groups = few;
	socklen_t len = sizeof(few);
	bool is = primary == gid;

	if (is)
		return true;
	int rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	// A directory service may put somebody into thousands of groups: the kernel says how many.
	if (rc < 0 && errno == ERANGE && (groups = malloc(len)))
		rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	for (size_t i = 0; rc == 0 && i < len / sizeof(*groups); i++)
		is |= groups[i] == gid;
	if (groups != few)
		free(groups);
	return is;
}

struct rights_peer rights_of_peer(const struct rights *r, int fd)
{
	struct rights_peer peer = {.uid = (uid_t)-1};
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return peer;
	peer.uid = cred.uid;
	// Who has our own user id could do anything to us anyway.
	peer.may_change = cred.uid == 0 || cred.uid == geteuid() ||
			  (r->admins.is_set && is_member(fd, cred.gid, r->admins.gid));
	peer.may_read =
		peer.may_change || (r->readers.is_set && is_member(fd, cred.gid, r->readers.gid));
	return peer;
}
