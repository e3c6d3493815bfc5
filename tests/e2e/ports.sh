#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Ports come and go at run time while others work; what they used is free again.
. "$(dirname "$0")/../lib/weft.sh"
weft_test

host a 10.0.0.1/24 02:00:00:00:00:01
host b 10.0.0.2/24 02:00:00:00:00:02
host c 10.0.0.3/24 02:00:00:00:00:03

config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b}
YAML
weft_start
eventually 'length == 2 and all(.[]; .state == "up")' port show
wait_until 20 ping_ok a 10.0.0.2 56 1

# Under a ping that must not lose anything, another port comes and goes a few times.
spawn "$T/ping.log" ip netns exec "$(ns a)" ping -n -i 0.01 -c 320 -w 20 10.0.0.2
ping=$PID
for i in 1 2 3 4 5; do
	ctl port add c type af-xdp device c
	eventually 'map(select(.name == "c" and .state == "up")) | length == 1' port show
	wait_until 20 ping_ok c 10.0.0.1 56 1
	ctl port add vm type vhost-user socket "$T/vm.sock" mode server vlan access 10
	test -S "$T/vm.sock" || fail "no socket for the port"
	ctl port del vm
	test ! -e "$T/vm.sock" || fail "the socket outlives its port"
	ctl port del c
done
wait "$ping" || true
# It ends with the 320th answer: the last ones may still be on their way, all others are there.
answered=$(grep -o 'icmp_seq=[0-9]*' "$T/ping.log" | cut -d= -f2 | awk '$1 <= 300' | sort -u | wc -l)
[[ $answered == 300 ]] || fail "others lost frames meanwhile: $answered of 300 answered"
check '[.[].name] == ["a", "b"]' port show
