#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Without the rights for AF_XDP that port is refused with a sentence that names them; the
# vhost-user ports work. Without permission for a socket's directory, the same.
. "$(dirname "$0")/../lib/weft.sh"
. "$(dirname "$0")/../lib/dpdk.sh"
weft_test

host a 10.0.0.1/24 02:00:00:00:00:01
host b 10.0.0.2/24 02:00:00:00:00:02
mkdir "$T/closed"
chown nobody "$T/closed"
chmod 700 "$T/closed"
config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: one, type: vhost-user, socket: @T@/one.sock, mode: server}
  - {name: two, type: vhost-user, socket: @T@/two.sock, mode: server}
YAML

# weftd as root in name, without capabilities.
WEFTD_WRAPPER=(setpriv --bounding-set=-all --inh-caps=-all)
weft_start
grep -qE 'CAP_(NET_ADMIN|NET_RAW|BPF|SYS_ADMIN)' "$T/weftd.log" || fail "the log does not name the missing capability"
eventually '[.[] | select(.name == "a") | .state] == ["failed"]' port show
ctl_refuses 'CAP_' port add b type af-xdp device b
ctl_refuses 'ermission' port add vm type vhost-user socket "$T/closed/vm.sock" mode server
testpmd guest "path=$T/one.sock,mac=02:00:00:00:00:01 path=$T/two.sock,mac=02:00:00:00:00:02" \
	--forward-mode=mac --tx-first --eth-peer=0,02:00:00:00:00:02 --eth-peer=1,02:00:00:00:00:01
wait_until 30 testpmd_has_received guest 0 500
