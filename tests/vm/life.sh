#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# What happens to a guest in its life: driver unbound and bound, suspend, reboot, its VMM killed and
# started anew. Both modes of the socket.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

weft_test
# One guest connects to the switch, the switch connects to the other.
config <<'YAML'
ports:
  - {name: vm1, type: vhost-user, socket: "@T@/vm1.sock", mode: server}
  - {name: vm2, type: vhost-user, socket: "@T@/vm2.sock", mode: client}
YAML
weft_start
vm_start vm1 "$T/vm1.sock" 52:54:00:00:00:01
vm_start vm2 "$T/vm2.sock" 52:54:00:00:00:02 mode=server
vm_wait vm1 vm2
guest_up vm1 1
guest_up vm2 2
wait_until 30 vm_ping vm1 10.0.0.2 56 1
vm_ping vm1 10.0.0.2 || fail "loss at the start"

# talks: there and back.
talks() { vm_ping vm1 10.0.0.2 1000 3 && vm_ping vm2 10.0.0.1 1000 3; }

# ended PORT: how many frames for it found an end: in its guest, or counted as dropped.
ended() { ctl -j stats show | jq "map(select(.port == \"$1\"))[0] | .tx_frames + (.drops | add)"; }

# A learnt address is forgotten when the link has been down for a second, and frames for it then go to all.
ctl fdb add 52:54:00:00:00:01 port vm1 >/dev/null

# have_ended PORT BEFORE N: so many more than before.
have_ended() { (($(ended "$1") - $2 >= $3)); }

# have_been_dropped BEFORE: has vm1's port dropped more frames than before for a link that is down?
have_been_dropped() { (($(drops vm1 port_down) > $1)); }

# has_sent GUEST N: has its pktgen sent so many?
has_sent() { (($(guest_pktgen_sent "$1") >= $2)); }

# under_load COMMAND...: numbered packets come for vm1 meanwhile, and its link goes down and up. None goes
# astray: each is given to the guest or counted as dropped.
under_load() {
	local before down sent
	before=$(ended vm1) down=$(drops vm1 port_down)
	guest_pktgen vm2 10.0.0.1 52:54:00:00:00:01 500
	"$@"
	until_true 20 has_sent vm2 200 || true
	sent=$(guest_pktgen_stop vm2)
	((sent >= 200)) || fail "$*: no load: $sent packets"
	# What was sent last may not have been taken yet.
	until_true 10 have_ended vm1 "$before" "$sent" || fail "$*: of $sent packets only $(($(ended vm1) - before)) found an end"
	have_been_dropped "$down" || fail "$*: nothing was dropped for the link, which was down"
	info "$*: of $sent packets $(($(drops vm1 port_down) - down)) met a link that was down"
}

# is_exact GUEST FROM: of packets for it, a second's, none is lost or doubled, now that it is back.
is_exact() {
	local tally before sent
	tally=$(guest_tally "$1") || return 1
	before=$(ended "$1")
	guest_pktgen "$2" "10.0.0.${1#vm}" "52:54:00:00:00:0${1#vm}" 500
	until_true 20 has_sent "$2" 500 || true
	sent=$(guest_pktgen_stop "$2")
	((sent >= 500)) && until_true 10 have_ended "$1" "$before" "$sent" && tally_is "$1" "$tally"
}

# Packets must have met the link while it was down, however slow their sender is.
rebind() {
	local down driver=/sys/bus/virtio/drivers/virtio_net
	vm_exec vm1 "cd $driver; echo virtio* >/run/device; cat /run/device >unbind"
	down=$(drops vm1 port_down)
	wait_until 20 have_been_dropped "$down"
	vm_exec vm1 "cat /run/device >$driver/bind"
	guest_up vm1 1
	wait_until 30 talks
}
for _ in 1 2 3; do under_load rebind; done
wait_until 60 is_exact vm1 vm2

# Its devices are suspended and resumed, the processor is not: that needs firmware. The serial line
# we speak over does not survive it, so the other guest looks; the reboot below repairs it.
has_come_up() { (($(grep -c ' vm1: link up' "$T/weftd.log") >= $1)); }

suspend() {
	local ups
	ups=$(grep -c ' vm1: link up' "$T/weftd.log")
	# A slow guest may be asleep before it has answered.
	vm_exec vm1 'echo 1 >/sys/module/suspend/parameters/pm_test_delay && echo devices >/sys/power/pm_test
		dmesg -n 8; (sleep 0.3; echo mem >/sys/power/state) >/dev/null 2>&1 &' 5 || info "vm1 slept before it answered"
	wait_until 40 has_come_up $((ups + 1))
	wait_until 30 vm_ping vm2 10.0.0.1 1000 3
	grep -q 'suspend debug: Waiting' "$T/vm1.console" ||
		info "some device of vm1 refused, so that all came back at once: $(tail -n 20 "$T/vm1.console")"
}
under_load suspend
wait_until 30 vm_ping vm2 10.0.0.1 1000 20

# other GUEST: the other of the two.
other() { [[ $1 == vm1 ]] && echo vm2 || echo vm1; }

for guest in vm1 vm2; do
	vm_qmp $guest system_reset >/dev/null
	until_true 10 eval "! vm_exec $guest 'ip -4 addr show dev eth0 | grep -q 10.0.0' 2" || true
	vm_wait $guest
	guest_up $guest "${guest#vm}"
	wait_until 30 talks
	wait_until 60 is_exact $guest "$(other $guest)"
	info "$guest rebooted"
done

for guest in vm1 vm2; do
	kill -KILL "${VM_PID[$guest]}"
	eventually ".[0].state == \"down\"" port show $guest
	mode=client
	[[ $guest == vm1 ]] || mode=server
	rm -f "$T/$guest.control" "$T/$guest.qmp"
	[[ $mode == client ]] || rm -f "$T/$guest.sock"
	vm_start $guest "$T/$guest.sock" 52:54:00:00:00:0${guest#vm} mode=$mode
	vm_wait $guest
	guest_up $guest "${guest#vm}"
	wait_until 30 talks
	wait_until 60 is_exact $guest "$(other $guest)"
	info "VMM of $guest killed and started anew"
done

no_drops malformed bad_address
