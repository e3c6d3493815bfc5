#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 240
# Memory plugged into a guest under load: the VMM announces a new memory table while rings run.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
need iperf3
guests_config '' vm1 vm2
weft_start
vm_start vm1 "$T/vm1.sock" 52:54:00:00:00:01 -- -m slots=4,maxmem=2G
vm_start vm2 "$T/vm2.sock" 52:54:00:00:00:02
vm_wait vm1 vm2
guest_up vm1 1
guest_up vm2 2
guest_serves vm2

# regions: how many the switch has mapped of vm1.
regions() { ctl -j port show vm1 | jq '.[0].details.memory | length'; }

before=$(regions)
wait_until 30 vm_ping vm1 10.0.0.2 1000 3
TALLY=$(guest_tally vm1)
# Numbered packets into it, TCP out of it.
guest_pktgen vm2 10.0.0.1 52:54:00:00:00:01 500
vm_exec vm1 '(iperf3 -J -c 10.0.0.2 -t 10 >/run/iperf.json 2>&1; echo over >/run/over) >/dev/null 2>&1 &' >/dev/null
for n in 1 2 3; do
	vm_qmp vm1 object-add "{\"qom-type\": \"memory-backend-memfd\", \"id\": \"m$n\", \"size\": 134217728, \"share\": true}" >/dev/null
	vm_qmp vm1 device_add "{\"driver\": \"pc-dimm\", \"id\": \"d$n\", \"memdev\": \"m$n\"}" >/dev/null
	eventually ".[0].details.memory | length == $((before + n))" port show vm1
	until_true 30 vm_ping vm1 10.0.0.2 1000 1 || fail "no ping after memory was plugged in"
	# Used by the guest, frames come out of it too.
	vm_exec vm1 'for b in /sys/devices/system/memory/memory*/state; do grep -q offline $b && echo online >$b; done; true'
done
info "$(regions) regions instead of $before"
wait_until 60 vm_exec vm1 'test -e /run/over'
vm_exec vm1 'cat /run/iperf.json' >"$T/iperf.json"
[[ $(iperf_result '.error // ""') == '' ]] || fail "iperf3: $(iperf_result .error)"
(($(iperf_result .end.sum_received.bytes) > 1000000)) || fail "hardly anything got through"
# Whatever the switch gave the guest while its memory grew the guest has, once, and the other way round.
info "$(guest_pktgen_stop vm2) packets of pktgen's, $(ctl -j stats show | jq -c '.[] | select(.port == "vm1") | {rx_frames, tx_frames, drops}')"
until_true 10 tally_is vm1 "$TALLY" ||
	fail "frames were lost or doubled between switch and guest: $(guest_tally vm1), before $TALLY"

# Fill the old memory, so that socket buffers lie in the new.
vm_exec vm1 'mount -o remount,size=500m /tmp; dd if=/dev/zero of=/tmp/fill bs=1M count=300 2>/dev/null; true' 60
iperf vm1 10.0.0.2 -n 8M
vm_ping vm2 10.0.0.1 1400 5 || fail "no ping from the other side"
no_drops malformed bad_address
