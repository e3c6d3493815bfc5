// SPDX-License-Identifier: BSD-2-Clause
// Single values as people write them: addresses, rates, VLAN lists.
#include "control/config_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int value_mac(const char *text, uint8_t mac[6])
{
	const char separator = strchr(text, ':') ? ':' : '-';
	uint8_t out[6];

	for (unsigned i = 0; i < 6; i++) {
		const size_t n = strspn(text, "0123456789abcdefABCDEF");
		if (n < 1 || n > 2 || text[n] != (i < 5 ? separator : 0))
			return -EINVAL;
		out[i] = (uint8_t)strtoul(text, NULL, 16);
		text += n + 1;
	}
	memcpy(mac, out, 6);
	return 0;
}

bool value_is_unicast(const uint8_t mac[6])
{
	static const uint8_t zero[6];

	return !(mac[0] & 1) && memcmp(mac, zero, 6) != 0;
}

// Digits only, 0..max; returns what follows them or NULL.
static const char *digits(const char *p, unsigned long max, unsigned long *out)
{
	char *end;

	if (!isdigit((unsigned char)*p) || strspn(p, "0123456789") > 15)
		return NULL;
	unsigned long v = strtoul(p, &end, 10);
	if (v > max)
		return NULL;
	*out = v;
	return end;
}

int value_ip(const char *text, struct policy_ip *ip)
{
	struct policy_ip r = {.family = strchr(text, ':') ? 6 : 4};
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long prefix = r.family == 6 ? 128 : 32;
	char addr[INET6_ADDRSTRLEN];

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = 0;
	if (inet_pton(r.family == 6 ? AF_INET6 : AF_INET, addr, r.addr) != 1)
		return -EINVAL;
	if (slash) {
		const char *end = digits(slash + 1, prefix, &prefix);
		if (!end || *end)
			return -EINVAL;
	}
	r.prefix = (uint8_t)prefix;
	*ip = r;
	return 0;
}

int value_rate(const char *text, uint64_t *rate)
{
	static const char units[] = "kMGT";
	unsigned long whole, part = 0;
	uint64_t unit = 1;
	uint32_t scale = 1;

	const char *p = digits(text, 999999999999999, &whole);
	if (!p)
		return -EINVAL;
	if (*p == '.') {
		const char *start = p + 1;
		p = digits(start, 999999, &part);
		if (!p || p - start > 6)
			return -EINVAL;
		for (ptrdiff_t i = p - start; i > 0; i--)
			scale *= 10;
	}
	if (*p) {
		const char *u = strchr(units, *p == 'K' ? 'k' : *p);
		if (!u || p[1])
			return -EINVAL;
		for (; u >= units; u--)
			unit *= 1000;
	}
	if (whole > UINT64_MAX / unit / 2)
		return -EINVAL;
	*rate = whole * unit + part * unit / scale;
	return 0;
}

int value_vlans(const char *text, uint64_t *bitmap)
{
	unsigned long first = 1, last = VLAN_N - 2;

	if (strcmp(text, "all") != 0) {
		const char *p = digits(text, VLAN_N - 2, &first);
		if (!p || first == 0)
			return -EINVAL;
		last = first;
		if (*p == '-')
			p = digits(p + 1, VLAN_N - 2, &last);
		if (!p || *p || last < first)
			return -EINVAL;
	}
	for (unsigned long v = first; v <= last; v++)
		bitmap[v / 64] |= UINT64_C(1) << (v % 64);
	return 0;
}

int value_listen(const char *text, struct sockaddr_storage *addr, socklen_t *len)
{
	union {
		struct sockaddr_storage any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} to = {.any = {.ss_family = AF_UNSPEC}};
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN];
	unsigned long port;

	const char *end = colon ? digits(colon + 1, 65535, &port) : NULL;
	if (!end || *end || port == 0)
		return -EINVAL;
	size_t n = colon - text;
	bool is_ip6 = n > 2 && *text == '[' && text[n - 1] == ']';
	if (is_ip6) {
		text++;
		n -= 2;
	}
	if (n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = 0;
	to.any.ss_family = is_ip6 ? AF_INET6 : AF_INET;
	if (is_ip6)
		to.in6.sin6_port = htons((uint16_t)port);
	else
		to.in4.sin_port = htons((uint16_t)port);
	if (inet_pton(to.any.ss_family, host,
		    is_ip6 ? (void *)&to.in6.sin6_addr : (void *)&to.in4.sin_addr) != 1)
		return -EINVAL;
	*addr = to.any;
	*len = is_ip6 ? sizeof(to.in6) : sizeof(to.in4);
	return 0;
}

int value_mode(const char *text, uint32_t *mode)
{
	size_t n = strspn(text, "01234567");

	if (n < 3 || n > 4 || text[n] || (n == 4 && *text != '0'))
		return -EINVAL;
	*mode = (uint32_t)strtoul(text, NULL, 8);
	return 0;
}

const char *value_mac_text(const uint8_t mac[6], char buf[MAC_TEXT])
{
	snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		mac[4], mac[5]);
	return buf;
}
