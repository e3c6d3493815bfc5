#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Generic XDP runs behind GRO and GSO: segments of 64 KiB arrive as single frames without a word of
# what they are. They get through all the same: TCP used to stall after its first window.
. "$(dirname "$0")/../lib/weft.sh"
need iperf3 ethtool
weft_test

host a 10.0.0.1/24 02:00:00:00:00:01
host b 10.0.0.2/24 02:00:00:00:00:02
ns_add h
for name in a b; do
	in_ns "$name" ethtool -K eth0 tx on gso on tso on gro on >/dev/null 2>&1
	in_ns "$name" sysctl -qw net.ipv6.conf.all.disable_ipv6=0
done
ip -n "$(ns a)" addr add fd00::1/64 dev eth0 nodad
ip -n "$(ns b)" addr add fd00::2/64 dev eth0 nodad

config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a, xdp-mode: generic}
  - {name: b, type: af-xdp, device: b, xdp-mode: generic}
  - {name: h, type: tap, device: tap0}
YAML
weft_start
ip -n "$(ns sw)" link set dev tap0 netns "$(ns h)"
ip -n "$(ns h)" link set dev tap0 up
ip -n "$(ns h)" addr add 10.0.0.3/24 dev tap0
eventually 'length == 3 and all(.[]; .state == "up")' port show

spawn "$T/iperf.log" ip netns exec "$(ns b)" iperf3 -s -p 5201
for to in 10.0.0.2 fd00::2; do
	wait_until 10 in_ns a iperf3 -c "$to" -n 1K
	bulk a -c "$to" -n 50M >"$T/out" || fail "TCP a $to: $(cat "$T/out")"
	bulk a -c "$to" -n 50M -R >"$T/out" || fail "TCP a $to -R: $(cat "$T/out")"
done
# To a port that takes segments as they are, and from it.
wait_until 10 in_ns h iperf3 -c 10.0.0.2 -n 1K
bulk h -c 10.0.0.2 -n 50M >"$T/out" || fail "TCP h b: $(cat "$T/out")"
bulk h -c 10.0.0.2 -n 50M -R >"$T/out" || fail "TCP h b -R: $(cat "$T/out")"
for port in a b h; do
	check "$(drops_of $port malformed) == 0 and $(drops_of $port too_long) == 0" stats show
done
