#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 200
# QEMU as the server of the socket, started before weftd, two queue pairs, a guest to a veth host: ping, TCP
# both ways, VLAN 10 inside the guest on a trunk.
. "$(dirname "$0")/../lib/weft.sh"
. "$(dirname "$0")/../lib/guests.sh"
need iperf3
weft_test

host a 10.0.0.254/24 02:00:00:00:00:fe
host b 10.0.10.254/24 02:00:00:00:00:fd
config <<'YAML'
ports:
  - {name: vm1, type: vhost-user, socket: @T@/vm1.sock, mode: client, queues: 2, vlan: {trunk: [10], native: 1}}
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b, vlan: {access: 10}}
YAML
# QEMU holds its guest until somebody has connected.
vm_start vm1 "$T/vm1.sock" 52:54:00:00:00:01 mode=server queues=2 smp=2
wait_until 20 test -S "$T/vm1.sock"
weft_start
vm_wait vm1
eventually 'all(.[]; .state == "up")' port show
vm_exec vm1 'ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up; ethtool -L eth0 combined 2
	ip link add link eth0 name eth0.10 type vlan id 10; ip addr add 10.0.10.1/24 dev eth0.10; ip link set eth0.10 up'
wait_until 30 vm_ping vm1 10.0.0.254 56 1
vm_ping vm1 10.0.0.254 1472 || fail "loss to the host"
wait_until 30 vm_ping vm1 10.0.10.254 56 1
vm_ping vm1 10.0.10.254 1472 || fail "loss to the host in VLAN 10"

spawn "$T/iperf.log" ip netns exec "$(ns a)" iperf3 -s
wait_until 30 vm_exec vm1 'iperf3 -c 10.0.0.254 -n 1K'
iperf vm1 10.0.0.254 -n 8M -P 4
iperf vm1 10.0.0.254 -n 8M -P 4 -R

# Queues go away and come back under way.
vm_exec vm1 'ethtool -L eth0 combined 1 && ping -c 3 -i 0.1 10.0.0.254 && ethtool -L eth0 combined 2' || fail "ethtool -L"
# The guest does not wait until the switch knows, and what it sends on a queue that is off goes nowhere.
eventually '[.[0].details.queues[] | select(.enabled)] | length == 4' port show vm1
vm_ping vm1 10.0.0.254 || fail "loss after ethtool -L"
