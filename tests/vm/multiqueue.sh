#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
# Several queue pairs: ethtool -L up and down under load loses no connection, flows spread over the
# queues, each of which has its worker.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
need iperf3 ethtool
guests_config 'queues: 4' vm1 vm2
weft_start
vm_start vm1 "$T/vm1.sock" 52:54:00:00:00:01 queues=4 smp=4
vm_start vm2 "$T/vm2.sock" 52:54:00:00:00:02 queues=4 smp=4
vm_wait vm1 vm2
for n in 1 2; do
	guest_up "vm$n" $n
	guest_serves "vm$n"
	vm_exec "vm$n" 'ethtool -L eth0 combined 4'
done
eventually 'all(.[]; .state == "up" and (.rx_queues | length) == 4)' port show

# enabled PORT N: so many of the guest's receive queues are in use.
enabled() {
	eventually "[.[0].details.queues[] | select(.direction == \"to-guest\" and .enabled)] | length == $2" port show "$1"
}

enabled vm1 4
iperf vm1 10.0.0.2 -P 16 -n 16M
used=$(ctl -j port show vm2 | jq '[.[0].details.queues[] | select(.direction == "to-guest" and .used > 0)] | length')
info "16 flows came over $used of 4 queues"
((used > 1)) || fail "all flows came over one queue"

# used_of PORT: how many buffers of each receive queue were used so far, one number a line.
used_of() { ctl -j port show "$1" | jq '.[0].details.queues[] | select(.direction == "to-guest") | .used'; }

# One flow stays on one queue. (The control connection of iperf3 is a flow of few frames.)
for _ in 1 2 3; do
	used_of vm2 >"$T/before"
	iperf vm1 10.0.0.2 -n 16M
	busy=$(paste "$T/before" <(used_of vm2) | awk '{ n = ($2 - $1 + 65536) % 65536; if (n > 100) busy++ } END { print busy + 0 }')
	[[ $busy == 1 ]] || fail "one flow was spread over $busy queues"
done

# Up and down under load. The flow must end well, the queues be as many as were asked for, and what the
# switch gave a guest be there.
wait_until 30 vm_ping vm1 10.0.0.2 56 3
declare -A TALLY DOWN
for guest in vm1 vm2; do
	TALLY[$guest]=$(guest_tally $guest)
	DOWN[$guest]=$(drops $guest port_down)
done
vm_exec vm1 '(iperf3 -J -c 10.0.0.2 -P 4 -t 12 >/run/iperf.json 2>&1; echo over >/run/over) >/dev/null 2>&1 &' >/dev/null
for n in 1 3 2 4 1 4; do
	vm_exec vm1 "ethtool -L eth0 combined $n"
	enabled vm1 $n
	vm_exec vm2 "ethtool -L eth0 combined $((5 - n))"
	enabled vm2 $((5 - n))
	# Beside TCP at full speed a ping may meet a full ring: one that gets through is enough.
	until_true 30 vm_ping vm1 10.0.0.2 56 1 || fail "no ping with $n queues"
done
wait_until 60 vm_exec vm1 'test -e /run/over'
vm_exec vm1 'cat /run/iperf.json' >"$T/iperf.json"
[[ $(iperf_result '.error // ""') == '' ]] ||
	fail "iperf3: $(iperf_result .error); its server: $(vm_exec vm2 'tail -n 3 /run/iperf3.log')"
(($(iperf_result .end.sum_received.bytes) > 1000000)) || fail "hardly anything got through"

# all_there GUEST: it has every frame that the switch gave it, once; what it sent on a queue that it was just
# turning off must go nowhere (it is to be discarded), but is counted.
all_there() {
	local tally to from down
	FOUND="$1: frames never cease"
	tally=$(guest_tally "$1") || return 1
	read -r to from <<<"$tally"
	down=$(($(drops "$1" port_down) - DOWN[$1]))
	FOUND="$1: $((to - ${TALLY[$1]% *})) more given than received, $((${TALLY[$1]#* } - from)) sent that were not taken, $down of them counted"
	((to == ${TALLY[$1]% *} && from <= ${TALLY[$1]#* } && from + down >= ${TALLY[$1]#* }))
}
for guest in vm1 vm2; do
	until_true 20 all_there $guest || fail "$FOUND"
	info "$FOUND"
done
info "$(iperf_result '.end.sum_received.bits_per_second / 1e6 | floor') Mbit/s while queues came and went"
no_drops malformed bad_address
