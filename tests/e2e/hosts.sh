#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Three hosts on three AF_XDP ports: ping, iperf3 over TCP and UDP, learnt addresses, counters.
. "$(dirname "$0")/../lib/weft.sh"
need iperf3
weft_test

host a 10.0.0.1/24 02:00:00:00:00:01
host b 10.0.0.2/24 02:00:00:00:00:02
host c 10.0.0.3/24 02:00:00:00:00:03

config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b}
  - {name: c, type: af-xdp, device: c}
YAML
weft_start
eventually 'length == 3 and all(.[]; .state == "up")' port show

# Everyone reaches everyone, with small and with full frames.
for pair in "a 10.0.0.2" "a 10.0.0.3" "b 10.0.0.3" "c 10.0.0.1"; do
	read -r from to <<<"$pair"
	wait_until 20 ping_ok "$from" "$to" 56 1
	ping_ok "$from" "$to" || fail "$from does not reach $to without loss"
	ping_ok "$from" "$to" 1472 || fail "$from does not reach $to with 1,472 bytes"
done

# Each address is learnt where it lives.
for port in a b c; do
	check "[.[] | select(.mac == \"$(mac_of $port)\") | .port] == [\"$port\"]" fdb show
done

# Real TCP and UDP, both ways.
spawn "$T/iperf.log" ip netns exec "$(ns b)" iperf3 -s -p 5201
wait_until 20 in_ns a sh -c 'iperf3 -c 10.0.0.2 -n 1K'
bulk a -c 10.0.0.2 -n 20M -J >"$T/tcp" || fail "iperf3 over TCP: $(cat "$T/tcp")"
bulk a -c 10.0.0.2 -n 20M -R -J >"$T/tcp" || fail "iperf3 over TCP, reverse: $(cat "$T/tcp")"
bulk a -c 10.0.0.2 -u -b 10M -n 2M -J >"$T/udp" || fail "iperf3 over UDP: $(cat "$T/udp")"
# What is lost is lost in the receiver's socket, which may be too slow on a busy machine; not here.
lost=$(jq .end.sum.lost_packets "$T/udp")
overrun=$(in_ns b awk '/^Udp: [0-9]/ { print $6 }' /proc/net/snmp)
((lost <= overrun)) || fail "UDP at 10 Mbit/s: $lost frames lost, only $overrun of them in the receiver's socket"

check "$(stat_of a rx_frames) > 1000 and $(stat_of a tx_frames) > 1000" stats show
check "$(drops_of a) == 0 and $(drops_of b) == 0 and $(drops_of c) == 0" stats show
