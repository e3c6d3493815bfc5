# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What tests with real guests share: a switch with a port for each, addresses, traffic between them.

# shellcheck source=tests/lib/vm.sh
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"

# guests_config PORT-KEYS NAME...: the configuration of a server socket for each NAME,
# with further keys ("queues: 4") for all.
guests_config() {
	local keys=$1 name
	shift
	{
		echo "ports:"
		for name; do
			echo "  - {name: $name, type: vhost-user, socket: @T@/$name.sock, mode: server${keys:+, $keys}}"
		done
	} | config
}

# guest_up NAME N [MTU]: gives its eth0 the addresses 10.0.0.N and fd00::N. Neighbours once found stay
# so: a probe that meets a full ring three times would end as "no route to host".
guest_up() {
	vm_exec "$1" "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
		for v in 4 6; do echo 3600000 >/proc/sys/net/ipv\$v/neigh/eth0/base_reachable_time_ms; done
		ip link set dev eth0 mtu ${3:-1500} && ip link set dev eth0 up
		ip addr flush dev eth0 scope global
		ip addr add 10.0.0.$2/24 dev eth0 && ip -6 addr add fd00::$2/64 dev eth0" >/dev/null
}

# guest_serves NAME: an iperf3 server in the guest, which listens (port 5201 is hexadecimal 1451).
guest_serves() {
	vm_exec "$1" 'iperf3 -s -D --logfile /run/iperf3.log &&
		until grep -q ":1451 .* 0A " /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done' >/dev/null
}

# iperf FROM ADDRESS OPTION...: one run from a guest; the result in ${T}/iperf.json.
iperf() {
	local from=$1 address=$2 ran i
	shift 2
	for i in 1 2 3; do
		ran=yes
		vm_exec "$from" "iperf3 -J -c $address --connect-timeout 5000 $* 2>/dev/null | sed -n '/^{/,\$p'" 60 >"$T/iperf.json" || ran=no
		[[ $ran == yes && $(iperf_result '.error // ""') =~ $IPERF_BUSY ]] || break
	done
	[[ $ran == yes && -s $T/iperf.json && $(iperf_result '.error // ""') == '' ]] ||
		fail "iperf3 from $from to $address ($*): $(jq -r '.error // "no result"' "$T/iperf.json" 2>/dev/null)"
}

# iperf_result JQ: a figure of the last run.
iperf_result() { jq -r "$1" "$T/iperf.json"; }

# guest_counter NAME COUNTER: of its eth0, such as rx_bytes.
guest_counter() { vm_exec "$1" "cat /sys/class/net/eth0/statistics/$2"; }

# guest_bad_checksums NAME: how many TCP and UDP packets its kernel refused for their checksums.
guest_bad_checksums() {
	vm_exec "$1" "cat /proc/net/snmp /proc/net/snmp6" |
		awk '/^(Tcp|Udp):/ { if (!($1 in names)) { names[$1] = $0; next }
				n = split(names[$1], name)
				for (i = 2; i <= n; i++) if (name[i] == "InCsumErrors") sum += $i }
			/^(Udp6|Icmp6)InCsumErrors/ { sum += $2 } END { print sum + 0 }'
}

# no_drops REASON...: no port has dropped a frame for these reasons.
no_drops() {
	local reason
	for reason; do
		check "map(.drops.$reason // 0) | add == 0" stats show
	done
}

# guest_counters NAME: four numbers: frames that the switch says it gave the guest and took from it, frames
# that the guest says it received and sent.
guest_counters() {
	ctl -j stats show | jq -r "map(select(.port == \"$1\"))[0] | \"\(.tx_frames) \(.rx_frames)\"" &&
		vm_exec "$1" 'cd /sys/class/net/eth0/statistics; cat rx_packets tx_packets'
}

# guest_tally NAME: how many more frames the switch says it gave the guest than the guest has received, and
# how many more it took from the guest than that has sent. While nothing is under way neither changes,
# unless a frame was lost or doubled between the two; a driver that starts anew counts anew.
# A guest that is left alone says something now and then (router solicitations, neighbour discovery), so it
# counts only once all four counters were the same in two readings in a row: what the first found under way the
# second finds arrived. Fails where frames never cease.
guest_tally() {
	local before='' now='' deadline=$((${EPOCHREALTIME/./} + 30000000))
	while now=$(guest_counters "$1" | paste -sd ' ') && [[ $now != "$before" ]]; do
		((${EPOCHREALTIME/./} < deadline)) || fail "frames never cease: $1 had $before, then $now"
		before=$now
	done
	[[ $now =~ ^[0-9]+\ [0-9]+\ [0-9]+\ [0-9]+$ ]] || fail "no counters of $1"
	set -- $now
	echo $(($1 - $3)) $(($2 - $4))
}

# tally_is NAME TALLY
tally_is() {
	local tally
	tally=$(guest_tally "$1") && [[ $tally == "$2" ]]
}

# ping_run NAME ADDRESS COUNT: starts a ping of about 100 a second in the guest that goes on while the
# test does something; ping_outage waits for its end. Each line is noted with the guest's time.
ping_run() {
	vm_exec "$1" "rm -f /run/ping; (ping -i 0.01 -W 1 -c $3 $2 2>&1 | while read -r line; do
		read -r now idle </proc/uptime; echo \$now \$line; done >/run/ping; echo over >>/run/ping) >/dev/null 2>&1 &" >/dev/null
}

# ping_outage NAME: waits for the ping's end; the longest time without a reply, in milliseconds, in
# OUTAGE, replies that came twice in DOUBLED.
ping_outage() {
	wait_until 60 vm_exec "$1" 'grep -q ^over /run/ping'
	read -r OUTAGE DOUBLED < <(vm_exec "$1" 'cat /run/ping' | awk '
		/DUP!/ { doubled++; next }
		/ PING / { last = $1 }
		match($0, /seq=[0-9]+/) { seq = substr($0, RSTART + 4, RLENGTH - 4) + 0
			if ($1 - last > gap) gap = $1 - last
			last = $1 }
		# It was still out at the end.
		/packets transmitted/ && seq + 10 < $2 && $1 - last > gap { gap = $1 - last }
		END { printf "%d %d\n", gap * 1000 + 0.5, doubled }')
}

# guest_pktgen NAME ADDRESS MAC PACKETS-PER-SECOND: numbered packets from the guest's kernel, without
# end, for tests/lib/pktgen_watch.py. The first is out when this returns.
guest_pktgen() {
	vm_exec "$1" "rm -f /run/pktgen; echo rem_device_all >/proc/net/pktgen/kpktgend_0
		echo 'add_device eth0' >/proc/net/pktgen/kpktgend_0
		for o in 'count 0' 'pkt_size 200' 'delay $((1000000000 / $4))' 'dst $2' 'dst_mac $3'; do
			echo \"\$o\" >/proc/net/pktgen/eth0
		done
		(echo start >/proc/net/pktgen/pgctrl; echo over >/run/pktgen) >/dev/null 2>&1 &
		until grep -q 'pkts-sofar: [1-9]' /proc/net/pktgen/eth0; do sleep 0.05; done" >/dev/null
}

# guest_pktgen_sent NAME: how many it has sent so far.
guest_pktgen_sent() { vm_exec "$1" "sed -n 's/.*pkts-sofar: \([0-9]*\).*/\1/p' /proc/net/pktgen/eth0"; }

# guest_pktgen_stop NAME: ends that, to the last packet; prints how many it sent.
guest_pktgen_stop() {
	vm_exec "$1" 'echo stop >/proc/net/pktgen/pgctrl; until [ -e /run/pktgen ]; do sleep 0.05; done' >/dev/null
	guest_pktgen_sent "$1"
}
