#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Who may look and who may change, by the groups of the connecting process.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

weft_test rights
# Two groups that every Debian has.
config <<YAML
api: {group: games, admin-group: news}
ports:
  - {name: vm1, type: vhost-user, socket: @T@/vm1.sock}
YAML
chmod 755 "$T"
weft_start
games=$(getent group games | cut -d: -f3)
news=$(getent group news | cut -d: -f3)

# as GROUPS WORD...: weftctl as nobody with these groups.
as() {
	local -a option=(--clear-groups)
	local groups=$1
	shift
	[[ -z $groups ]] || option=(--groups "$groups")
	setpriv --reuid 65534 --regid 65534 "${option[@]}" "$WEFTCTL" -s "$SOCKET" "$@" 2>&1
}

# denied GROUPS PATTERN WORD...
denied() {
	local groups=$1 pattern=$2 output status=0
	shift 2
	output=$(as "$groups" "$@") || status=$?
	[[ $status != 0 ]] || fail "groups '$groups' may weftctl $*"
	expect "$output" "$pattern" "groups '$groups': weftctl $*"
}

info "a stranger may do nothing"
denied "" 'permission denied' port show
for command in 'port show' 'config check' 'monitor' 'top -n 1 -d 0.1'; do
	got=0
	# shellcheck disable=SC2086
	as "" $command >/dev/null || got=$?
	[[ $got == 3 ]] || fail "a stranger's weftctl $command: status $got, expected 3"
done

info "the group may look, not change, nor read other people's frames"
as "$games" port show >/dev/null || fail "members of api.group may not look"
denied "$games" 'changes the switch.*admin-group' port del vm1
denied "$games" 'changes the switch' config save
denied "$games" 'changes the switch' capture vm1 -c 1

info "the admin group may change"
as "$news" port add vm2 type vhost-user socket "$T/vm2.sock" >/dev/null || fail "members of api.admin-group may not add"
as "$games,$news" port del vm2 >/dev/null || fail "nor those of both"

info "groups change at run time; who has connected before keeps no right"
spawn "$T/reader" setpriv --reuid 65534 --regid 65534 --groups "$games" "$WEFTCTL" -s "$SOCKET" -j monitor
reader=$PID
spawn "$T/admin" setpriv --reuid 65534 --regid 65534 --groups "$news" "$WEFTCTL" -s "$SOCKET" -j monitor
age=300
both_hear() {
	ctl config set fdb age $((++age)) >/dev/null
	[[ -s $T/reader && -s $T/admin ]]
}
wait_until 10 both_hear
as "$news" config set api admin-group default >/dev/null || fail "who gives up a right is not answered"
wait_until 10 grep -q 'weftd closed the connection' "$T/admin"
is_running "$reader" || fail "who lost nothing was disconnected: $(<"$T/reader")"
denied "$news" 'permission denied' port show
as "$games" port show >/dev/null || fail "members of api.group may not look any more"
denied "$games" 'changes the switch' port del vm1
ctl_refuses 'there is no group' config set api group no-such-group
as "$games" port show >/dev/null || fail "a refused change took the rights away"
check 'length == 1' port show
