#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 600
# Checksums and segments between guests that have them and guests that do not: TCP and UDP, IPv4 and
# IPv6, MTU 1500 and 9000. Large segments pass whole where both ends agreed; nobody ever sees a wrong
# checksum or a frame that is too long.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
need iperf3 ethtool
guests_config 'mtu: 9000' full other plain
weft_start

# Two with all that QEMU offers, one that can do nothing by itself.
NOTHING=csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off
vm_start full "$T/full.sock" 52:54:00:00:00:01
vm_start other "$T/other.sock" 52:54:00:00:00:02
vm_start plain "$T/plain.sock" 52:54:00:00:00:03 device=$NOTHING
vm_wait full other plain
eventually 'all(.[]; .state == "up")' port show

declare -A NUMBER=([full]=1 [other]=2 [plain]=3)

# mean_length COMMAND...: the mean length of the frames that guest TO received meanwhile, in MEAN.
mean_length() {
	local frames bytes
	frames=$(guest_counter "$TO" rx_packets) bytes=$(guest_counter "$TO" rx_bytes)
	"$@"
	frames=$(($(guest_counter "$TO" rx_packets) - frames))
	bytes=$(($(guest_counter "$TO" rx_bytes) - bytes))
	((frames > 0)) || fail "$TO received nothing"
	MEAN=$((bytes / frames))
}

# run WHAT FROM TO WHOLE: all protocols; WHOLE says whether large segments must arrive whole.
run() {
	local what=$1 from=$2 whole=$4 family address mbit
	TO=$3
	for family in 4 6; do
		address=10.0.0.${NUMBER[$TO]}
		((family == 4)) || address=fd00::${NUMBER[$TO]}
		wait_until 20 vm_ping "$from" "$address" 56 1
		mean_length iperf "$from" "$address" -"$family" -n 6M
		mbit=$(iperf_result '.end.sum_received.bits_per_second / 1e6 | floor')
		(($(iperf_result .end.sum_received.bytes) > 0)) || fail "$what: nothing received"
		printf '%-34s MTU %s IPv%s TCP: %6s Mbit/s, frames of %s bytes on average\n' "$what" "$MTU" "$family" "$mbit" "$MEAN"
		if [[ $whole == whole ]]; then
			((MEAN > MTU + 14)) || fail "$what: large segments did not pass whole"
		else
			((MEAN <= MTU + 14)) || fail "$what: frames longer than the MTU arrived"
		fi
		iperf "$from" "$address" -"$family" -u -b 20M -n 1M -l $((MTU - 48))
		(($(iperf_result .end.sum.lost_packets) < $(iperf_result .end.sum.packets))) ||
			fail "$what: no UDP packet arrived"
		printf '%-34s MTU %s IPv%s UDP: %s of %s lost\n' "$what" "$MTU" "$family" \
			"$(iperf_result .end.sum.lost_packets)" "$(iperf_result .end.sum.packets)"
	done
}

for guest in full other plain; do
	guest_serves "$guest"
done
for MTU in 1500 9000; do
	for guest in full other plain; do
		guest_up "$guest" "${NUMBER[$guest]}" "$MTU"
	done
	vm_exec full 'ethtool -K eth0 tx on tso on gso on' >/dev/null
	run 'all to all, untouched' full other whole
	run 'segments cut, checksums completed' full plain cut
	run 'from one without' plain full cut
	vm_exec full 'ethtool -K eth0 tso off gso off'
	run 'no segments, checksums completed' full plain cut
	run 'no segments, checksums passed on' full other cut
	vm_exec full 'ethtool -K eth0 tx off'
	run 'nothing left to do' full plain cut
done

for guest in full other plain; do
	bad=$(guest_bad_checksums "$guest")
	[[ $bad == 0 ]] || fail "$guest refused $bad packets for their checksums"
done
no_drops malformed no_offload bad_address too_long
