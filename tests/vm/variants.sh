#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 400
# Guests with every shape of header, buffer and ring that a virtio driver of Linux has: legacy and
# modern, mergeable, big and small buffers, with and without EVENT_IDX and indirect descriptors.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
need iperf3
guests_config 'mtu: 9000' peer vm
weft_start
vm_start peer "$T/peer.sock" 52:54:00:00:00:01
vm_wait peer
guest_up peer 1
guest_serves peer

NO_TSO=guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off

# variant WHAT DEVICE FEATURE|-FEATURE...: a guest of that kind; features it must (not) have.
variant() {
	local what=$1 device=$2 feature rate=()
	shift 2
	vm_start vm "$T/vm.sock" 52:54:00:00:00:02 mem=256 device="$device"
	vm_wait vm
	guest_up vm 2
	guest_serves vm
	eventually '.[0].state == "up"' port show vm
	for feature; do
		case $feature in
		-*) check ".[0].details.features | index(\"${feature#-}\") | not" port show vm ;;
		*) check ".[0].details.features | index(\"$feature\")" port show vm ;;
		esac
	done
	wait_until 30 vm_ping vm 10.0.0.1 56 1
	# The longest frame of both, and one that has to be put together of many.
	for size in 18 1472 20000; do
		vm_ping peer 10.0.0.2 $size 5 || fail "$what: loss of pings with $size bytes"
	done
	iperf vm 10.0.0.1 -n 4M
	rate+=("$(iperf_result '.end.sum_received.bits_per_second / 1e6 | floor')")
	iperf peer 10.0.0.2 -n 4M
	rate+=("$(iperf_result '.end.sum_received.bits_per_second / 1e6 | floor')")
	iperf peer fd00::2 -n 4M
	[[ $(guest_bad_checksums vm) == 0 ]] || fail "$what: wrong checksums arrived"
	no_drops malformed no_offload bad_address
	printf '%-44s %5s Mbit/s from it, %5s to it\n' "$what" "${rate[@]}"
}

# gone: turns the guest off.
gone() {
	vm_stop vm
	eventually '.[0].state == "down"' port show vm
}

variant 'modern' '' VERSION_1 MRG_RXBUF EVENT_IDX INDIRECT_DESC
gone
variant 'legacy' disable-modern=on,disable-legacy=off -VERSION_1 MRG_RXBUF
gone
variant 'legacy, header of 10 bytes' disable-modern=on,disable-legacy=off,mrg_rxbuf=off -VERSION_1 -MRG_RXBUF
gone
variant 'big buffers' mrg_rxbuf=off VERSION_1 -MRG_RXBUF GUEST_TSO4
gone
variant 'no EVENT_IDX, no indirect descriptors' event_idx=off,indirect_desc=off -EVENT_IDX -INDIRECT_DESC
gone
variant 'rings of 1024 and of 256' rx_queue_size=1024,tx_queue_size=256
gone
variant 'small buffers' "mrg_rxbuf=off,$NO_TSO" -MRG_RXBUF -GUEST_TSO4

# What fits into no buffer of a guest's is dropped and counted, and nothing comes after it.
guest_up peer 1 9000
wait_until 30 vm_ping peer 10.0.0.2 56 1
before=$(drops vm too_long)
vm_exec peer 'ping -c 5 -i 0.1 -W 1 -s 5000 10.0.0.2' >/dev/null || true
are_counted() { (($(drops vm too_long) >= before + 5)); }
until_true 10 are_counted || fail "frames that fit into no buffer were not counted as too long"
vm_ping peer 10.0.0.2 1472 5 || fail "loss after frames that did not fit"
gone
