#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# weftctl capture: what tcpdump reads, filters, directions, counts; and who may have it when.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need tcpdump ping
weft_test capture
host a 10.99.0.1/24 02:00:00:00:00:0a
host b 10.99.0.2/24 02:00:00:00:00:0b
config <<YAML
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b}
YAML
weft_start
wait_until 15 ping_ok a 10.99.0.2 56 3
spawn "$T/ping.log" ip netns exec "$(ns a)" ping -n -q -i 0.02 10.99.0.2
PING_PID=$PID

# frames FILE [FILTER]: how many tcpdump finds in it.
frames() { tcpdump -nr "$@" 2>/dev/null | wc -l; }

info "a file for tcpdump, both directions"
timeout 20 "$WEFTCTL" -s "$SOCKET" capture a -w "$T/both.pcap" -c 20 2>"$T/said"
grep -q '^20 frames captured, 0 lost' "$T/said" || fail "said: $(<"$T/said")"
[[ $(frames "$T/both.pcap") == 20 ]] || fail "tcpdump finds $(frames "$T/both.pcap") frames"
(($(frames "$T/both.pcap" 'icmp[0] == 8') > 5 && $(frames "$T/both.pcap" 'icmp[0] == 0') > 5)) || fail "not both directions"
first=$(tcpdump -ttnr "$T/both.pcap" 2>/dev/null | sed -n 1p | cut -d. -f1)
((first >= EPOCHSECONDS - 30 && first <= EPOCHSECONDS)) || fail "the time stamp $first"

info "one direction, a filter, nanoseconds, standard output"
timeout 20 "$WEFTCTL" -s "$SOCKET" capture a --dir rx -w - -c 10 icmp 2>/dev/null | frames - 'icmp[0] == 8' | finds -x 10 || fail "--dir rx"
timeout 20 "$WEFTCTL" -s "$SOCKET" capture a --dir tx -w - -c 10 icmp 2>/dev/null | frames - 'icmp[0] == 0' | finds -x 10 || fail "--dir tx"
timeout 20 "$WEFTCTL" -s "$SOCKET" capture a -w "$T/f.pcap" -c 5 'icmp[0] == 0 and host 10.99.0.1' 2>/dev/null
[[ $(frames "$T/f.pcap" 'icmp[0] == 0') == 5 ]] || fail "the filter"
timeout 20 "$WEFTCTL" -s "$SOCKET" capture a --nano --snaplen 64 -w "$T/n.pcap" -c 5 icmp 2>/dev/null
[[ $(od -An -tx4 -N4 "$T/n.pcap" | tr -d ' ') == a1b23c4d ]] || fail "no nanoseconds"
[[ $(od -An -tu4 -j 32 -N8 "$T/n.pcap" | xargs) == '64 98' ]] || fail "lengths: $(od -An -tu4 -j 32 -N8 "$T/n.pcap")"
expect "$(timeout 20 "$WEFTCTL" -s "$SOCKET" capture a -c 2 icmp 2>/dev/null)" '10.99.0.1 > 10.99.0.2 ICMP echo request' "as text"
timeout 20 "$WEFTCTL" -s "$SOCKET" -j capture a -c 2 icmp 2>/dev/null | jq -se 'length == 2 and all(.len == 98 and .time_ns > 0)' >/dev/null || fail "as JSON"

info "refusals"
ctl_refuses "filter 'icmp andd'" capture a icmp andd
ctl_refuses "did you mean 'a'|unknown port" capture aa -c 1
ctl_refuses 'one of rx, tx, both' capture a --dir up
ctl_refuses 'see pcap-filter' capture a icmp andd
ctl_refuses 'No such file' capture a -w "$T/none/x.pcap"
ctl_refuses '14 to 65535, not .4294967310' capture a --snaplen 4294967310
ctl_refuses 'a number is expected, not .18446744073709551616' capture a -c 18446744073709551616
cp "$T/f.pcap" "$T/kept.pcap"
ctl_refuses "unknown port 'aa'" capture aa -w "$T/kept.pcap"
cmp "$T/f.pcap" "$T/kept.pcap" || fail "a mistake cost a file"

info "a long filter counts to its end"
mapfile -t hosts < <(seq -f 'or host 10.98.0.%g' 1 200)
# shellcheck disable=SC2068
ctl_refuses 'pcap-filter' capture a host 10.99.0.9 ${hosts[@]} andd
# shellcheck disable=SC2068
timeout 20 "$WEFTCTL" -s "$SOCKET" capture a -w "$T/f.pcap" -c 2 host 10.98.0.250 ${hosts[@]} or 'icmp[0]' == 0 2>/dev/null
[[ $(frames "$T/f.pcap" 'icmp[0] == 0') == 2 ]] || fail "the end of the filter"
spawn "$T/first" "$WEFTCTL" -s "$SOCKET" capture a -w "$T/long.pcap"
first=$PID
wait_until 10 test -s "$T/long.pcap"
ctl_refuses 'capture' capture a -c 1
info "a full disk ends it, and is said; a reader who has had enough is no failure"
status=0
timeout 20 "$WEFTCTL" -s "$SOCKET" capture b -w /dev/full 2>"$T/full" || status=$?
[[ $status == 1 ]] || fail "status $status, and $(<"$T/full")"
grep -q '/dev/full: No space left on device: what was captured is not all there' "$T/full" || fail "said: $(<"$T/full")"
status=0
timeout 20 "$WEFTCTL" -s "$SOCKET" capture b -w - 2>"$T/enough" > >(dd bs=100 count=1 of=/dev/null 2>/dev/null) || status=$?
[[ $status == 0 ]] || fail "status $status, and $(<"$T/enough")"

info "Ctrl-C ends it with a whole file, and the port is free again"
kill -INT "$first"
wait_until 10 grep -q 'frames captured' "$T/first"
(($(frames "$T/long.pcap") > 0)) || fail "the file is broken"
timeout 20 "$WEFTCTL" -s "$SOCKET" capture a -c 1 >/dev/null 2>&1 || fail "the port is not free"

info "what it is too slow for is lost from it, and each frame counted; the traffic is not touched"
kill "$PING_PID"
wait_until 10 eval '! is_running "$PING_PID"'
before=$(ctl -j stats show b | jq '.[0].tx_frames')
spawn "$T/slow" "$WEFTCTL" -s "$SOCKET" capture b --dir tx -w "$T/slow.pcap" icmp
slow=$PID
wait_until 10 test -s "$T/slow.pcap"
kill -STOP "$slow"
in_ns a ping -n -q -i 0.001 -c 5000 -s 1400 -W 5 10.99.0.2 >"$T/flood" || true
grep -q ' 0% packet loss' "$T/flood" || fail "the traffic lost frames: $(<"$T/flood")"
kill -CONT "$slow"
kill -INT "$slow"
wait_until 20 grep -q 'frames captured' "$T/slow"
read -r captured _ _ lost _ <"$T/slow"
((captured + lost >= 5000 && lost > 0 && captured > 0)) || fail "5000 frames, but $(<"$T/slow")"
(($(ctl -j stats show b | jq '.[0].tx_frames') - before >= captured + lost - 5)) || fail "more counted than there were: $(<"$T/slow")"
[[ $(frames "$T/slow.pcap") == "$captured" ]] || fail "the file has not the $captured frames"
check '.[0].dropped == 0' stats show b
ctl port show b | finds -E 'sent +[0-9]+ frames, [0-9]+ bytes \([0-9.]+M\), ' || fail "megabytes that nobody can read: $(ctl port show b)"

info "so does one that is replaced: what is captured of it then is another capture"
spawn "$T/ping.log" ip netns exec "$(ns a)" ping -n -q -i 0.02 10.99.0.2
spawn "$T/third" "$WEFTCTL" -s "$SOCKET" capture b -w "$T/c.pcap"
wait_until 10 test -s "$T/c.pcap"
ctl port set b busy-poll 64
wait_until 10 grep -q 'the port was removed or replaced' "$T/third"
wait_until 10 grep -q 'frames captured' "$T/third"
timeout 20 "$WEFTCTL" -s "$SOCKET" capture b -c 1 >/dev/null 2>&1 || fail "the port cannot be captured again"

info "a port that is removed ends its capture"
spawn "$T/second" "$WEFTCTL" -s "$SOCKET" capture b -w "$T/b.pcap"
wait_until 10 test -s "$T/b.pcap"
ctl port del b
wait_until 10 grep -q 'the port was removed or replaced' "$T/second"
