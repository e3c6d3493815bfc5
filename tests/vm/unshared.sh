#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 150
# A guest whose memory is not shared is refused with a sentence that says share=on; the port says
# why it is down, and the other guest goes on.
. "$(dirname "$0")/../lib/weft.sh"
. "$(dirname "$0")/../lib/vm.sh"
weft_test

host a 10.0.0.254/24 02:00:00:00:00:fe
config <<'YAML'
ports:
  - {name: good, type: vhost-user, socket: @T@/good.sock, mode: server}
  - {name: bad, type: vhost-user, socket: @T@/bad.sock, mode: server}
  - {name: a, type: af-xdp, device: a}
YAML
weft_start
vm_start good "$T/good.sock" 52:54:00:00:00:01
VM_SHARE=off vm_start bad "$T/bad.sock" 52:54:00:00:00:02
vm_wait good bad
vm_exec good 'ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up'
vm_exec bad 'ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up' || true
wait_until 30 vm_ping good 10.0.0.254 56 1
wait_until 10 grep -q 'share=on' "$T/weftd.log"
eventually '.[] | select(.name == "bad") | .state == "down"' port show
ctl port show bad | finds 'share=on' || fail "weftctl port show does not say why: $(ctl port show bad)"
vm_ping good 10.0.0.254 || fail "the other guest suffers"
