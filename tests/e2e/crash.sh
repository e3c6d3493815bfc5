#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# weftd dies without warning and is started again: its hosts and guests go on by themselves, stale
# sockets and XDP programs are no obstacle. The same after a planned stop.
. "$(dirname "$0")/../lib/weft.sh"
. "$(dirname "$0")/../lib/dpdk.sh"
weft_test

host a 10.0.0.1/24 02:00:00:00:00:01
host b 10.0.0.2/24 02:00:00:00:00:02

config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b}
  - {name: one, type: vhost-user, socket: @T@/one.sock, mode: client, vlan: {access: 10}}
  - {name: two, type: vhost-user, socket: @T@/two.sock, mode: client, vlan: {access: 20}}
YAML
weft_start
testpmd guest "path=$T/one.sock,server=1,mac=02:00:00:00:00:11 path=$T/two.sock,server=1,mac=02:00:00:00:00:12" \
	--forward-mode=io
eventually 'length == 4 and all(.[]; .state == "up")' port show
wait_until 20 ping_ok a 10.0.0.2 56 1

weft_kill
weft_start
eventually 'length == 4 and all(.[]; .state == "up")' port show
wait_until 20 ping_ok a 10.0.0.2 56 1
ping_ok a 10.0.0.2 || fail "frames are lost after a crash and a restart"

weft_stop
weft_start
eventually 'length == 4 and all(.[]; .state == "up")' port show
wait_until 20 ping_ok a 10.0.0.2 56 1
ping_ok a 10.0.0.2 || fail "frames are lost after a restart"

# A device without weftd belongs to its host again: no program stays on it after a clean stop.
weft_stop
! ip -n "$(ns sw)" link show a | finds xdp || fail "an XDP program stays on the device"
