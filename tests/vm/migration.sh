#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# A guest moves, live and under load, from one switch to another on the same network: its memory is
# whole afterwards, and the network knows at once where it is.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
need iperf3 tcpdump

# The network: a bridge, with a host on it and an uplink of each switch.
ip -n "$(ns sw)" link add name br type bridge forward_delay 0
ip -n "$(ns sw)" link set dev br up
host h 10.0.0.9/24 02:00:00:00:00:09
ip -n "$(ns sw)" link set dev h master br
for side in a b; do
	ip -n "$(ns sw)" link add name "up$side" type veth peer name "br$side"
	in_ns sw ethtool -K "br$side" tx off >/dev/null
	ip -n "$(ns sw)" link set dev "br$side" master br up
	ip -n "$(ns sw)" link set dev "up$side" up
	cat >"$T/$side.yaml" <<YAML
ports:
  - {name: uplink, type: af-xdp, device: up$side}
  - {name: vm, type: vhost-user, socket: $T/vm-$side.sock, mode: server}
YAML
done

# switch_on SIDE: a switch there; the library's functions then are about this one.
switch_on() {
	cp "$T/$1.yaml" "$T/weft.yaml"
	SOCKET=$T/$1.api
	weft_start
	mv "$T/weftd.log" "$T/weftd-$1.log"
}
switch_on a
A_PID=$WEFTD_PID
switch_on b
: >"$T/weftd.log"

vm_start old "$T/vm-a.sock" 52:54:00:00:00:01
vm_wait old
guest_up old 1
wait_until 20 ping_ok h 10.0.0.1 56 2

# In memory that the guest's kernel does not touch: what the migration must carry over.
vm_exec old 'dd if=/dev/urandom of=/tmp/blob bs=1M count=64 2>/dev/null; sha256sum /tmp/blob >/tmp/sum' 60
# Load that dirties receive buffers until the end: TCP into the guest, and it writes what it gets.
guest_serves old
spawn "$T/iperf.json" ip netns exec "$(ns h)" iperf3 -J -c 10.0.0.1 -t 600 -b 50M

# And numbered packets out of it.
spawn "$T/watch" ip netns exec "$(ns h)" "$WEFT_ROOT/tests/lib/pktgen_watch.py" eth0
WATCH=$PID
wait_until 10 grep -q ready "$T/watch"
guest_pktgen old 10.0.0.9 02:00:00:00:00:09 1000

vm_start new "$T/vm-b.sock" 52:54:00:00:00:01 -- -S -incoming "unix:$T/migrate.sock"
wait_until 20 test -S "$T/migrate.sock"
spawn "$T/capture" ip netns exec "$(ns h)" tcpdump -n -l -e -i eth0 'ether src 52:54:00:00:00:01 and not ip'
spawn "$T/ping" ip netns exec "$(ns h)" ping -n -D -i 0.01 -W 1 10.0.0.1
PING=$PID
# so_many N: that many replies have come.
so_many() { (($(grep -c icmp_seq "$T/ping" || true) >= $1)); }
wait_until 20 so_many 50

migration_is() { [[ $(vm_qmp old query-migrate | jq -r .status) == "$1" ]]; }
migration_is_over() { migration_is completed || migration_is failed; }
was_logging() { SOCKET=$T/a.api has '.[0].details.migrating' port show vm; }

vm_qmp old migrate-set-parameters '{"max-bandwidth": 200000000, "downtime-limit": 500}' >/dev/null
vm_qmp old migrate "{\"uri\": \"unix:$T/migrate.sock\"}" >/dev/null
until_true 20 was_logging || info "the switch was not seen logging: the migration was too quick"
wait_until 90 migration_is_over
vm_qmp old query-migrate >"$T/migration.json"
migration_is completed || fail "the migration failed: $(<"$T/migration.json") $(tail -n 3 "$T/new.qemu")"
info "$(jq -r '"migrated \(.ram.transferred / 1e6 | floor) MB in \(."total-time") ms, guest stopped for \(.downtime) ms"' "$T/migration.json")"
arrived=$(now_ms)
vm_arrived old new
info "its memory was compared for $(($(now_ms) - arrived)) ms, which its outage includes"
vm_stop old

eventually '.[0].state == "up"' port show vm
until_true 20 ping_ok h 10.0.0.1 56 3 || {
	ctl port show vm
	ctl stats show
	tail -n 20 "$T/new.console"
	vm_exec new 'cat /proc/uptime /proc/interrupts /proc/net/dev' 10 || info "the guest does not answer"
	fail "no ping once the guest has moved"
}
wait_until 20 so_many $(($(grep -c icmp_seq "$T/ping") + 50))
kill -INT "$PING"
wait "$PING" || true
read -r outage lost < <(awk '
	match($0, /icmp_seq=[0-9]+/) { seq = substr($0, RSTART + 9, RLENGTH - 9) + 0
		if (seen) { lost += seq - last - 1; if (seq - last - 1 > gap) gap = seq - last - 1 }
		last = seq; seen = 1 } END { print gap * 10, lost + 0 }' "$T/ping")
stop_pid "$WATCH"
watched=$(tail -n 1 "$T/watch")
info "numbered packets from the guest: $watched"
jq -e '.received > 1000' <<<"$watched" >/dev/null || fail "hardly any numbered packet arrived"
jq -e '.doubled + .late <= 64' <<<"$watched" >/dev/null || fail "more than one burst came twice or late"
info "ping was out for $outage ms at most, $lost replies of one every 10 ms were lost in all"

until_true 10 grep -qE 'Reverse|ARP|arp' "$T/capture" || fail "nobody announced the guest: $(<"$T/capture")"
vm_wait new
[[ $(vm_exec new 'sha256sum -c /tmp/sum' 60) == *OK* ]] || fail "the guest's memory is not what it was"
# The load goes on, over the same connection.
received() { vm_exec new 'cat /sys/class/net/eth0/statistics/rx_bytes'; }
before=$(received)
has_grown() { (($(received) > before + 1000000)); }
wait_until 60 has_grown
SOCKET=$T/a.api eventually '.[0].state == "down"' port show vm
for side in a b; do
	SOCKET=$T/$side.api no_drops malformed bad_address
done
stop_pid "$A_PID"
[[ $STATUS == 0 ]] || fail "the first switch ended with status $STATUS"
