#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A guest's partial checksums and large segments leave a NIC as a wire must have them, and a stack's
# reach no guest broken: TCP and UDP, IPv4 and IPv6, untagged and tagged, native and generic XDP.
. "$(dirname "$0")/../lib/weft.sh"
need tcpdump tshark ethtool
weft_test
PEER=$WEFT_BUILD/tests/lib/offload_peer

ns_add wire
veth sw nic wire wire
for end in "sw nic" "wire wire"; do
	read -r where device <<<"$end"
	in_ns "$where" sysctl -qw "net.ipv6.conf.$device.disable_ipv6=1"
done
# shark FILTER: how many of the captured frames it finds.
shark() {
	tshark -r "$T/wire.pcap" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE \
		-o udp.check_checksum:TRUE -Y "$1" 2>/dev/null | wc -l
}

# leaves VID: what the guest sends is right on the wire. The bytes of it, in BYTES: the stack's table is the same.
leaves() {
	local frames proto dump tag='not vlan' what
	[[ $1 == 0 ]] || tag="vlan.id == $1"
	# Nothing behind the port finishes anything, nothing puts frames together before they are captured.
	in_ns sw ethtool -K nic tx off >/dev/null
	in_ns wire ethtool -K wire gro off >/dev/null
	spawn "$T/tcpdump.log" ip netns exec "$(ns wire)" tcpdump -U -Q in -B 8192 -s 0 -i wire -w "$T/wire.pcap"
	dump=$PID
	wait_until 20 grep -q 'listening on' "$T/tcpdump.log"
	read -r frames BYTES < <("$PEER" send "$T/vm.sock") || fail "the guest cannot send"
	captured() { (($(shark "$tag and (tcp or udp)") >= frames)); }
	until_true 20 captured || true
	kill -INT "$dump"
	wait "$dump" || true
	[[ $(shark "$tag and (tcp or udp)") == "$frames" ]] ||
		fail "$(shark "$tag and (tcp or udp)") of $frames frames captured: $(ctl -j stats show)"
	for what in ip.version==4 ip.version==6; do
		for proto in tcp udp; do
			(($(shark "$what and $proto") > 20)) || fail "no $proto of $what"
		done
	done
	# Where the sum is 0 Linux writes 0xffff for TCP too, which is the same number (RFC 1624).
	[[ $(shark 'ip.checksum.status == "Bad" or udp.checksum.status == "Bad" or
		(tcp.checksum.status == "Bad" and tcp.checksum != 0xffff)') == 0 ]] || fail "wrong checksums on the wire"
	[[ $(shark 'tcp.checksum.status == "Unverified" or udp.checksum.status == "Unverified"') == 0 ]] ||
		fail "checksums that were not looked at"
	[[ $(shark 'frame.len > 1518') == 0 ]] || fail "frames longer than the MTU on the wire"
	info "leaves, VLAN $1: $frames frames, no checksum wrong"
}

# arrives VID full|plain: what a stack left undone reaches such a guest right, or said to be undone.
arrives() {
	local guest
	in_ns wire ethtool -K wire tx on gso on tso on >/dev/null 2>&1 || true
	in_ns sw ethtool -K nic tx on >/dev/null
	# Of datagrams that generic XDP gets as one, nobody knows the size (docs/uplink.md).
	[[ $mode == copy ]] || in_ns wire ethtool -K wire tx-udp-segmentation off
	eventually 'any(.[]; .name == "vm" and .state != "up")' port show # the one before has gone
	spawn "$T/guest.log" "$PEER" receive "$T/vm.sock" "$2" "$BYTES"
	guest=$PID
	wait_until 20 grep -q ready "$T/guest.log"
	eventually 'any(.[]; .name == "vm" and .state == "up")' port show
	in_ns wire "$PEER" far wire "$1" >/dev/null || fail "the stack cannot send"
	wait "$guest" || fail "the guest ($2, VLAN $1): $(cat "$T/guest.log")"
	info "arrives, VLAN $1, $2 guest: frames, bytes, begun: $(tail -n 1 "$T/guest.log")"
}

for mode in copy generic; do
	for vid in 0 10; do
		vlan='{access: 1}' up='{access: 1}'
		[[ $vid == 0 ]] || vlan='{access: 10}' up='{trunk: [10]}'
		config <<-YAML
			ports:
			  - {name: vm, type: vhost-user, socket: @T@/vm.sock, mode: server, vlan: $vlan}
			  - {name: up, type: af-xdp, device: nic, xdp-mode: $mode, vlan: $up}
		YAML
		weft_start
		eventually 'any(.[]; .name == "up" and .state == "up")' port show
		leaves "$vid"
		arrives "$vid" plain
		arrives "$vid" full
		for port in vm up; do
			check "$(drops_of $port malformed) == 0 and $(drops_of $port no_offload) == 0" stats show
		done
		weft_stop
	done
done
