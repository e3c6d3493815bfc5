#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# The switch is killed, or stopped, and started anew while guests go on without any action of
# theirs: nothing they hold is lost but what was on its way. Figures are printed, not judged.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
need iperf3
# The switch connects to vm1 and vm2; vm3 connects to it, trying once a second as QEMU does.
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
wait_until 10 vm_ping vm1 10.0.0.2
wait_until 10 vm_ping vm3 10.0.0.2

# restart kill|stop
restart() {
	local before
	if [[ $1 == kill ]]; then weft_kill; else weft_stop; fi
	before=$(now_ms)
	weft_start
	STARTED=$(($(now_ms) - before))
}

for how in kill stop; do
	ping_run vm1 10.0.0.2 300
	ping_run vm3 10.0.0.2 400
	sleep 1
	restart $how
	ping_outage vm1
	mine=$OUTAGE
	((DOUBLED <= 64)) || fail "$DOUBLED frames were doubled"
	ping_outage vm3
	info "$how: answering $STARTED ms after its start; ping between guests it connects to was out for $mine ms, from one that connects by itself $OUTAGE ms"
	wait_until 10 vm_ping vm1 10.0.0.2 1000
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
		wait_until 10 vm_ping vm1 10.0.0.2
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
