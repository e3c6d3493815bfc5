#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Access and trunk ports: VLANs are apart, tags come and go where they should.
. "$(dirname "$0")/../lib/weft.sh"
weft_test

host a '' 02:00:00:00:00:01
host b '' 02:00:00:00:00:02
host c '' 02:00:00:00:00:03
host t '' 02:00:00:00:00:04
host n '' 02:00:00:00:00:05

config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a, vlan: {access: 10}}
  - {name: b, type: af-xdp, device: b, vlan: {access: 10}}
  - {name: c, type: af-xdp, device: c, vlan: {access: 20}}
  - {name: t, type: af-xdp, device: t, vlan: {trunk: [10, 20], native: 30}}
  - {name: n, type: af-xdp, device: n, vlan: {access: 30}}
YAML
weft_start
eventually 'length == 5 and all(.[]; .state == "up")' port show

all='--dst ff:ff:ff:ff:ff:ff --sizes 60,1514'
# shellcheck disable=SC2086
{
	# In one VLAN: untagged between access ports, tagged on the trunk.
	frames a:eth0 b:eth0 $all
	frames a:eth0 t:eth0 $all --expect-tag 10
	frames c:eth0 t:eth0 $all --expect-tag 20 --src 02:00:00:00:00:03
	frames t:eth0 a:eth0 $all --tag 10 --src 02:00:00:00:00:04
	frames t:eth0 c:eth0 $all --tag 20 --src 02:00:00:00:00:04
	# Not between them, even for an address that is known in the other one.
	frames a:eth0 c:eth0 $all --none
	frames c:eth0 b:eth0 $all --none --src 02:00:00:00:00:03
	frames a:eth0 c:eth0 --sizes 60 --none --dst 02:00:00:00:00:03
	frames t:eth0 c:eth0 $all --none --tag 10 --src 02:00:00:00:00:04
	# Untagged on the trunk is its native VLAN, where they are not.
	frames t:eth0 a:eth0 $all --none --src 02:00:00:00:00:04
}

# What a port does not carry is dropped and counted.
before=$(drops t vlan)
frames t:eth0 a:eth0 --sizes 60 --count 5 --none --tag 40 --src 02:00:00:00:00:04
eventually "$(drops_of t vlan) == $((before + 5))" stats show
before=$(drops a vlan)
frames a:eth0 b:eth0 --sizes 60 --count 5 --none --tag 20
eventually "$(drops_of a vlan) == $((before + 5))" stats show

# The same address in two VLANs is two entries.
say a 02:00:00:00:00:77
say c 02:00:00:00:00:77
eventually '[.[] | select(.mac == "02:00:00:00:00:77") | [.vlan, .port]] | sort == [[10, "a"], [20, "c"]]' fdb show

# A tag of the native VLAN is as good as none, whether the host has the rest of the NIC or not.
for share in exclusive host; do
	ctl port set t share "$share"
	eventually 'all(.[]; .state == "up")' port show
	say n 02:00:00:00:00:05
	eventually 'any(.[]; .mac == "02:00:00:00:00:05" and .vlan == 30)' fdb show
	to_n='--sizes 60,1514 --src 02:00:00:00:00:04 --dst 02:00:00:00:00:05'
	# shellcheck disable=SC2086
	for tag in '' '--tag 30'; do
		frames t:eth0 n:eth0 $to_n $tag || fail "share $share, '$tag'"
	done
done
