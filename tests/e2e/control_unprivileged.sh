#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# As the systemd unit runs it: a user of its own with a few ambient capabilities, or with none.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need ping capsh
weft_test unprivileged
host a 10.99.0.1/24 02:00:00:00:00:0a
host b 10.99.0.2/24 02:00:00:00:00:0b
chown 65534:65534 "$T"
unit=$WEFT_ROOT/packaging/systemd/weftd.service.in
caps=$(sed -n 's/^AmbientCapabilities=//p' "$unit" | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
[[ $caps == +* ]] || fail "no capabilities in the unit"

# start CAPABILITIES: weftd as nobody.
start() {
	spawn "$T/weftd.log" ip netns exec "$(ns sw)" setpriv --reuid 65534 --regid 65534 --clear-groups \
		--inh-caps="-all${1:+,$1}" --ambient-caps="-all${1:+,$1}" --bounding-set="-all${1:+,$1}" \
		"$WEFTD" -c "$T/weft.yaml" -s "$SOCKET"
	WEFTD_PID=$PID
	until_true 20 weft_answers || fail "weftd does not answer"
	is_running "$WEFTD_PID" || fail "weftd ended at start"
}

info "the unit's capabilities are enough for every type of port"
config <<YAML
ports:
  - {name: vm1, type: vhost-user, socket: @T@/vm1.sock}
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b}
  - {name: host, type: tap, device: w$$}
YAML
start "$caps"
[[ $(awk '/^Uid/ {print $2}' "/proc/$WEFTD_PID/status") == 65534 ]] || fail "it runs as somebody else"
check 'all(.state != "failed")' port show
wait_until 15 ping_ok a 10.99.0.2 56 3
ctl config save >/dev/null
[[ $(stat -c %u "$T/weft.yaml") == 65534 ]] || fail "the file was not written by weftd's user"
ctl port del a
ip -n "$(ns sw)" -d link show a | finds 'prog/xdp' && fail "the XDP program stays on a port that was removed"
weft_stop
for device in a b; do
	ip -n "$(ns sw)" -d link show "$device" | finds 'prog/xdp' && fail "the XDP program stays on $device"
done
in_ns sw ip link show "w$$" >/dev/null 2>&1 && fail "the tap was left behind"

info "a NIC that comes at run time to a daemon without CAP_SYS_ADMIN leaves as clean"
config <<<'ports: []'
start "$caps"
ctl port add a type af-xdp device a
eventually '.[0].state == "up"' port show
ctl port set a busy-poll 64
eventually '.[0].state == "up"' port show
ctl port del a
ip -n "$(ns sw)" -d link show a | finds 'prog/xdp' && fail "the XDP program stays on a port that was removed"
ctl port add a type af-xdp device a xdp-mode generic
ctl port del a
ip -n "$(ns sw)" -d link show a | finds 'prog/xdp' && fail "the generic XDP program stays"
weft_stop

info "after a crash it removes the XDP program that was left"
config <<YAML
ports:
  - {name: a, type: af-xdp, device: a}
YAML
start "$caps"
weft_kill
ip -n "$(ns sw)" -d link show a | finds 'prog/xdp' || skip "a kernel that removes XDP programs with their process"
start "$caps"
check '.[0].state != "failed"' port show
weft_stop

info "a NIC that comes later, with such a program on it, is refused with a sentence, or taken where privileges say so"
weft_kill_with_program() {
	config <<YAML
ports:
  - {name: a, type: af-xdp, device: a}
YAML
	start "$caps"
	weft_kill
}
weft_kill_with_program
config <<<'ports: []'
start "$caps"
[[ $(capsh --decode="$(awk '/^CapPrm/ {print $2}' "/proc/$WEFTD_PID/status")") != *sys_admin* ]] || fail "it kept CAP_SYS_ADMIN"
ctl_refuses "weftd gave up CAP_SYS_ADMIN at its start, .*'privileges: \[xdp\]'" port add a type af-xdp device a
ctl config set privileges xdp | finds 'privileges: what weftd was started with stays' || fail "not told"
ctl config save >/dev/null
weft_stop
start "$caps"
[[ $(capsh --decode="$(awk '/^CapPrm/ {print $2}' "/proc/$WEFTD_PID/status")") == *sys_admin* ]] || fail "it lacks CAP_SYS_ADMIN"
ctl port add a type af-xdp device a
check '.[0].state != "failed"' port show
weft_stop

info "VMs alone need no capability at all"
config <<YAML
ports:
  - {name: vm1, type: vhost-user, socket: @T@/vm1.sock}
  - {name: host, type: tap, device: w$$}
YAML
start ""
[[ $(awk '/^CapPrm/ {print $2}' "/proc/$WEFTD_PID/status") =~ ^0+$ ]] || fail "it has capabilities"
check '.[0].state == "down"' port show
check '.[1].state == "failed" and (.[1].why | test("CAP_NET_ADMIN|permi|root"))' port show

info "a file that only root may read: who asks for it as root is told who weftd is, and what helps"
chown root:root "$T/weft.yaml"
chmod 600 "$T/weft.yaml"
group=$(getent group 65534 | cut -d: -f1)
ctl_refuses "^weftctl: $T/weft.yaml: cannot read it: Permission denied; weftd runs as nobody, .*: chgrp $group FILE && chmod g\+r FILE" config reload
chgrp "$group" "$T/weft.yaml"
chmod g+r "$T/weft.yaml"
ctl config reload >/dev/null || fail "it did not help"
exit 0
