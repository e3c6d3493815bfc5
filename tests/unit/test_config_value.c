// SPDX-License-Identifier: BSD-2-Clause
// Single values as people write them.
#include "control/config_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void macs(void **state)
{
	static const char *const bad[] = {"", "52:54:00:00:00", "52:54:00:00:00:01:02",
		"52:54:00:00:00:0g", "5254.0000.0001", " 52:54:00:00:00:01", "52:54-00:00:00:01",
		"52:54:00:00:00:01 ", "+2:54:00:00:00:01", "52:-4:00:00:00:01", "52--4-00-00-00-01",
		"52:54:00:00:00:", "52:54:00:00::01", "52:54:00:00:00:001"};
	uint8_t mac[6] = {0};
	char text[MAC_TEXT];

	assert_int_equal(value_mac("52:54:00:AB:cd:01", mac), 0);
	assert_string_equal(value_mac_text(mac, text), "52:54:00:ab:cd:01");
	assert_int_equal(value_mac("2-4-0-b-d-1", mac), 0);
	assert_string_equal(value_mac_text(mac, text), "02:04:00:0b:0d:01");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(value_mac(bad[i], mac) < 0);
	assert_string_equal(value_mac_text(mac, text), "02:04:00:0b:0d:01"); // left alone
	assert_true(value_is_unicast(mac));
	assert_int_equal(value_mac("53:54:00:00:00:01", mac), 0);
	assert_false(value_is_unicast(mac));
	assert_int_equal(value_mac("00:00:00:00:00:00", mac), 0);
	assert_false(value_is_unicast(mac));
}

static void addresses(void **state)
{
	static const char *const bad[] = {"", "192.0.2", "192.0.2.1/33", "192.0.2.1/",
		"192.0.2.1/-1", "2001:db8::/129", "::g", "192.0.2.1/8x", "1.2.3.4.5",
		"2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
	struct policy_ip ip;

	assert_int_equal(value_ip("192.0.2.0/24", &ip), 0);
	assert_int_equal(ip.family, 4);
	assert_int_equal(ip.prefix, 24);
	assert_int_equal(ip.addr[0], 192);
	assert_int_equal(value_ip("2001:db8::1", &ip), 0);
	assert_int_equal(ip.family, 6);
	assert_int_equal(ip.prefix, 128);
	assert_int_equal(value_ip("::ffff:192.0.2.1/96", &ip), 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(value_ip(bad[i], &ip) < 0);
}

static void rates(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {{"0", 0}, {"100", 100}, {"1k", 1000}, {"1K", 1000}, {"1.5k", 1500},
		{"2.5G", 2500000000}, {"10M", 10000000}, {"1T", 1000000000000}, {"0.000001M", 1}};
	static const char *const bad[] = {"", "k", "-1", "1x", "1kk", "1.", "1.2.3", "1e3", "1 k",
		"99999999999999999999", "999999999999999T", "1.1234567k", "0x10"};
	uint64_t rate;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(value_rate(good[i].text, &rate), 0);
		assert_int_equal(rate, good[i].value);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(value_rate(bad[i], &rate) < 0);
}

static void vlans(void **state)
{
	static const char *const bad[] = {"", "0", "4095", "1-4095", "0-10", "20-10", "10-", "-10",
		"1,2", "ALL", "1x", "10-20-30"};
	uint64_t map[VLAN_N / 64] = {0};

	assert_int_equal(value_vlans("63-65", map), 0);
	assert_true(map[0] == UINT64_C(1) << 63);
	assert_true(map[1] == 3);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(value_vlans(bad[i], map) < 0);
	assert_true(map[0] == UINT64_C(1) << 63); // left alone
	assert_int_equal(value_vlans("all", map), 0);
	assert_true(map[0] == UINT64_MAX - 1);
	assert_true(map[63] == UINT64_MAX >> 1);
}

static void modes(void **state)
{
	static const char *const bad[] = {"", "66", "0888", "1777", "06600", "rw", "-660"};
	uint32_t mode;

	assert_int_equal(value_mode("0660", &mode), 0);
	assert_int_equal(mode, 0660);
	assert_int_equal(value_mode("600", &mode), 0);
	assert_int_equal(mode, 0600);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(value_mode(bad[i], &mode) < 0);
}

static void addresses_to_listen_on(void **state)
{
	static const char *const bad[] = {"", ":", "9469", "127.0.0.1", "127.0.0.1:", ":9469",
		"127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1: 80", "localhost:9469",
		"::1:9469", "[::1:9469", "[]:9469", "[127.0.0.1]:9469", "[::1]9469",
		"127.0.0.1:9469 "};
	struct sockaddr_storage addr;
	const struct sockaddr_in *in4 = (struct sockaddr_in *)&addr;
	const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr;
	socklen_t len;

	assert_int_equal(value_listen("127.0.0.2:9469", &addr, &len), 0);
	assert_int_equal(len, sizeof(*in4));
	assert_int_equal(in4->sin_family, AF_INET);
	assert_int_equal(ntohl(in4->sin_addr.s_addr), 0x7f000002);
	assert_int_equal(ntohs(in4->sin_port), 9469);
	assert_int_equal(value_listen("[::1]:80", &addr, &len), 0);
	assert_int_equal(len, sizeof(*in6));
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_memory_equal(&in6->sin6_addr, &in6addr_loopback, 16);
	assert_int_equal(ntohs(in6->sin6_port), 80);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(value_listen(bad[i], &addr, &len), -EINVAL);
	assert_int_equal(in6->sin6_family, AF_INET6); // left alone
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(macs),
		cmocka_unit_test(addresses),
		cmocka_unit_test(rates),
		cmocka_unit_test(vlans),
		cmocka_unit_test(modes),
		cmocka_unit_test(addresses_to_listen_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
