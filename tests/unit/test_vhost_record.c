// SPDX-License-Identifier: BSD-2-Clause
// What a VMM has said, taken in and given again.
#include "dataplane/port/vhost_record.h"

#include "dataplane/port/vhost_features.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FEATURES (FEATURE(VHOST_USER_F_PROTOCOL_FEATURES_BIT) | FEATURE(VIRTIO_NET_F_MQ))

static struct vhost_record rec;
static struct vhost_record_gone gone;

static int start(void **state)
{
	vhost_record_init(&rec, "/run/weft/vm1.sock", 1);
	gone.n = 0;
	return 0;
}

static void take(const struct vhost_user_msg *msg, const uint64_t *ids, unsigned n)
{
	vhost_record_apply(&rec, msg, ids, n, &gone);
	vhost_record_seal(&rec);
}

static void say(uint32_t request, uint64_t value)
{
	const struct vhost_user_msg m = {.request = request, .u64 = value};

	take(&m, NULL, 0);
}

static void say_ring(uint32_t request, uint32_t i, uint32_t num)
{
	const struct vhost_user_msg m = {.request = request, .state = {i, num}};

	take(&m, NULL, 0);
}

static void say_event(uint32_t request, uint32_t i, uint64_t id)
{
	const struct vhost_user_msg m = {.request = request, .u64 = i | (id ? 0 : VU_VRING_NOFD)};

	take(&m, &id, id ? 1 : 0);
}

static void say_memory(unsigned n, uint64_t first_id)
{
	struct vhost_user_msg m = {.request = VU_SET_MEM_TABLE, .mem = {.n = n}};
	uint64_t ids[VU_MSG_REGIONS];

	for (unsigned i = 0; i < n; i++) {
		m.mem.regions[i] = (struct vhost_msg_region){i << 30, 1 << 20, (i + 7) << 28, 0};
		ids[i] = first_id + i;
	}
	take(&m, ids, n);
}

static void say_addr(uint32_t i)
{
	const struct vhost_user_msg m = {.request = VU_SET_VRING_ADDR,
		.addr = {.index = i,
			.flags = 1,
			.desc = (7 << 28),
			.used = (7 << 28) + 0x2000,
			.avail = (7 << 28) + 0x1000,
			.log_gpa = 5}};

	take(&m, NULL, 0);
}

// All that a VMM says to a running card.
static void say_all(void)
{
	say(VU_GET_FEATURES, 0);
	say(VU_SET_PROTOCOL_FEATURES, 0x1001b);
	say(VU_SET_OWNER, 0);
	say(VU_SET_FEATURES, FEATURES);
	say(VU_NET_SET_MTU, 9000);
	say_memory(2, 10);
	for (uint32_t i = 0; i < 4; i++) {
		say_ring(VU_SET_VRING_NUM, i, 256);
		say_ring(VU_SET_VRING_BASE, i, 77);
		say_addr(i);
		say_event(VU_SET_VRING_KICK, i, 20 + i);
		say_event(VU_SET_VRING_CALL, i, i == 3 ? 0 : 30 + i);
		say_event(VU_SET_VRING_ERR, i, 0);
		say_ring(VU_SET_VRING_ENABLE, i, i < 2);
	}
	say(VU_SET_STATUS, 15);
}

static bool has_id(uint64_t id)
{
	uint64_t ids[VHOST_RECORD_IDS];
	unsigned n = vhost_record_ids(&rec, ids);

	for (unsigned i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool is_gone(uint64_t id)
{
	for (unsigned i = 0; i < gone.n; i++)
		if (gone.ids[i] == id)
			return true;
	return false;
}

// What is given again, taken in by an empty record, is that record.
static void round_trip(void **state)
{
	struct vhost_record first;
	struct vhost_user_msg m;
	uint64_t ids[VU_MSG_FDS];
	unsigned at = 0, n, n_said = 0;

	say_all();
	assert_null(vhost_record_fault(&rec, sizeof(rec)));
	assert_null(vhost_record_hindrance(&rec));
	assert_int_equal(gone.n, 0);
	first = rec;
	vhost_record_init(&rec, "/run/weft/vm1.sock", 1);
	while (vhost_record_replay(&first, &at, &m, ids, &n)) {
		assert_int_equal(m.flags, VU_VERSION);
		if (vhost_msg_payload_size(m.request) >= 0)
			assert_int_equal(m.size, vhost_msg_payload_size(m.request));
		if (m.request == VU_SET_VRING_ADDR)
			assert_int_equal(m.addr.flags, 0);
		take(&m, ids, n);
		n_said++;
	}
	assert_int_equal(n_said, 6 + 4 * 6);
	assert_memory_equal(&first, &rec, sizeof(rec));
	assert_false(vhost_record_replay(&first, &at, &m, ids, &n));
}

static void nothing_said_is_nothing_to_say(void **state)
{
	struct vhost_user_msg m;
	uint64_t ids[VU_MSG_FDS];
	unsigned at = 0, n;

	assert_false(vhost_record_replay(&rec, &at, &m, ids, &n));
	assert_int_equal(vhost_record_ids(&rec, ids), 1);
}

static void every_damage_is_seen(void **state)
{
	const size_t busy = offsetof(struct vhost_record, busy);

	say_all();
	for (size_t i = 0; i < sizeof(rec); i++) {
		uint8_t *p = (uint8_t *)&rec + i;
		for (unsigned bit = 0; bit < 8; bit++) {
			*p ^= (uint8_t)(1u << bit);
			if (i == busy && bit == 0)
				assert_non_null(vhost_record_hindrance(&rec));
			else
				assert_non_null(vhost_record_fault(&rec, sizeof(rec)));
			*p ^= (uint8_t)(1u << bit);
		}
	}
	assert_null(vhost_record_fault(&rec, sizeof(rec)));
	assert_non_null(vhost_record_fault(&rec, sizeof(rec) - 1));
	assert_non_null(vhost_record_fault(&rec, sizeof(rec) + 1));
}

// A sum is no proof: what would lead out of bounds is refused even if it is right.
static void nonsense_with_a_right_sum(void **state)
{
	struct vhost_record good;

	say_all();
	good = rec;
#define REFUSED(change)                                                 \
	do {                                                            \
		rec = good;                                             \
		change;                                                 \
		vhost_record_seal(&rec);                                \
		assert_non_null(vhost_record_fault(&rec, sizeof(rec))); \
	} while (0)
	REFUSED(rec.n_regions = VU_MSG_REGIONS + 1);
	REFUSED(rec.n_regions = 0);
	REFUSED(rec.connection = 0);
	REFUSED(rec.socket[0] = '\0');
	REFUSED(memset(rec.socket, 'x', sizeof(rec.socket)));
	REFUSED(rec.said |= 1u << 31);
	REFUSED(rec.rings[3].said |= 1u << 31);
	REFUSED((rec.said &= ~(1u << 4), rec.n_regions = 0)); // rings in no memory
	REFUSED(rec.version++);
#undef REFUSED
}

static void replaced_descriptors_are_let_go(void **state)
{
	say_all();
	say_event(VU_SET_VRING_CALL, 1, 99);
	assert_true(is_gone(31) && !has_id(31) && has_id(99));
	say_event(VU_SET_VRING_KICK, 0, 0);
	assert_true(is_gone(20) && !has_id(20));
	say_memory(3, 40);
	assert_true(is_gone(10) && is_gone(11) && !has_id(10) && has_id(42));
	assert_int_equal(gone.n, 4);
}

static void stopped_ring_has_no_descriptors(void **state)
{
	struct vhost_user_msg m;
	uint64_t ids[VU_MSG_FDS];
	unsigned at = 0, n;

	say_all();
	say_ring(VU_GET_VRING_BASE, 0, 123);
	assert_true(is_gone(20) && is_gone(30));
	assert_int_equal(vhost_record_used_ring(&rec, 0), UINT64_MAX);
	while (vhost_record_replay(&rec, &at, &m, ids, &n)) {
		if (m.request == VU_SET_VRING_BASE && m.state.index == 0)
			assert_int_equal(m.state.num, 123);
		assert_false(m.request == VU_SET_VRING_ADDR && m.addr.index == 0);
		assert_false(m.request == VU_SET_VRING_KICK && (m.u64 & VU_VRING_INDEX) == 0);
	}
}

static void fewer_queues_are_forgotten(void **state)
{
	say_all();
	say(VU_SET_FEATURES, FEATURES & ~FEATURE(VIRTIO_NET_F_MQ));
	assert_true(has_id(21) && !has_id(22) && is_gone(22) && is_gone(23));
	say(VU_RESET_OWNER, 0);
	assert_true(is_gone(21) && is_gone(10) && has_id(1) && !is_gone(1));
	assert_null(vhost_record_fault(&rec, sizeof(rec)));
	nothing_said_is_nothing_to_say(state);
}

static void used_ring_is_found_in_memory(void **state)
{
	say_all();
	assert_int_equal(vhost_record_used_ring(&rec, 2), 0x2000);
	assert_int_equal(vhost_record_used_ring(&rec, 31), UINT64_MAX);
	assert_int_equal(vhost_record_used_ring(&rec, VHOST_RECORD_RINGS), UINT64_MAX);
	rec.rings[2].used = 1;
	assert_int_equal(vhost_record_used_ring(&rec, 2), UINT64_MAX);
}

static void migration_hinders_while_it_lasts(void **state)
{
	say_all();
	say(VU_SET_LOG_BASE, 0);
	assert_non_null(vhost_record_hindrance(&rec));
	say(VU_SET_FEATURES, FEATURES | FEATURE(VHOST_F_LOG_ALL));
	assert_non_null(vhost_record_hindrance(&rec));
	say(VU_SET_FEATURES, FEATURES);
	assert_null(vhost_record_hindrance(&rec));
}

static void what_is_not_known_hinders(void **state)
{
	say_all();
	say(VU_SET_INFLIGHT_FD, 0);
	assert_non_null(vhost_record_hindrance(&rec));
	assert_null(vhost_record_fault(&rec, sizeof(rec)));
	start(state);
	say_event(VU_SET_VRING_KICK, VHOST_RECORD_RINGS, 5); // there is no such ring
	assert_non_null(vhost_record_hindrance(&rec));
	start(state);
	say(VU_SET_VRING_KICK, 0); // its descriptor did not come
	assert_non_null(vhost_record_hindrance(&rec));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(round_trip, start),
		cmocka_unit_test_setup(nothing_said_is_nothing_to_say, start),
		cmocka_unit_test_setup(every_damage_is_seen, start),
		cmocka_unit_test_setup(nonsense_with_a_right_sum, start),
		cmocka_unit_test_setup(replaced_descriptors_are_let_go, start),
		cmocka_unit_test_setup(stopped_ring_has_no_descriptors, start),
		cmocka_unit_test_setup(fewer_queues_are_forgotten, start),
		cmocka_unit_test_setup(used_ring_is_found_in_memory, start),
		cmocka_unit_test_setup(migration_hinders_while_it_lasts, start),
		cmocka_unit_test_setup(what_is_not_known_hinders, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
