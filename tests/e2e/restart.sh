#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 180
# The switch is killed, or stopped, and started anew under guests that send each other numbered frames
# and go on by themselves: at most one burst is lost or doubled in each direction. Both modes of the
# socket. How long it took is printed, not judged.
. "$(dirname "$0")/../lib/weft.sh"
weft_test

# What shortens the start takes the place of functions of libc's, if it is seen by DPDK (control/eal.c).
for name in dlopen nanosleep; do
	nm -D --defined-only "$WEFTD" | finds " T $name\$" || fail "weftd does not come before libc's $name"
done

TWO_GUESTS=$WEFT_BUILD/tests/lib/two_guests
BURST=64

# one_restart MODE kill|stop RATE: MODE is the guests' side of the socket.
one_restart() {
	local mode=$1 how=$2 ours=client guests result started
	[[ $mode == server ]] || ours=server
	rm -f "$T"/g?.sock
	# A third port whose guest is turned off must keep nobody waiting for long.
	config <<YAML
ports:
  - {name: one, type: vhost-user, socket: @T@/g1.sock, mode: $ours}
  - {name: off, type: vhost-user, socket: @T@/g3.sock, mode: server}
  - {name: two, type: vhost-user, socket: @T@/g2.sock, mode: $ours}
YAML
	weft_start
	spawn "$T/guests" "$TWO_GUESTS" "$mode" "$T/g1.sock" "$T/g2.sock" "$3"
	guests=$PID
	wait_until 10 grep -q ready "$T/guests"
	sleep 0.3
	if [[ $how == kill ]]; then weft_kill; else weft_stop; fi
	started=${EPOCHREALTIME/./}
	weft_start
	eventually 'map(select(.state == "up")) | length == 2' port show
	sleep 0.3
	stop_pid "$guests"
	[[ $STATUS == 0 ]] || fail "the guests ended with status $STATUS: $(<"$T/guests")"
	result=$(tail -n 1 "$T/guests")
	jq -r --argjson t "$started" '"'"$mode, $how, $3 a second"': back \(map(.back_us - $t) | max / 1000 | floor) ms after the start; lost \(map(.lost)), doubled \(map(.doubled)), late \(map(.late)) of \(map(.sent))"' <<<"$result"
	jq -e 'all(.[]; .connections == 2)' <<<"$result" >/dev/null || fail "the guests did not connect once more: $result"
	! grep -q 'dpdk/pmds' "/proc/$WEFTD_PID/maps" || fail "weftd has loaded drivers, which takes longer than all else at its start"
	weft_stop
	jq -e "all(.[]; .sent > 300 and .lost + .doubled + .late <= $BURST)" <<<"$result" >/dev/null
}

for mode in server client; do
	for how in kill stop; do
		# Few frames, and so many that the ring from the guest is full when the switch is back.
		for rate in 2000 20000; do
			# Where the machine is so busy that a guest cannot come back for a tenth of a second,
			# nobody can wait for it.
			one_restart $mode $how $rate || one_restart $mode $how $rate || one_restart $mode $how $rate ||
				fail "more than a burst was lost, doubled or late"
		done
	done
done
