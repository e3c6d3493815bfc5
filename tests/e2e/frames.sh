#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Frames of every size from 60 to 1,514 bytes, compared byte for byte: from one AF_XDP port to
# another, and through a guest's two vhost-user ports, once in either direction.
. "$(dirname "$0")/../lib/weft.sh"
. "$(dirname "$0")/../lib/dpdk.sh"
weft_test

host a '' 02:00:00:00:00:01
host b '' 02:00:00:00:00:02
host c '' 02:00:00:00:00:03

# The guest bridges VLAN 10, where a is, and VLAN 20, where b is.
config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a, vlan: {access: 10}}
  - {name: c, type: af-xdp, device: c, vlan: {access: 10}}
  - {name: b, type: af-xdp, device: b, vlan: {access: 20}}
  - {name: vm-in, type: vhost-user, socket: @T@/in.sock, mode: server, vlan: {access: 10}}
  - {name: vm-out, type: vhost-user, socket: @T@/out.sock, mode: server, vlan: {access: 20}}
YAML
weft_start
testpmd guest "path=$T/in.sock,queue_size=256 path=$T/out.sock,queue_size=256" --forward-mode=io
eventually 'length == 5 and all(.[]; .state == "up")' port show

# To c's own address: b's is behind the guest as soon as b's kernel has said anything.
frames a:eth0 c:eth0 --dst 02:00:00:00:00:03
frames c:eth0 a:eth0 --src 02:00:00:00:00:03 --dst 02:00:00:00:00:01
frames a:eth0 b:eth0
frames b:eth0 a:eth0 --src 02:00:00:00:00:02 --dst 02:00:00:00:00:01
# Bursts of one size, so that descriptors and slots wrap around several times.
frames a:eth0 b:eth0 --sizes 60,1514 --count 2000
