#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A NIC shared with the host (share: host): the host's own connection on it, ARP and IPv6 neighbour
# discovery work on both sides while a VM talks through it under load, whatever happens to weftd.
. "$(dirname "$0")/../lib/weft.sh"
need iperf3 ethtool socat
weft_test

give() { # give NAME NUMBER DEV
	in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0
	ip -n "$(ns "$1")" addr add "10.0.0.$2/24" dev "$3"
	ip -n "$(ns "$1")" addr add "fd00::$2/64" dev "$3" nodad
}

# The NIC is eth1 in the switch's namespace, where the host lives too; its peer is the rest of the
# world. The VM is a tap in a namespace of its own.
ns_add world vm
veth sw eth1 world eth0 02:00:00:00:00:99
in_ns world ethtool -K eth0 tx on gso on tso on >/dev/null 2>&1 || true
give world 99 eth0
give sw 1 eth1

config <<'YAML'
ports:
  - {name: uplink, type: af-xdp, device: eth1, share: host}
  - {name: vm, type: tap, device: tap0}
YAML
weft_start
ip -n "$(ns sw)" link set tap0 netns "$(ns vm)"
ip -n "$(ns vm)" link set tap0 address 02:00:00:00:00:11 up
give vm 11 tap0
eventually 'length == 2 and all(.[]; .state == "up")' port show

# Each side finds the others: nobody has an entry for anybody.
forget() {
	local name
	# Asked while the kernel changes the table, the flush may give up.
	for name in world vm sw; do wait_until 20 ip -n "$(ns $name)" neigh flush all; done
}
everybody_reaches() {
	wait_until 10 in_ns world ping -n -q -c 1 -W 1 10.0.0.11
	forget
	in_ns sw ping -n -q -c 2 -W 5 10.0.0.99 || fail "the host does not find the world"
	in_ns world ping -n -q -c 2 -W 5 10.0.0.1 || fail "the world does not find the host"
	in_ns vm ping -n -q -c 2 -W 5 10.0.0.99 || fail "the VM does not find the world"
	in_ns world ping -n -q -c 2 -W 5 10.0.0.11 || fail "the world does not find the VM"
	forget
	in_ns world ping -n -q -c 2 -W 5 fd00::1 || fail "the world does not find the host, IPv6"
	in_ns world ping -n -q -c 2 -W 5 fd00::11 || fail "the world does not find the VM, IPv6"
	forget
	in_ns sw ping -n -q -c 2 -W 5 fd00::99 || fail "the host does not find the world, IPv6"
	in_ns vm ping -n -q -c 2 -W 5 fd00::99 || fail "the VM does not find the world, IPv6"
} >"$T/ping.log"
everybody_reaches

# The host's connection: a server that echoes lines, asked again and again over one connection.
spawn "$T/echo.log" ip netns exec "$(ns sw)" socat TCP-LISTEN:22,reuseaddr,fork EXEC:cat
mkfifo "$T/ask"
spawn "$T/ssh.log" ip netns exec "$(ns world)" sh -c "socat -u OPEN:$T/ask,rdonly - | socat - TCP:10.0.0.1:22,retry=20,interval=0.2"
exec 9>"$T/ask"
asked=0
connection_lives() {
	asked=$((asked + 1))
	echo "line $asked" >&9
	until_true 30 grep -qx "line $asked" "$T/ssh.log" || fail "the host's connection is dead: $1"
}
connection_lives "before any load"

# Under load from and to the VM.
spawn "$T/iperf.log" ip netns exec "$(ns world)" iperf3 -s -p 5201
wait_until 10 in_ns vm iperf3 -c 10.0.0.99 -n 1K
bulk vm -c 10.0.0.99 -t 6 >"$T/load.log" &
load=$!
cleanup stop_pid "$load"
while is_running "$load"; do
	connection_lives "under load from the VM"
	everybody_reaches
done
wait "$load" || fail "from the VM: $(cat "$T/load.log")"
bulk vm -c 10.0.0.99 -n 20M -R >"$T/out" || fail "to the VM: $(cat "$T/out")"
in_ns world iperf3 -c 10.0.0.1 -n 1K >/dev/null 2>&1 || true
connection_lives "after load"

# The host's bulk traffic is the kernel's: weft sees none of it.
spawn "$T/iperf2.log" ip netns exec "$(ns sw)" iperf3 -s -p 5202
wait_until 10 in_ns world iperf3 -c 10.0.0.1 -p 5202 -n 1K
before=$(ctl -j port show uplink | jq '.. | .redirected? // empty')
bulk world -c 10.0.0.1 -p 5202 -n 10M >"$T/out" || fail "world to host: $(cat "$T/out")"
after=$(ctl -j port show uplink | jq '.. | .redirected? // empty')
((after - before < 100)) || fail "the host's frames went through weft: $before, $after"

# A killed weftd leaves the host its NIC; a new one takes up where the old one was.
weft_kill
connection_lives "after kill -9"
in_ns sw ping -n -q -c 2 -W 5 10.0.0.99 >/dev/null || fail "kill -9 of weftd cut the host off"
weft_start
ip -n "$(ns sw)" link set tap0 netns "$(ns vm)"
ip -n "$(ns vm)" link set tap0 address 02:00:00:00:00:11 up
give vm 11 tap0
everybody_reaches
connection_lives "after the restart"

# And a weftd that ends takes its program along.
weft_stop
connection_lives "without weftd"
! ip -n "$(ns sw)" link show eth1 | finds xdp || fail "the XDP program was left behind"
