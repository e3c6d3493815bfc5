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
vm_ping vm1 10.0.0.2 || fail "no ping at the start"

# talks: there and back.
talks() { vm_ping vm1 10.0.0.2 1000 3 && vm_ping vm2 10.0.0.1 1000 3; }

for _ in 1 2 3; do
	vm_exec vm1 'd=/sys/bus/virtio/drivers/virtio_net; v=$(ls -d $d/virtio*); v=${v##*/}
		echo $v >$d/unbind && sleep 0.2 && echo $v >$d/bind && sleep 0.3'
	guest_up vm1 1
	wait_until 10 talks
done
info "driver unbound and bound"

# Its devices are suspended and resumed, the processor is not: that needs firmware. The serial line
# we speak over does not survive it, so the other guest looks; the reboot below repairs it.
vm_exec vm1 'echo 1 >/sys/module/suspend/parameters/pm_test_delay && echo devices >/sys/power/pm_test
	(sleep 0.2; echo mem >/sys/power/state) >/dev/null 2>&1 &'
eventually '.[0].state == "down"' port show vm1
DEADLINE=40 eventually '.[0].state == "up"' port show vm1
wait_until 20 vm_ping vm2 10.0.0.1 1000 3
info "devices suspended and resumed"

for guest in vm1 vm2; do
	vm_qmp $guest system_reset >/dev/null
	until_true 10 eval "! vm_exec $guest 'ip -4 addr show dev eth0 | grep -q 10.0.0' 2" || true
	vm_wait $guest
	guest_up $guest "${guest#vm}"
	wait_until 10 talks
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
	wait_until 10 talks
	info "VMM of $guest killed and started anew"
done

no_drops malformed bad_address
