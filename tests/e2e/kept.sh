#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# Guests on server sockets under a service manager that keeps descriptors: the switch is killed, or stopped,
# and started anew, and the connection of a guest that sends and receives never closes. What cannot be gone
# on with is closed, with a reason, and nothing of it stays.
. "$(dirname "$0")/../lib/weft.sh"
weft_test
need_fd_store

BURST=64
mkdir "$T/m"
store() { "${FD_STORE[@]}" "$1" "$T/m" "${@:2}"; }
spawn "$T/manager.log" "${FD_STORE[@]}" keep "$T/m"
wait_until 10 test -S "$T/m/control"
WEFTD_WRAPPER=("${FD_STORE[@]}" run "$T/m")
is_empty() { [[ -z $(store list) ]]; }
says() { grep -q "$1" "$T/weftd.log"; }

# switch [KEY: VALUE]: what weftd is to be started with, with one key more for the first port.
switch() {
	config <<YAML
ports:
  - {name: one, type: vhost-user, socket: @T@/g1.sock${1:+, $1}}
  - {name: two, type: vhost-user, socket: @T@/g2.sock}
YAML
}

# guests RATE: two of them, which hear each other and are kept.
guests() {
	switch
	weft_start
	spawn "$T/guests" "$WEFT_BUILD/tests/lib/two_guests" client "$T/g1.sock" "$T/g2.sock" "$1"
	GUESTS=$PID
	wait_until 10 grep -q ready "$T/guests"
	eventually '.[0].details.kept' port show one
	eventually '.[0].details.kept' port show two
}

# guests_end CONNECTIONS: they must have made so many each. RESULT is what they counted.
guests_end() {
	stop_pid "$GUESTS"
	[[ $STATUS == 0 ]] || fail "the guests ended with status $STATUS: $(<"$T/guests")"
	RESULT=$(tail -n 1 "$T/guests")
	jq -e "map(.connections) == $1" <<<"$RESULT" >/dev/null || fail "connections: not $1 but $RESULT"
	wait_until 10 is_empty
}

# over kill|stop: frames go on in both directions.
over() {
	if [[ $1 == kill ]]; then weft_kill; else weft_stop; fi
	weft_start
	eventually 'map(select(.state == "up")) | length == 2' port show
	eventually 'all(.[]; .tx_frames > 100)' stats show
	check '.[0].details | .kept and .connections == 1' port show one
}

# survive MOST HOW...: in all that no guest connects anew, and no more than MOST frames are lost, doubled or late.
survive() {
	local most=$1 how
	shift
	guests 20000
	for how; do over "$how"; done
	guests_end '[1, 1]'
	jq -r '"'"$*"': longest silence \(map(.gap_us) | max / 1000 | floor) ms; lost \(map(.lost)), doubled \(map(.doubled)), late \(map(.late)) of \(map(.sent))"' <<<"$RESULT"
	weft_stop
	jq -e "all(.[]; .sent > 300 and .lost + .doubled + .late <= $most)" <<<"$RESULT" >/dev/null
}

info "killed and stopped under traffic: nobody connects anew"
# Where the machine is so busy that a guest gets no time for a tenth of a second, nobody can wait for it.
survive 0 stop stop || survive 0 stop stop || survive 0 stop stop || fail "frames were lost, doubled or late"
many=$((2 * BURST))
survive $many kill kill stop || survive $many kill kill stop || survive $many kill kill stop ||
	fail "more than a burst was lost, doubled or late"

# Places in a record, see dataplane/port/vhost_record.h.
BUSY=16 FEATURES=152 CONNECTION=184 MEMORY=448
lose() { [[ $(store lose "fd.$(store peek g1.sock "$1")") == 1 ]] || fail "there was nothing to lose"; }

# refused WORDS COMMAND...: the switch is killed and COMMAND runs: the first guest must connect anew, for this reason.
refused() {
	guests 2000
	weft_kill
	"${@:2}"
	weft_start
	wait_until 10 says "one: the VMM .* was disconnected and may connect anew: $1"
	! says 'two: the VMM .* was disconnected' || fail "the other guest was disconnected"
	! says 'fits no port' || fail "a session is said to be nobody's"
}
again() {
	eventually 'map(select(.state == "up")) | length == 2' port show
	guests_end '[2, 1]'
	weft_stop
}
info "killed in the middle of a message; a damaged record; what is not there: that guest connects anew, the other does not"
refused 'weftd ended in the middle of a message' store poke g1.sock $BUSY 1
again
refused 'its record is damaged' store poke g1.sock $FEATURES 77
again
refused 'a descriptor was not kept' lose $MEMORY
again
refused 'a descriptor was not kept' lose $CONNECTION
# Nobody has that connection now but the guest, which is not told: it was lost with the descriptor.
stop_pid "$GUESTS"
wait_until 10 is_empty
weft_stop

info "a configuration that the guest does not fit any more"
refused 'SET_FEATURES that it had sent does not fit any more' switch 'features: {off: [event_idx]}'
stop_pid "$GUESTS"
wait_until 10 is_empty
weft_stop

info "a guest that leaves while there is no switch, and one whose port is gone"
guests 2000
weft_kill
stop_pid "$GUESTS"
config <<'YAML'
ports:
  - {name: one, type: vhost-user, socket: @T@/g1.sock}
YAML
weft_start
wait_until 10 says 'one: the VMM .* may connect anew: the VMM has left'
wait_until 10 says "a guest's session that the last weftd left fits no port: closed"
wait_until 10 is_empty
weft_stop

info "a port that is removed lets its guest go at once"
guests 2000
ctl port del one
eventually 'length == 1' port show
switch
ctl config reload
eventually 'map(select(.state == "up")) | length == 2' port show
guests_end '[2, 1]'
weft_stop

info "without such a service manager nothing is kept, and guests see the switch end"
WEFTD_WRAPPER=()
switch
weft_start
spawn "$T/guests" "$WEFT_BUILD/tests/lib/two_guests" client "$T/g1.sock" "$T/g2.sock" 2000
GUESTS=$PID
wait_until 10 grep -q ready "$T/guests"
check '.[0].details.kept == false' port show one
weft_kill
weft_start
eventually 'map(select(.state == "up")) | length == 2' port show
guests_end '[2, 2]'
