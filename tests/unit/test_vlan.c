// SPDX-License-Identifier: BSD-2-Clause
// VLANs: what is a valid configuration, and every way of a tag in and out.
#include "dataplane/switch/vlan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ACCESS(vid)           \
	{                     \
		.access = vid \
	}

static struct vlan_config trunk(uint16_t native, uint16_t a, uint16_t b)
{
	struct vlan_config c = {.is_trunk = true, .native = native};

	if (a)
		c.trunk[a / 64] |= 1ull << (a % 64);
	if (b)
		c.trunk[b / 64] |= 1ull << (b % 64);
	return c;
}

// A frame of 64 bytes whose bytes behind the addresses are `behind`.
static struct frame *frame(const void *behind, size_t len)
{
	struct frame *f = aligned_alloc(64, sizeof(*f));

	assert_non_null(f);
	memset(f, 0, sizeof(*f));
	f->head_off = FRAME_HEAD_OFF;
	f->head_len = 64;
	f->len = 64;
	for (unsigned i = 0; i < 64; i++)
		frame_head(f)[i] = (uint8_t)i;
	memcpy(frame_head(f) + 12, behind, len);
	return f;
}

static struct frame *in(struct frame *f, uint16_t vid)
{
	f->tci = (f->tci & 0xf000) | vid;
	return f;
}

static void configurations(void **state)
{
	struct vlan_config all = {.is_trunk = true};
	memset(all.trunk, 0xff, sizeof(all.trunk));
	struct vlan_config legal = all;
	legal.trunk[0] &= ~1ull;
	legal.trunk[63] &= ~(1ull << 63);
	struct vlan_config only_4095 = trunk(0, 4095, 7);
	const struct {
		struct vlan_config c;
		const char *key; // at fault, NULL: fine
	} cases[] = {
		{ACCESS(1), NULL},
		{ACCESS(4094), NULL},
		{ACCESS(0), "vlan.access"},
		{ACCESS(4095), "vlan.access"},
		{trunk(0, 10, 20), NULL},
		{trunk(5, 0, 0), NULL},
		{trunk(4095, 10, 0), "vlan.native"},
		{trunk(0, 0, 0), "vlan.trunk"},
		{all, "vlan.trunk"},
		{legal, NULL},
		{only_4095, "vlan.trunk"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = {0};
		assert_int_equal(vlan_check(&cases[i].c, &err), cases[i].key ? -EINVAL : 0);
		assert_string_equal(err.key, cases[i].key ? cases[i].key : "");
	}
}

static void members(void **state)
{
	struct vlan_config a = ACCESS(10), t = trunk(5, 10, 4094);

	assert_true(vlan_is_member(&a, 10));
	assert_false(vlan_is_member(&a, 11));
	assert_true(vlan_is_member(&t, 5));
	assert_true(vlan_is_member(&t, 10));
	assert_true(vlan_is_member(&t, 4094));
	assert_false(vlan_is_member(&t, 11));
	assert_false(vlan_is_member(&t, 0));
	assert_false(vlan_is_member(&t, 4095));
}

static void ingress(void **state)
{
	const struct vlan_port access = {.untagged = 10},
			       native = {.untagged = 5, .is_trunk = true},
			       strict = {.untagged = 0, .is_trunk = true};
	static const uint8_t plain[] = {0x08, 0x00}, tag20[] = {0x81, 0x00, 0x00, 20},
			     prio[] = {0x81, 0x00, 0xe0, 0x00},
			     tag4095[] = {0x81, 0x00, 0x0f, 0xff}, stag[] = {0x88, 0xa8, 0x00, 20};
	const struct {
		struct vlan_port port;
		const uint8_t *behind;
		size_t len;
		uint16_t vid, tci; // 0: refused; tci behind it if tagged
	} cases[] = {
		{access, plain, 2, 10, 0},
		{access, tag20, 4, 0, 0},
		{access, prio, 4, 10, 0xe000 | 10},
		{access, tag4095, 4, 0, 0},
		{access, stag, 4, 10, 0}, // an S-tag is payload
		{native, plain, 2, 5, 0},
		{native, tag20, 4, 20, 20},
		{native, prio, 4, 5, 0xe000 | 5},
		{native, tag4095, 4, 0, 0},
		{strict, plain, 2, 0, 0},
		{strict, prio, 4, 0, 0},
		{strict, tag20, 4, 20, 20},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct frame *f = frame(cases[i].behind, cases[i].len);
		assert_int_equal(vlan_ingress(cases[i].port, f), cases[i].vid);
		if (cases[i].vid) {
			assert_int_equal(!!(f->flags & FRAME_TAGGED), cases[i].tci != 0);
			if (cases[i].tci)
				assert_int_equal(eth_be16(frame_head(f) + 14), cases[i].tci);
		}
		free(f);
	}
}

static void a_frame_that_ends_within_its_tag_is_refused(void **state)
{
	static const uint8_t tag20[] = {0x81, 0x00, 0x00, 20};
	const struct vlan_port access = {.untagged = 10},
			       native = {.untagged = 5, .is_trunk = true};
	struct frame *f = frame(tag20, 4);

	f->len = f->head_len = 17;
	assert_int_equal(vlan_ingress(access, f), 0);
	assert_int_equal(vlan_ingress(native, f), 0);
	f->len = f->head_len = 18;
	assert_int_equal(vlan_ingress(native, f), 20);
	free(f);
}

static void egress_pushes_and_pops(void **state)
{
	const struct vlan_port access = {.untagged = 20},
			       tagged = {.untagged = 5, .is_trunk = true};
	static const uint8_t plain[] = {0x08, 0x00};
	struct frame *f = frame(plain, 2);
	uint8_t before[64];

	memcpy(before, frame_head(f), 64);
	assert_true(vlan_egress(access, in(f, 20))); // as it is
	assert_int_equal(f->len, 64);
	assert_true(vlan_egress(tagged, in(f, 20))); // pushed
	assert_int_equal(f->len, 68);
	assert_int_equal(f->head_len, 68);
	assert_memory_equal(frame_head(f), before, 12);
	assert_memory_equal(frame_head(f) + 12, "\x81\x00\x00\x14", 4);
	assert_memory_equal(frame_head(f) + 16, before + 12, 52);
	assert_true(vlan_egress(tagged, in(f, 20))); // stays
	assert_int_equal(f->len, 68);
	assert_true(vlan_egress(access, in(f, 20))); // popped
	assert_int_equal(f->len, 64);
	assert_memory_equal(frame_head(f), before, 64);
	f->tci = 0xa000; // its priority survives
	assert_true(vlan_egress(tagged, in(f, 20)));
	assert_memory_equal(frame_head(f) + 12, "\x81\x00\xa0\x14", 4);
	assert_true(vlan_egress(access, f));
	assert_true(vlan_egress(tagged, f));
	assert_memory_equal(frame_head(f) + 12, "\x81\x00\xa0\x14", 4);
	assert_true(vlan_egress(access, f));
	assert_true(vlan_egress(tagged, in(f, 5))); // the native VLAN leaves untagged
	assert_int_equal(f->len, 64);
	free(f);
}

// A guest on a trunk's native VLAN sends two tags; the switch takes the outer away, and the next
// switch would see the inner one: VLAN hopping.
static void an_inner_tag_does_not_hop_vlans(void **state)
{
	static const uint8_t two[] = {0x81, 0x00, 0x00, 5, 0x81, 0x00, 0x00, 20, 0x08, 0x00};
	const struct vlan_port native = {.untagged = 5, .is_trunk = true}, access = {.untagged = 5},
			       other = {.untagged = 7, .is_trunk = true};
	struct frame *f = frame(two, sizeof(two));

	assert_int_equal(vlan_ingress(native, f), 5);
	assert_false(vlan_egress(native, in(f, 5)));
	assert_int_equal(f->len, 64);               // untouched
	assert_true(vlan_egress(other, in(f, 5)));  // keeps its outer tag
	assert_true(vlan_egress(access, in(f, 5))); // a guest may use tags of its own
	assert_int_equal(f->len, 60);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configurations),
		cmocka_unit_test(members),
		cmocka_unit_test(ingress),
		cmocka_unit_test(a_frame_that_ends_within_its_tag_is_refused),
		cmocka_unit_test(egress_pushes_and_pops),
		cmocka_unit_test(an_inner_tag_does_not_hop_vlans),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
