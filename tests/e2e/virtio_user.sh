#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# DPDK's virtio driver on two vhost-user ports, weft as server and as client of the sockets, with
# and without mergeable buffers: frames go round for ever, so a single loss would show.
. "$(dirname "$0")/../lib/weft.sh"
. "$(dirname "$0")/../lib/dpdk.sh"
weft_test

MAC1=02:00:00:00:00:01
MAC2=02:00:00:00:00:02

# round MODE DEVICE-OPTIONS [QUEUES] [FEATURE|-FEATURE...]: 32 frames circle between the two ports, each port
# sending to the other; features that the driver must (not) have agreed to.
round() {
	local feature port
	config <<-YAML
		ports:
		  - {name: one, type: vhost-user, socket: $T/one.sock, mode: $1, queues: ${3:-1}}
		  - {name: two, type: vhost-user, socket: $T/two.sock, mode: $1, queues: ${3:-1}}
	YAML
	weft_start
	testpmd "guest-$1-$2" "path=$T/one.sock,mac=$MAC1,$2 path=$T/two.sock,mac=$MAC2,$2" \
		--rxq="${3:-1}" --txq="${3:-1}" --forward-mode=mac --tx-first --eth-peer=0,$MAC2 --eth-peer=1,$MAC1
	eventually 'length == 2 and all(.[]; .state == "up")' port show
	for port in one two; do
		for feature in "${@:4}"; do
			case $feature in
			-*) check ".[0].details.features | index(\"${feature#-}\") | not" port show $port ;;
			*) check ".[0].details.features | index(\"$feature\")" port show $port ;;
			esac
		done
	done
	wait_until 30 testpmd_has_received "guest-$1-$2" 0 1000
	wait_until 30 testpmd_has_received "guest-$1-$2" 1 1000
	check "[.[] | select(.mac == \"$MAC1\") | .port] == [\"one\"]" fdb show
	check "[.[] | select(.mac == \"$MAC2\") | .port] == [\"two\"]" fdb show
	check "$(stat_of one rx_frames) >= 1000 and $(stat_of two tx_frames) >= 1000" stats show
	check "$(drops_of one) == 0 and $(drops_of two) == 0" stats show
	# A guest that goes away takes its link with it, and nothing else.
	stop_pid "$TESTPMD_PID"
	eventually 'all(.[]; .state == "down")' port show
	weft_stop
}

round server mrg_rxbuf=1,queue_size=256 1 MRG_RXBUF IN_ORDER
round server mrg_rxbuf=0,queue_size=1024 1 -MRG_RXBUF IN_ORDER
round server mrg_rxbuf=0,in_order=0,queue_size=128 1 -MRG_RXBUF -IN_ORDER
round server mrg_rxbuf=1,in_order=0,queues=2,queue_size=256 2 MRG_RXBUF -IN_ORDER MQ
round client server=1,mrg_rxbuf=1,queue_size=256 1 MRG_RXBUF IN_ORDER
round client server=1,mrg_rxbuf=1,in_order=0,queues=2,queue_size=256 2 MRG_RXBUF -IN_ORDER MQ
