// SPDX-License-Identifier: BSD-2-Clause
// Addresses a port may send from, and token buckets.
#include "dataplane/switch/policy.h"

#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define DHCP_CLIENT 68u
#define DHCP_SERVER 67u
// A bucket holds what may pass in this part of a second, and two of the longest frames at least.
#define BUCKET_PER_SECOND 100u

struct bucket {
	uint32_t lock;
	uint64_t rate;  // units per second; 0: unlimited
	int64_t depth;  // units it holds at most
	int64_t tokens; // units; less than 0: owed. Under lock, as all below
	uint64_t last;  // ticks up to which it was filled
};

struct policy {
	struct policy_config config;
	uint64_t hz;
	uint64_t macs[POLICY_ADDRS_MAX];
	struct bucket bits, frames; // of the port's rate
	struct bucket storm;
};

// --- Configuration ---

int policy_check(const struct policy_config *config, struct error *err)
{
	if (config->n_macs > POLICY_ADDRS_MAX)
		return error_set(err, -EINVAL, "policy.macs",
			"policy.macs: at most %u addresses, not %u", POLICY_ADDRS_MAX,
			config->n_macs);
	if (config->n_ips > POLICY_ADDRS_MAX)
		return error_set(err, -EINVAL, "policy.ips",
			"policy.ips: at most %u prefixes, not %u", POLICY_ADDRS_MAX, config->n_ips);
	for (uint32_t i = 0; i < config->n_macs; i++)
		if (!eth_is_station(config->macs[i]))
			return error_set(err, -EINVAL, "policy.macs",
				"policy.macs: group and zero addresses cannot be a source");
	for (uint32_t i = 0; i < config->n_ips; i++) {
		const struct policy_ip *ip = &config->ips[i];
		if (!(ip->family == 4 && ip->prefix <= 32) &&
			!(ip->family == 6 && ip->prefix <= 128))
			return error_set(err, -EINVAL, "policy.ips",
				"policy.ips: entry %u is no IPv4 or IPv6 prefix", i + 1);
	}
	return 0;
}

bool policy_is_any(const struct policy_config *config)
{
	return config->n_macs || config->n_ips || config->rate_bps || config->rate_pps ||
	       config->storm_pps;
}

static void bucket_init(struct bucket *b, uint64_t rate, uint64_t least)
{
	b->rate = rate;
	b->depth = (int64_t)(rate / BUCKET_PER_SECOND > least ? rate / BUCKET_PER_SECOND : least);
	b->tokens = b->depth;
}

int policy_new(const struct policy_config *config, uint64_t hz, struct policy **out)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->hz = hz;
	for (uint32_t i = 0; i < config->n_macs; i++)
		p->macs[i] = eth_addr(config->macs[i]);
	bucket_init(&p->bits, config->rate_bps, 2ull * FRAME_LEN_MAX * 8);
	bucket_init(&p->frames, config->rate_pps, FRAME_BURST);
	bucket_init(&p->storm, config->storm_pps, FRAME_BURST);
	*out = p;
	return 0;
}

void policy_free(struct policy *p)
{
	free(p);
}

// --- Rates ---

static void bucket_lock(struct bucket *b)
{
	while (__atomic_exchange_n(&b->lock, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&b->lock, __ATOMIC_RELAXED))
			;
}

static void bucket_unlock(struct bucket *b)
{
	__atomic_store_n(&b->lock, 0, __ATOMIC_RELEASE);
}

// Adds what time has brought. `last` moves by what the added tokens took, so that no fraction is
// lost however often this is called.
static void bucket_fill(struct bucket *b, uint64_t hz, uint64_t now)
{
	if (now <= b->last)
		return; // another worker's clock was read a moment later
	unsigned __int128 brought = (unsigned __int128)(now - b->last) * b->rate / hz;
	if (brought >= (uint64_t)(b->depth - b->tokens)) {
		b->tokens = b->depth;
		b->last = now;
		return;
	}
	b->tokens += (int64_t)brought;
	b->last += (uint64_t)(brought * hz / b->rate);
}

// Takes `units` if they are all there. A segment may be more than the bucket ever holds: it takes a
// full one, and what is missing is owed.
static bool bucket_take(struct bucket *b, uint64_t units)
{
	if ((int64_t)units > b->tokens && b->tokens < b->depth)
		return false;
	b->tokens -= (int64_t)units;
	return true;
}

static void list_limit_frames(struct policy *p, uint64_t now, const struct frame *f,
	struct frame_list *list, struct port_stats *st)
{
	struct bucket *b = &p->frames;
	uint32_t n = 0;

	bucket_lock(b);
	bucket_fill(b, p->hz, now);
	for (uint32_t i = 0; i < list->n; i++)
		if (bucket_take(b, offload_parts(&f[list->f[i]])))
			list->f[n++] = list->f[i];
	bucket_unlock(b);
	st->drop[DROP_rate] += list->n - n;
	list->n = n;
}

// Bits of the frames that a frame makes on a wire, each with its headers.
static uint64_t wire_bits(const struct frame *f)
{
	const uint32_t more = offload_parts(f) - 1;

	return 8 * (f->len + (more ? (uint64_t)more * f->offload.hdr_len : 0));
}

static void list_limit_bits(struct policy *p, uint64_t now, const struct frame *f,
	struct frame_list *list, struct port_stats *st)
{
	struct bucket *b = &p->bits;
	uint32_t n = 0;

	bucket_lock(b);
	bucket_fill(b, p->hz, now);
	for (uint32_t i = 0; i < list->n; i++)
		if (bucket_take(b, wire_bits(&f[list->f[i]])))
			list->f[n++] = list->f[i];
	bucket_unlock(b);
	st->drop[DROP_rate] += list->n - n;
	list->n = n;
}

bool policy_flood(struct policy *p, uint64_t now, const struct frame *f)
{
	struct bucket *b = &p->storm;

	if (!b->rate)
		return true;
	bucket_lock(b);
	bucket_fill(b, p->hz, now);
	bool ok = bucket_take(b, offload_parts(f));
	bucket_unlock(b);
	return ok;
}

// --- Addresses ---

static bool mac_is_allowed(const struct policy *p, uint64_t addr)
{
	bool found = !p->config.n_macs;

	for (uint32_t i = 0; i < p->config.n_macs; i++)
		found |= p->macs[i] == addr;
	return found;
}

static bool ip_is_in(const struct policy_ip *net, const uint8_t *ip)
{
	unsigned whole = net->prefix / 8, rest = net->prefix % 8;

	if (memcmp(net->addr, ip, whole) != 0)
		return false;
	return !rest || !((net->addr[whole] ^ ip[whole]) >> (8 - rest));
}

static bool ip_is_allowed(const struct policy *p, unsigned family, const uint8_t *ip)
{
	for (uint32_t i = 0; i < p->config.n_ips; i++)
		if (p->config.ips[i].family == family && ip_is_in(&p->config.ips[i], ip))
			return true;
	return false;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return !any;
}

// fe80::/64 with the interface identifier that `mac` makes (RFC 4291, appendix A).
static bool is_link_local_of(const uint8_t *ip, const uint8_t *mac)
{
	const uint8_t own[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff,
		0xfe, mac[3], mac[4], mac[5]};

	return memcmp(ip, own, sizeof(own)) == 0;
}

static bool ip6_may_claim(const struct policy *p, const uint8_t *ip, const uint8_t *mac)
{
	return ip_is_allowed(p, 6, ip) || is_link_local_of(ip, mac);
}

// Sent by a station that has no address yet, to get one.
static bool is_dhcp_request(struct frame *f, const struct eth_layers *l)
{
	if (l->proto != IPPROTO_UDP || l->fragment || !frame_pull(f, l->l4 + 4u))
		return false;
	const uint8_t *udp = frame_head(f) + l->l4;
	return eth_be16(udp) == DHCP_CLIENT && eth_be16(udp + 2) == DHCP_SERVER;
}

// The announcement of a station that moved: RARP with sender 0.0.0.0.
static bool is_rarp_probe(const struct policy *p, struct frame *f)
{
	struct eth_layers l;

	if (eth_dissect(f, &l) != 0 || l.type != ETH_TYPE_RARP || !frame_pull(f, l.l3 + 18u))
		return false;
	const uint8_t *sender = frame_head(f) + l.l3 + 8;
	return mac_is_allowed(p, eth_addr(sender)) && is_zero(sender + 6, 4);
}

static bool ip_sender_ok(const struct policy *p, struct frame *f, const struct eth_sender *s)
{
	const uint8_t *mac = eth_src(f);
	struct eth_layers l;

	switch (s->kind) {
	case ETH_SENDER_ARP:
		return ip_is_allowed(p, 4, s->ip) || is_zero(s->ip, 4);
	case ETH_SENDER_IPV4:
		if (ip_is_allowed(p, 4, s->ip))
			return true;
		return is_zero(s->ip, 4) && eth_dissect(f, &l) == 0 && is_dhcp_request(f, &l);
	case ETH_SENDER_IPV6:
		if (ip6_may_claim(p, s->ip, mac))
			return true;
		return is_zero(s->ip, 16) && eth_dissect(f, &l) == 0 && l.proto == IPPROTO_ICMPV6 &&
		       !l.fragment;
	case ETH_SENDER_ND:
		if (!ip6_may_claim(p, s->ip, mac) && !is_zero(s->ip, 16))
			return false;
		return !s->has_target || ip6_may_claim(p, s->target, mac);
	default:
		return is_rarp_probe(p, f);
	}
}

// 0, or the reason to drop the frame plus one.
static unsigned why_refused(const struct policy *p, struct frame *f)
{
	struct eth_sender s = {0};

	if (!mac_is_allowed(p, eth_addr(eth_src(f))))
		return 1 + DROP_spoofed;
	int rc = eth_get_sender(f, &s);
	if (rc == -EBADMSG)
		return 1 + DROP_malformed;
	if (rc)
		return 1 + DROP_spoofed; // its sender is where it cannot be checked
	if (s.has_mac && !mac_is_allowed(p, eth_addr(s.mac)))
		return 1 + DROP_spoofed;
	if (p->config.n_ips && !ip_sender_ok(p, f, &s))
		return 1 + DROP_spoofed;
	return 0;
}

static void list_check_senders(
	const struct policy *p, struct frame *f, struct frame_list *list, struct port_stats *st)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < list->n; i++) {
		unsigned why = why_refused(p, &f[list->f[i]]);
		if (why)
			st->drop[why - 1]++;
		else
			list->f[n++] = list->f[i];
	}
	list->n = n;
}

void policy_filter(struct policy *p, uint64_t now, struct frame *f, struct frame_list *list,
	struct port_stats *st)
{
	if (p->config.n_macs || p->config.n_ips)
		list_check_senders(p, f, list, st);
	if (p->frames.rate)
		list_limit_frames(p, now, f, list, st);
	if (p->bits.rate)
		list_limit_bits(p, now, f, list, st);
}
