#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Stacks that leave checksums and segments undone, on AF_XDP and tap ports and across a tagged link
# between two switches: TCP and UDP of both IP versions arrive, and every checksum that comes out of
# a port whose card does nothing is right (tshark).
. "$(dirname "$0")/../lib/weft.sh"
need iperf3 tshark ethtool
weft_test

# offloads NS DEV on|off: of a veth. What is on may reach its peer undone.
offloads() { in_ns "$1" ethtool -K "$2" tx "$3" gso "$3" tso "$3" gro "$3" >/dev/null 2>&1; }

# give NAME NUMBER [DEV]: addresses for a host.
give() {
	in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0
	ip -n "$(ns "$1")" addr add "10.0.0.$2/24" dev "${3:-eth0}"
	ip -n "$(ns "$1")" addr add "fd00::$2/64" dev "${3:-eth0}" nodad
}

# weft2 WORD...: weftctl on the second switch.
weft2() { "$WEFTCTL" -s "$T/api2.sock" "$@"; }
weft2_up() { weft2 -j port show | jq -e "length == 2 and all(.[]; .state == \"up\")"; }

# Host a and tap h on the first switch, host b on the second; VLAN 10 is tagged between them.
host a '' 02:00:00:00:00:01
ns_add h two
give a 1
veth sw up1 two up2
ns_add b
veth two b b eth0 02:00:00:00:00:02
give b 2
for end in "sw up1" "two up2" "a eth0" "b eth0" "sw a" "two b"; do
	read -r where device <<<"$end"
	offloads "$where" "$device" on
done

config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a, vlan: {access: 10}}
  - {name: h, type: tap, device: tap0, vlan: {access: 10}}
  - {name: up, type: af-xdp, device: up1, vlan: {trunk: [10]}}
YAML
cat >"$T/weft2.yaml" <<'YAML'
ports:
  - {name: b, type: af-xdp, device: b, vlan: {access: 10}}
  - {name: up, type: af-xdp, device: up2, vlan: {trunk: [10]}}
YAML
weft_start
spawn "$T/weftd2.log" ip netns exec "$(ns two)" "$WEFTD" -c "$T/weft2.yaml" -s "$T/api2.sock" --foreground
ip -n "$(ns sw)" link set tap0 netns "$(ns h)"
ip -n "$(ns h)" link set tap0 up
give h 3 tap0
eventually 'length == 3 and all(.[]; .state == "up")' port show
wait_until 10 weft2_up

for server in a b h; do
	spawn "$T/iperf-$server.log" ip netns exec "$(ns $server)" iperf3 -s -p 5201
done

# reach FROM ADDRESS: ping and bulk traffic, both ways.
reach() {
	local from=$1 to=$2
	wait_until 20 ping_ok "$from" "$to" 56 1
	ping_ok "$from" "$to" 1400 || fail "$from does not reach $to without loss"
	wait_until 20 in_ns "$from" iperf3 -c "$to" -n 1K
	bulk "$from" -c "$to" -n 10M >"$T/out" || fail "TCP $from $to: $(cat "$T/out")"
	bulk "$from" -c "$to" -n 10M -R >"$T/out" || fail "TCP $from $to -R: $(cat "$T/out")"
	# So few that they fit the receiver's socket buffer even if it does not get to run.
	bulk "$from" -c "$to" -u -b 20M -l 1000 -n 60K -J >"$T/out" || fail "UDP $from $to: $(cat "$T/out")"
	jq -e '.end.sum.lost_packets == 0' "$T/out" >/dev/null || fail "UDP $from $to loses: $(jq -c .end.sum "$T/out")"
}

for net in 10.0.0. fd00::; do
	reach a "${net}3" # AF_XDP and tap, one switch
	reach a "${net}2" # over the tagged link
	reach h "${net}2" # tap, over the tagged link
done
for port in a h up; do
	check "$(drops_of $port no_offload) == 0 and $(drops_of $port malformed) == 0" stats show
done
for port in a up; do
	check '[.. | .conserved? // empty] | length > 0 and all' port show "$port"
	check '[.. | .bad_entries? // empty] | add == 0' port show "$port"
done

# Now nothing behind the ports finishes anything: what arrives is as it would be on a wire, and
# nothing puts frames together before they are captured.
in_ns a ethtool -K eth0 gro off
in_ns b ethtool -K eth0 gro off
for end in "sw up1" "two up2" "sw a" "two b"; do
	read -r where device <<<"$end"
	offloads "$where" "$device" off
done
for where in a b; do
	spawn "$T/tshark-$where.log" ip netns exec "$(ns $where)" tshark -q -i eth0 -w "$T/$where.pcap" -f 'inbound and (ip or ip6)'
	eval "shark_$where=$PID"
	wait_until 10 grep -q -i capturing "$T/tshark-$where.log"
done
# shark HOST FILTER: its captured frames.
shark() {
	tshark -r "$T/$1.pcap" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE -Y "$2" 2>/dev/null
}

for net in 10.0.0. fd00::; do
	reach a "${net}2"
	reach h "${net}1"
	reach h "${net}2"
done
for where in a b; do
	eval "kill -INT \$shark_$where; wait \$shark_$where || true"
	# Where the sum is 0 Linux writes 0xffff for TCP too, which is the same number (RFC 1624).
	shark "$where" '' >"$T/all"
	shark "$where" 'ip.checksum.status == "Bad" or udp.checksum.status == "Bad" or
		(tcp.checksum.status == "Bad" and tcp.checksum != 0xffff)' >"$T/bad"
	info "$where: $(wc -l <"$T/all") frames captured"
	for what in TCP UDP; do
		grep -q "$what" "$T/all" || fail "$where captured no $what"
	done
	[[ ! -s $T/bad ]] || fail "$where received wrong checksums: $(head -n 5 "$T/bad")"
done
