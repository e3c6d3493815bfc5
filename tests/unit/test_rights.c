// SPDX-License-Identifier: BSD-2-Clause
// Who may use the API, by the credentials of the other end of a socket.
#include "control/rights.h"

#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY  65534
#define READERS 4001
#define ADMINS  4002

static const struct rights both = {{true, READERS}, {true, ADMINS}};

// What somebody with this user, group and further groups may do.
static struct rights_peer of(
	const struct rights *r, uid_t uid, gid_t gid, const gid_t *groups, size_t n)
{
	int fds[2];

	assert_int_equal(setgroups(n, groups), 0);
	assert_int_equal(setegid(gid), 0);
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	assert_int_equal(setgroups(0, NULL), 0);
	struct rights_peer peer = rights_of_peer(r, fds[0]);
	assert_int_equal(peer.uid, uid);
	close(fds[0]);
	close(fds[1]);
	return peer;
}

static void by_user_and_groups(void **state)
{
	static const struct {
		uid_t uid;
		gid_t gid, more;
		bool may_read, may_change;
	} cases[] = {
		{0, NOBODY, NOBODY, true, true}, // and whoever weftd runs as, which is root here
		{NOBODY, NOBODY, NOBODY, false, false},
		{NOBODY, READERS, NOBODY, true, false},
		{NOBODY, NOBODY, READERS, true, false},
		{NOBODY, ADMINS, NOBODY, true, true},
		{NOBODY, READERS, ADMINS, true, true},
	};
	static const struct rights none = {{false, 0}, {false, 0}};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rights_peer p = of(&both, cases[i].uid, cases[i].gid, &cases[i].more, 1);
		assert_int_equal(p.may_read, cases[i].may_read);
		assert_int_equal(p.may_change, cases[i].may_change);
		// Without groups there are the user's rights alone; group 0 is none of them.
		p = of(&none, cases[i].uid, 0, &cases[i].more, 1);
		assert_int_equal(p.may_read, cases[i].uid == 0);
		assert_int_equal(p.may_change, cases[i].uid == 0);
	}
}

static void the_last_of_a_thousand_groups_counts(void **state)
{
	gid_t groups[1000];

	if (geteuid() != 0)
		skip();
	for (unsigned i = 0; i < 1000; i++)
		groups[i] = 5000 + i;
	assert_false(of(&both, NOBODY, NOBODY, groups, 1000).may_read);
	groups[999] = ADMINS;
	assert_true(of(&both, NOBODY, NOBODY, groups, 1000).may_change);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_user_and_groups),
		cmocka_unit_test(the_last_of_a_thousand_groups_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
