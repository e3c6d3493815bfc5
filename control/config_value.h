// SPDX-License-Identifier: BSD-2-Clause
// Single values as people write them: addresses, rates, VLAN lists.
#pragma once

#include "dataplane/switch/switch.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

// Each returns 0, or -EINVAL and leaves the output alone.

// "52:54:00:00:00:01", also with dashes. A group address is for value_is_unicast to judge.
int value_mac(const char *text, uint8_t mac[6]);
bool value_is_unicast(const uint8_t mac[6]);
// "192.0.2.1", "192.0.2.0/24", "2001:db8::/64".
int value_ip(const char *text, struct policy_ip *ip);
// "100", "1.5k", "10M", "1G": thousands.
int value_rate(const char *text, uint64_t *rate);
// "10", "20-30" or "all", added to a bitmap of VLAN_N bits.
int value_vlans(const char *text, uint64_t *bitmap);
// "0660": octal permissions.
int value_mode(const char *text, uint32_t *mode);
// "127.0.0.1:9469", "[::1]:9469", to listen on. Digits only: names would need a resolver, which may block, and
// which says that there is no IPv4 where no interface but loopback has an address.
int value_listen(const char *text, struct sockaddr_storage *addr, socklen_t *len);

#define MAC_TEXT 18
// Writes the usual form into buf and returns buf.
const char *value_mac_text(const uint8_t mac[6], char buf[MAC_TEXT]);
