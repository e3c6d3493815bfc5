#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What happens in the switch reaches those who subscribed: ports, links, addresses, drops,
# configuration.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need ping
weft_test events
host a 10.99.0.1/24 02:00:00:00:00:0a
host b 10.99.0.2/24 02:00:00:00:00:0b
config <<YAML
fdb: {age: 2}
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b}
YAML
weft_start
eventually 'all(.state == "up")' port show

spawn "$T/all" "$WEFTCTL" -s "$SOCKET" -j monitor
spawn "$T/people" "$WEFTCTL" -s "$SOCKET" monitor
spawn "$T/only" "$WEFTCTL" -s "$SOCKET" -j monitor port b link-down link-up
# Both are subscribed once they hear of this.
settled() { ctl config set fdb age "$((RANDOM % 5 + 2))" >/dev/null && grep -q config "$T/all" && grep -q config "$T/people"; }
wait_until 10 settled
ctl config set fdb age 2 >/dev/null

# heard CONDITION: has such an event come?
heard() { jq -se "any($1)" "$T/all" >/dev/null 2>&1; }

info "addresses are learnt and aged"
in_ns a ping -n -q -c 3 -i 0.05 -W 1 10.99.0.2 >/dev/null || true
wait_until 10 heard '.event == "fdb-learnt" and .mac == "02:00:00:00:00:0a" and .port == "a" and .vlan == 1'
wait_until 10 heard '.event == "fdb-learnt" and .mac == "02:00:00:00:00:0b" and .port == "b"'
wait_until 20 heard '.event == "fdb-aged" and .mac == "02:00:00:00:00:0a"'

info "an address moves"
ctl config set fdb age 300 >/dev/null
in_ns a ping -n -q -c 3 -i 0.05 -W 1 10.99.0.2 >/dev/null || true
in_ns b ip link set eth0 address 02:00:00:00:00:0a
in_ns b ping -n -q -c 3 -i 0.05 -W 1 10.99.0.1 >/dev/null || true
wait_until 10 heard '.event == "fdb-moved" and .mac == "02:00:00:00:00:0a" and .port == "b" and .old_port == "a"'
in_ns b ip link set eth0 address 02:00:00:00:00:0b

info "drops begin"
ctl port set a policy macs 02:00:00:00:00:99
in_ns a ping -n -q -c 5 -i 0.05 -W 1 10.99.0.2 >/dev/null || true
wait_until 10 heard '.event == "drops" and .port == "a" and .reason == "spoofed" and (.remedy | length) > 5'
ctl port set a policy default

info "links go down and up, ports come and go"
in_ns b ip link set eth0 down
wait_until 10 heard '.event == "link-down" and .port == "b"'
in_ns b ip link set eth0 up
wait_until 10 heard '.event == "link-up" and .port == "b"'
ctl port add vm1 type vhost-user socket "$T/vm1.sock"
ctl port set vm1 vlan access 7
ctl port del vm1
wait_until 10 heard '.event == "port-added" and .port == "vm1"'
wait_until 10 heard '.event == "port-changed" and .port == "vm1"'
wait_until 10 heard '.event == "port-removed" and .port == "vm1"'
wait_until 10 heard '.event == "config" and (.text | test("vm1 was removed"))'
jq -se 'all(.time_us > 1e15)' "$T/all" >/dev/null || fail "an event without its time"

info "people read lines; a filter holds"
until_true 10 grep -qE '^[0-9:.]+ link-down +b: ' "$T/people" || fail "no line for people: $(<"$T/people")"
until_true 10 grep -qE '^[0-9:.]+ fdb-moved +b 02:00:00:00:00:0a vlan 1 from a' "$T/people" || fail "no line for a move"
jq -se 'length >= 2 and all(.port == "b" and (.event | test("^link-")))' "$T/only" >/dev/null || fail "the filter: $(<"$T/only")"
