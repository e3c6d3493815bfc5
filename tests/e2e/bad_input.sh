#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What people get wrong: each time one sentence that says what to do, and the rest keeps running.
. "$(dirname "$0")/../lib/weft.sh"
weft_test

host a 10.0.0.1/24 02:00:00:00:00:01
host b 10.0.0.2/24 02:00:00:00:00:02

# refused PATTERN: both weftd and weftd --check refuse the configuration on standard input.
refused() {
	config
	weftd_refuses "$1"
}

# The file: where, what, and what was expected instead.
refused ':3:1: .*colour' <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
colour: blue
YAML
refused ':2:[0-9]+: .*devise' <<'YAML'
ports:
  - {name: a, type: af-xdp, devise: a}
YAML
refused 'type.*vhost-user' <<'YAML'
ports:
  - {name: a, type: afxdp, device: a}
YAML
refused '(4094|4095)' <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a, vlan: {access: 4095}}
YAML
refused 'twice|already|same name' <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: a, type: af-xdp, device: b}
YAML
refused 'weft.yaml:[0-9]+' <<'YAML'
ports: [
YAML
rm -f "$T/weft.yaml"
weftd_refuses 'No such file|does not exist'

# One port that cannot work leaves the others working.
config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: nic, type: af-xdp, device: nosuchdev}
  - {name: b, type: af-xdp, device: b}
YAML
weft_start
eventually '[.[] | select(.state == "up") | .name] == ["a", "b"]' port show
wait_until 20 ping_ok a 10.0.0.2 56 1
grep -q 'nosuchdev' "$T/weftd.log" || fail "the log does not name the missing device"

# still_works: nothing that was refused has hurt the others.
still_works() {
	is_running "$WEFTD_PID" || fail "weftd died"
	ping_ok a 10.0.0.2 || fail "a does not reach b any more"
}

# At run time: the client is told, and nothing changes.
ctl_refuses 'nosuchdev' port add bad type af-xdp device nosuchdev
ctl_refuses 'exist|already' port add a type af-xdp device b
ctl_refuses 'colour' port add bad type af-xdp device b colour blue
ctl_refuses 'vhost-user' port add bad type afxdp device b
ctl_refuses 'socket' port add bad type vhost-user
ctl_refuses 'nobody' port del nobody
ctl_refuses '.' port frobnicate
ctl_refuses '.' frobnicate
still_works

# A socket that another program listens on.
spawn "$T/listener.log" python3 -c "
import socket, time
s = socket.socket(socket.AF_UNIX); s.bind('$T/taken.sock'); s.listen(); print('ready', flush=True); time.sleep(600)"
wait_until 20 grep -q ready "$T/listener.log"
ctl_refuses 'in use|listens' port add vm type vhost-user socket "$T/taken.sock" mode server
test -S "$T/taken.sock" || fail "the other program's socket was removed"
# A directory that is not there; a path that is too long; a file that is no socket.
ctl_refuses 'No such file|does not exist|no directory' port add vm type vhost-user socket "$T/nowhere/vm.sock" mode server
ctl_refuses 'long|107|108' port add vm type vhost-user socket "$T/$(printf 'x%.0s' {1..120})" mode server
echo "not a socket" >"$T/file"
ctl_refuses '.' port add vm type vhost-user socket "$T/file" mode server
[[ $(<"$T/file") == "not a socket" ]] || fail "a file that is no socket was removed"
# A stale socket is no obstacle.
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$T/stale.sock')"
ctl port add vm type vhost-user socket "$T/stale.sock" mode server
check '[.[] | select(.name == "vm")] | length == 1' port show
ctl port del vm
still_works

# A second weftd on the same API socket.
status=0
output=$(in_ns sw timeout 20 "$WEFTD" -c "$T/weft.yaml" -s "$SOCKET" --foreground 2>&1) || status=$?
[[ $status != 0 && $status != 124 ]] || fail "a second weftd started on the same socket"
expect "$output" 'another weftd|in use' "the second weftd"
still_works
