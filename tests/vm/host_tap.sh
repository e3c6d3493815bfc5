#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# A guest and the host over a tap, with all offloads: ping, TCP and UDP, IPv4 and IPv6, both ways. Large
# segments pass whole, and nobody sees a wrong checksum.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
need iperf3 ethtool
config <<'YAML'
ports:
  - {name: vm, type: vhost-user, socket: "@T@/vm.sock", mode: server}
  - {name: host, type: tap, device: tap0}
YAML
weft_start
vm_start vm "$T/vm.sock" 52:54:00:00:00:01
in_ns sw sysctl -qw net.ipv6.conf.all.disable_ipv6=0
ip -n "$(ns sw)" addr add 10.0.0.9/24 dev tap0
ip -n "$(ns sw)" addr add fd00::9/64 dev tap0 nodad
in_ns sw ethtool -k tap0 | finds '^tcp-segmentation-offload: on' || fail "the tap has no TSO"
spawn "$T/server.log" ip netns exec "$(ns sw)" iperf3 -s -p 5201
vm_wait vm
guest_up vm 1
vm_exec vm 'ethtool -K eth0 tx on tso on gso on gro off' >/dev/null
eventually 'all(.[]; .state == "up")' port show

# host_counter COUNTER: of the tap, as the host has it.
host_counter() { in_ns sw cat "/sys/class/net/tap0/statistics/$1"; }

# whole COUNTER COMMAND...: the frames that were received meanwhile, by COUNTER (guest_vm or host_counter), are on
# average longer than the MTU allows: segments passed whole.
whole() {
	local counter=$1 frames bytes
	shift
	frames=$($counter rx_packets) bytes=$($counter rx_bytes)
	"$@"
	frames=$(($($counter rx_packets) - frames)) bytes=$(($($counter rx_bytes) - bytes))
	((frames > 0 && bytes / frames > 1514)) || fail "$*: $frames frames of $bytes bytes: segments were cut"
	info "$*: frames of $((bytes / frames)) bytes on average"
}
guest_vm() { guest_counter vm "$1"; }

for address in 10.0.0.9 fd00::9; do
	wait_until 20 vm_ping vm "$address" 56 1
	vm_ping vm "$address" 1400 || fail "the guest does not reach $address without loss"
	wait_until 20 ping_ok sw "${address%9}1" 1400
	whole host_counter iperf vm "$address" -n 6M
	whole guest_vm iperf vm "$address" -n 6M -R
	for way in '' -R; do
		iperf vm "$address" -u -b 10M -l 1400 -n 500K $way
		(($(iperf_result .end.sum.lost_packets) < $(iperf_result .end.sum.packets))) ||
			fail "UDP $address $way: nothing arrived"
	done
done

[[ $(guest_bad_checksums vm) == 0 ]] || fail "the guest refused packets for their checksums"
bad=$(in_ns sw nstat -asz | awk '/InCsumErrors/ { sum += $2 } END { print sum + 0 }')
[[ $bad == 0 ]] || fail "the host refused $bad packets for their checksums"
no_drops malformed no_offload bad_address too_long
