#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What happens to an uplink's device under a running weftd: removal and return, another namespace,
# more queues, an MTU, jumbo frames; a killed weftd, a foreign XDP program, a second weftd.
. "$(dirname "$0")/../lib/weft.sh"
need ethtool
weft_test

host a 10.0.0.1/24 02:00:00:00:00:01
host b 10.0.0.2/24 02:00:00:00:00:02
config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: up, type: af-xdp, device: b}
YAML
weft_start
eventually 'length == 2 and all(.[]; .state == "up")' port show
spawn "$T/monitor" "$WEFTCTL" -s "$SOCKET" -j monitor
wait_until 10 ping_ok a 10.0.0.2 56 1

reaches() { wait_until 10 ping_ok a 10.0.0.2 56 1; }
state_is() { has "map(select(.name == \"up\"))[0].state == \"$1\"" port show; }

# resumes WHAT: traffic is back; prints how long after this call, which follows what brought it back at once. Addresses
# are told, as a lost ARP request is repeated after a second only.
resumes() {
	local from=${EPOCHREALTIME/./}
	ip -n "$(ns a)" neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0
	ip -n "$(ns b)" neigh replace 10.0.0.1 lladdr 02:00:00:00:00:01 dev eth0
	wait_until 10 in_ns a ping -n -q -c 1 -W 0.05 10.0.0.2
	info "$1: traffic is back after $(((${EPOCHREALTIME/./} - from) / 1000)) ms"
}
told() { wait_until 10 grep -q "$1" "$T/monitor"; }

# Removed, and made again: the event says so, and traffic is back by itself.
ip -n "$(ns sw)" link del dev b
wait_until 10 state_is down
told 'b was removed'
veth sw b b eth0 02:00:00:00:00:02
ip -n "$(ns b)" addr add 10.0.0.2/24 dev eth0
resumes "the device was made again"
wait_until 10 state_is up

# The program is taken off: put on again within a second, and the event says what happened.
in_ns sw ip link set dev b xdp off
told 'the XDP program of weft was removed from b by somebody'
reaches
wait_until 10 state_is up

# Into another namespace and back.
ns_add other
ip -n "$(ns sw)" link set dev b netns "$(ns other)"
wait_until 10 state_is down
ip -n "$(ns other)" link set dev b netns "$(ns sw)"
resumes "the device is back from another namespace"

# Carrier.
ip -n "$(ns b)" link set dev eth0 down
wait_until 10 state_is down
told 'no carrier'
ip -n "$(ns b)" link set dev eth0 up
resumes "the carrier is back"

# Jumbo frames on both sides; then one side without: the event says which MTU to set.
ip -n "$(ns a)" link set dev eth0 mtu 9000
ip -n "$(ns b)" link set dev eth0 mtu 9000
ip -n "$(ns sw)" link set dev a mtu 9000
ip -n "$(ns sw)" link set dev b mtu 9000
resumes "the MTU was changed"
eventually '[.. | .multi_buffer? // empty] == [true]' port show up
wait_until 10 ping_ok a 10.0.0.2 8972 1
ping_ok a 10.0.0.2 8972 || fail "jumbo frames are lost"
ip -n "$(ns sw)" link set dev b mtu 1500
eventually '[.. | .device_mtu? // empty] == [1500]' port show up
! ping_ok a 10.0.0.2 8972 1 || fail "a frame of 9,014 bytes passed an MTU of 1,500"
eventually "$(drops_of up too_long) > 0" stats show
told 'do not fit its MTU of 1500'
reaches

# kill -9: the device passes everything to the host, and the next weftd takes over.
ip -n "$(ns sw)" addr add 10.0.0.3/24 dev b
weft_kill
ip -n "$(ns sw)" link show dev b | finds xdp || fail "there is no leftover to test with"
wait_until 10 in_ns b ping -n -q -c 1 -W 1 10.0.0.3
ip -n "$(ns sw)" addr del 10.0.0.3/24 dev b
weft_start
eventually 'length == 2 and all(.[]; .state == "up")' port show
reaches

# In words: no such device; and a second weftd on the same one, which disturbs nothing.
ctl_refuses 'there is no device nosuch' port add again type af-xdp device nosuch
sed /name:.a/d "$T/weft.yaml" >"$T/second.yaml"
output=$(in_ns sw timeout 20 "$WEFTD" -c "$T/second.yaml" -s "$T/second.sock" --foreground 2>&1) &&
	fail "a second weftd took the device: $output"
expect "$output" 'b: queue 0 of the device is in use by another AF_XDP socket' "the second weftd"
reaches

weft_stop
! ip -n "$(ns sw)" link show dev b | finds xdp || fail "the XDP program was left behind"
