#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 400
# The switch is killed, or stopped, and started anew while guests go on without any action of
# theirs: nothing they hold is lost but what was on its way. Figures are printed, not judged; for good ones
# nothing else should run, and ROUNDS=10 in the environment makes more of them.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
need iperf3
need_fd_store
ROUNDS=${ROUNDS:-3}
# The switch connects to vm1 and vm2; vm3 connects to it, trying once a second as QEMU does unless its connection is kept.
config <<'YAML'
ports:
  - {name: vm1, type: vhost-user, socket: "@T@/vm1.sock", mode: client}
  - {name: vm2, type: vhost-user, socket: "@T@/vm2.sock", mode: client}
  - {name: vm3, type: vhost-user, socket: "@T@/vm3.sock", mode: server}
YAML
weft_start
vm_start vm1 "$T/vm1.sock" 52:54:00:00:00:01 mode=server
vm_start vm2 "$T/vm2.sock" 52:54:00:00:00:02 mode=server
vm_start vm3 "$T/vm3.sock" 52:54:00:00:00:03 mem=256
vm_wait vm1 vm2 vm3
for n in 1 2 3; do
	guest_up "vm$n" $n
	# A link that was down costs a guest its ARP entries, and an ARP request that is lost a second.
	# That is its own affair, and would hide what is measured here.
	vm_exec "vm$n" 'for i in all eth0; do echo 0 >/proc/sys/net/ipv4/conf/$i/arp_evict_nocarrier; done'
done
guest_serves vm2
wait_until 30 vm_ping vm1 10.0.0.2
wait_until 30 vm_ping vm3 10.0.0.2

# said_at WORDS: when weftd logged a line with them first, in milliseconds; nothing if it has not.
said_at() {
	local line
	line=$(grep -m 1 "$1" "$T/weftd.log") || return 0
	date -d "${line:0:23}" +%s%3N
}
has_said() { [[ $(said_at "$1") ]]; }

# weft_end: as weft_stop, but not a moment longer than it takes.
weft_end() {
	local pid=$WEFTD_PID
	WEFTD_PID=
	kill -TERM "$pid"
	wait "$pid" || fail "weftd ended with status $?"
}

# restart kill|stop: in TOOK how long there was no weftd, then, counted from the new one's start, when it
# was ready, when both guests that it connects to were there, and when the one that connects to it was.
restart() {
	local from started at=() words=(serves 'vm1: link up' 'vm2: link up' 'vm3: link up') i
	from=$(now_ms)
	if [[ $1 == kill ]]; then weft_kill; else weft_end; fi
	started=$(now_ms)
	weft_start
	for i in 0 1 2 3; do
		wait_until 20 has_said "${words[i]}"
		at[i]=$(($(said_at "${words[i]}") - started))
	done
	TOOK=($((started - from)) "${at[0]}" $((at[1] > at[2] ? at[1] : at[2])) "${at[3]}")
}

# median NUMBER...: and the least and the most of them.
median() { printf '%s\n' "$@" | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] " (" a[1] "-" a[NR] ")" }'; }

# measure kill|stop [NOTE]: some rounds of it, under pings; a line of the table.
measure() {
	local figures=() columns=() column round
	for ((round = 0; round < ROUNDS; round++)); do
		ping_run vm1 10.0.0.2 200
		ping_run vm3 10.0.0.2 300
		sleep 0.7
		restart "$1"
		ping_outage vm1
		TOOK+=("$OUTAGE")
		((DOUBLED <= 64)) || fail "$DOUBLED frames were doubled"
		ping_outage vm3
		TOOK+=("$OUTAGE")
		for column in "${!TOOK[@]}"; do figures[column]+=" ${TOOK[column]}"; done
		wait_until 30 vm_ping vm1 10.0.0.2 1000
	done
	# shellcheck disable=SC2086
	for column in "${!figures[@]}"; do columns+=("$(median ${figures[column]})"); done
	# shellcheck disable=SC2059
	printf "$TABLE" "$*" "${columns[@]}"
}

TABLE='%-11s %-15s %-15s %-15s %-15s %-15s %-15s\n'
echo "Milliseconds, medians of $ROUNDS (least-most); the middle three from the start of the new weftd on."
# shellcheck disable=SC2059
printf "$TABLE" '' 'no weftd' 'ready' 'pair is up' 'other is up' 'ping in pair' 'ping of other'
for how in kill stop; do measure $how; done

# The same where a service manager keeps descriptors, played by a script that costs the start some 60 ms: vm3's connection
# never closes any more.
mkdir "$T/m"
spawn "$T/manager.log" "${FD_STORE[@]}" keep "$T/m"
wait_until 10 test -S "$T/m/control"
WEFTD_WRAPPER=("${FD_STORE[@]}" run "$T/m")
weft_end
weft_start
eventually '.[0].state == "up" and .[0].details.kept' port show vm3
wait_until 10 vm_ping vm3 10.0.0.2
for how in kill stop; do
	measure $how kept
	check '.[0].details | .kept and .connections == 1' port show vm3
	grep -q "vm3: went on with the connection" "$T/weftd.log" || fail "vm3 has connected anew"
done

# Counted by sequence numbers: what a guest sends while there is no switch waits in its ring.
# count kill|stop: one run; false if iperf3 itself gave up, as it does when it gets no time to run.
count() {
	vm_exec vm1 '(iperf3 -J -c 10.0.0.2 -u -b 20M -l 1000 -t 6 >/run/iperf.json 2>&1; echo over >>/run/over) >/dev/null 2>&1 &' >/dev/null
	sleep 2.5
	restart "$1"
	wait_until 60 vm_exec vm1 'test -e /run/over'
	vm_exec vm1 'cat /run/iperf.json; rm /run/over' >"$T/iperf.json"
	[[ $(iperf_result '.error // ""') == '' ]] || {
		info "iperf3: $(iperf_result .error); its server: $(vm_exec vm2 'tail -n 3 /run/iperf3.log')"
		wait_until 30 vm_ping vm1 10.0.0.2
		return 1
	}
}

for how in kill stop; do
	count $how || count $how || fail "iperf3: $(iperf_result .error)"
	lost=$(iperf_result .end.sum.lost_packets) late=$(iperf_result '.end.streams[0].udp.out_of_order')
	info "$how: of $(iperf_result .end.sum.packets) numbered packets $lost were lost, $late came twice or late"
	((late <= 64)) || fail "$late packets were doubled or late: more than one burst"
done
no_drops malformed bad_address
