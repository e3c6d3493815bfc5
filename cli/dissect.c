// SPDX-License-Identifier: BSD-2-Clause
// A frame in one line of text: addresses, VLAN, and what ARP, IP, TCP, UDP and ICMP say first.
#include "cli/dissect.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct line {
	char *buf;
	size_t size, at;
};

__attribute__((format(printf, 2, 3))) static void say(struct line *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(l->buf + l->at, l->size - l->at, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->at = l->at + n < l->size ? l->at + n : l->size - 1;
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void say_mac(struct line *l, const uint8_t *m)
{
	say(l, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void say_flags(struct line *l, uint8_t flags)
{
	static const char letters[] = "FSRPAUEC";

	say(l, " [");
	for (int i = 0; i < 8; i++)
		if (flags >> i & 1)
			say(l, "%c", letters[i]);
	say(l, "]");
}

static void say_transport(struct line *l, uint8_t proto, const uint8_t *p, size_t len,
	const char *from, const char *to)
{
	if ((proto == 6 && len >= 14) || (proto == 17 && len >= 8)) {
		say(l, " %s %s.%u > %s.%u", proto == 6 ? "TCP" : "UDP", from, be16(p), to,
			be16(p + 2));
		if (proto == 6)
			say_flags(l, p[13]);
		return;
	}
	say(l, " %s > %s", from, to);
	if (proto == 1 && len >= 1)
		say(l, " ICMP %s",
			p[0] == 8   ? "echo request"
			: p[0] == 0 ? "echo reply"
			: p[0] == 3 ? "unreachable"
				    : "");
	else if (proto == 58 && len >= 1)
		say(l, " ICMPv6 %s",
			p[0] == 128   ? "echo request"
			: p[0] == 129 ? "echo reply"
			: p[0] == 135 ? "neighbour solicitation"
			: p[0] == 136 ? "neighbour advertisement"
				      : "");
	else
		say(l, " protocol %u", proto);
}

static void say_ip4(struct line *l, const uint8_t *p, size_t len)
{
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	if (len < 20 || p[0] >> 4 != 4 || (p[0] & 15) < 5) {
		say(l, " IP, broken");
		return;
	}
	size_t header = (p[0] & 15) * 4u;
	inet_ntop(AF_INET, p + 12, from, sizeof(from));
	inet_ntop(AF_INET, p + 16, to, sizeof(to));
	say(l, " IP");
	if (be16(p + 6) & 0x1fff) {
		say(l, " %s > %s fragment", from, to);
		return;
	}
	say_transport(l, p[9], p + (header < len ? header : len), header < len ? len - header : 0,
		from, to);
}

static void say_ip6(struct line *l, const uint8_t *p, size_t len)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	if (len < 40 || p[0] >> 4 != 6) {
		say(l, " IPv6, broken");
		return;
	}
	inet_ntop(AF_INET6, p + 8, from, sizeof(from));
	inet_ntop(AF_INET6, p + 24, to, sizeof(to));
	say(l, " IPv6");
	say_transport(l, p[6], p + 40, len - 40, from, to);
}

static void say_arp(struct line *l, const uint8_t *p, size_t len)
{
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	if (len < 28 || be16(p + 2) != 0x0800 || p[4] != 6 || p[5] != 4) {
		say(l, " ARP, broken");
		return;
	}
	inet_ntop(AF_INET, p + 14, from, sizeof(from));
	inet_ntop(AF_INET, p + 24, to, sizeof(to));
	if (be16(p + 6) == 1)
		say(l, " ARP who has %s? tell %s", to, from);
	else
		say(l, " ARP %s is here", from);
}

void dissect(const uint8_t *frame, size_t len, char *buf, size_t size)
{
	struct line l = {.buf = buf, .size = size};
	size_t at = 14;

	*buf = 0;
	if (len < at) {
		say(&l, "shorter than an Ethernet header");
		return;
	}
	say_mac(&l, frame + 6);
	say(&l, " > ");
	say_mac(&l, frame);
	uint16_t type = be16(frame + 12);
	for (int i = 0; i < 2 && (type == 0x8100 || type == 0x88a8) && len >= at + 4; i++) {
		say(&l, " vlan %u", be16(frame + at) & 0xfff);
		type = be16(frame + at + 2);
		at += 4;
	}
	if (type == 0x0800)
		say_ip4(&l, frame + at, len - at);
	else if (type == 0x86dd)
		say_ip6(&l, frame + at, len - at);
	else if (type == 0x0806)
		say_arp(&l, frame + at, len - at);
	else if (type < 0x600)
		say(&l, " 802.3");
	else
		say(&l, " type 0x%04x", type);
}
