#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 600
# Checksums and segments between guests that have them and guests that do not: TCP and UDP, IPv4 and
# IPv6, MTU 1500 and 9000, every kind of sender to every kind of receiver. What both ends agreed on passes
# untouched, all else is completed, and nobody ever sees a wrong checksum or a frame that is too long.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

# The matrix. What the frames that leave the sender are like:
#   segments  checksums are only begun, and some frames are longer than the MTU
#   begun     checksums are only begun
#   complete  there is nothing left to do
# What those that arrive are like: `same`, the very bytes that left, or one of the above after weft's work.
#
# A receiver takes what its driver agreed to at its start, and Linux cannot turn that off later (for `ethtool -K`
# rx is fixed), so that there is a guest for each kind. `half` has all as a sender, and takes checksums alone.
#
#	from	ethtool -K eth0		to	leaves		arrives
MATRIX='
	half	tx on tso on gso on	full	segments	same
	full	tx on tso on gso on	half	segments	begun
	full	tx on tso on gso on	plain	segments	complete
	half	tx on tso off gso off	full	begun		same
	full	tx on tso off gso off	half	begun		same
	full	tx on tso off gso off	plain	begun		complete
	half	tx off			full	complete	same
	full	tx off			half	complete	same
	full	tx off			plain	complete	same
	plain	-			full	complete	same
	plain	-			half	complete	same
	plain	-			bare	complete	same
'
GUESTS=(full half plain bare)
declare -A NUMBER=([full]=1 [half]=2 [plain]=3 [bare]=4)
SENDS='["CSUM", "HOST_TSO4", "HOST_TSO6"]' TAKES='["GUEST_TSO4", "GUEST_TSO6"]'

weft_test
need iperf3 ethtool
guests_config 'mtu: 9000' "${GUESTS[@]}"
weft_start
NO_SEGMENTS=guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off
NOTHING=csum=off,gso=off,guest_csum=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,$NO_SEGMENTS
declare -A DEVICE=([full]='' [half]=$NO_SEGMENTS [plain]=$NOTHING [bare]=$NOTHING)
for guest in "${GUESTS[@]}"; do
	vm_start "$guest" "$T/$guest.sock" "52:54:00:00:00:0${NUMBER[$guest]}" mem=256 device="${DEVICE[$guest]}"
done
vm_wait "${GUESTS[@]}"
eventually 'all(.[]; .state == "up")' port show
check ".[0].details.features | $SENDS + $TAKES + [\"GUEST_CSUM\"] - . == []" port show full
check ".[0].details.features | $SENDS + [\"GUEST_CSUM\"] - . == [] and . - $TAKES == ." port show half
for guest in plain bare; do
	check ".[0].details.features | . - $SENDS - $TAKES - [\"GUEST_CSUM\"] == ." port show "$guest"
done
for guest in "${GUESTS[@]}"; do
	vm_exec "$guest" 'ethtool -k eth0' | finds '^rx-checksumming: on \[fixed\]' || fail "$guest can turn off rx: a kind of receiver is missing"
	guest_serves "$guest"
	# A run that meets the server between two tests comes again.
	vm_exec "$guest" "cat >/run/all <<'SH'
run() {
	for i in 1 2 3 4 5; do
		iperf3 --connect-timeout 5000 \"\$@\" >/run/out 2>&1 && return
		grep -qE '$IPERF_BUSY' /run/out || break
		sleep 0.2
	done
	cat /run/out
	exit 1
}
for address in 10.0.0.\$1 fd00::\$1; do
	until ping -c 1 -W 1 \$address >/dev/null; do :; done
	run -c \$address -n 512K
	run -c \$address -u -b 20M -n 64K -l \$((\$2 - 48))
done
SH
"
done

# watch FILE PORT DIRECTION FROM: notes what the guest FROM says, as it goes through that port; pid in WATCH.
watch() {
	rm -f "$1"
	spawn "$1.log" "$WEFTCTL" -s "$SOCKET" capture "$2" --dir "$3" -w "$1" \
		"ether src 52:54:00:00:00:0${NUMBER[$4]} and (tcp or udp)"
	WATCH=$PID
	until_true 20 test -s "$1" || fail "no capture: $(<"$1.log")"
}

# watched FILE PID: the capture is complete.
watched() {
	kill -INT "$2"
	wait "$2" || fail "the capture: $(<"$1.log")"
	grep -q ' 0 lost' "$1.log" || fail "the capture: $(<"$1.log")"
}

# are LEFT|ARRIVED KIND: the frames' lengths and checksums.
are() {
	local long='<='
	[[ $2 != segments ]] || long='>'
	jq -e ".$1 | .frames == .${2/segments/begun} and .longest $long $((MTU + 14)) and .tcp4 > 0 and .tcp6 > 0 and .udp4 > 0 and .udp6 > 0" \
		"$T/frames" >/dev/null || fail "$WHAT: what ${1} is not $2: $(<"$T/frames")"
}

# cell FROM ETHTOOL TO LEAVES ARRIVES: one line of the matrix.
cell() {
	local from=$1 to=$3 leaves=$4 arrives=$5 left
	WHAT="MTU $MTU, $from ($2) to $to"
	[[ $2 == - ]] || vm_exec "$from" "ethtool -K eth0 $2" >/dev/null
	watch "$T/left" "$from" rx "$from"
	left=$WATCH
	watch "$T/arrived" "$to" tx "$from"
	vm_exec "$from" "sh /run/all ${NUMBER[$to]} $MTU" 60 >"$T/said" || fail "$WHAT: $(<"$T/said")"
	watched "$T/left" "$left"
	watched "$T/arrived" "$WATCH"
	"$WEFT_ROOT/tests/lib/offload_frames.py" "$T/left" "$T/arrived" >"$T/frames"
	printf '%-46s %-9s %-9s %s\n' "$WHAT" "$leaves" "$arrives" \
		"$(jq -r '[.left, .arrived] | map("\(.frames) up to \(.longest)") | join(", then ")' "$T/frames")"
	are left "$leaves"
	if [[ $arrives == same ]]; then
		are arrived "$leaves"
		jq -e .same "$T/frames" >/dev/null || fail "$WHAT: what arrived is not what left: $(<"$T/frames")"
	else
		are arrived "$arrives"
	fi
}

for MTU in 1500 9000; do
	for guest in "${GUESTS[@]}"; do
		guest_up "$guest" "${NUMBER[$guest]}" "$MTU"
	done
	while IFS=$'\t' read -r from options to leaves arrives; do
		cell "$from" "$options" "$to" "$leaves" "$arrives"
	done < <(tr -s '\t' <<<"$MATRIX" | sed -n 's/^\t//p')
done

for guest in "${GUESTS[@]}"; do
	bad=$(guest_bad_checksums "$guest")
	[[ $bad == 0 ]] || fail "$guest refused $bad packets for their checksums"
done
no_drops malformed no_offload bad_address too_long
