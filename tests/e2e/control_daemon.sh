#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The daemon's manners: start, refusal, signals, reload, systemd, privileges, end.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need capsh python3
weft_test daemon
good() {
	config <<YAML
workers: [{core: 0}]
ports:
  - {name: vm1, type: vhost-user, socket: @T@/vm1.sock, vlan: {access: 10}}
  - {name: host, type: tap, device: w$$}
YAML
}

info "it does not start on a bad configuration, and says where"
config <<YAML
ports:
  - {name: vm1, type: vhost-user, sokcet: /x}
YAML
weftd_refuses "weft.yaml:2:35: ports\[0\].sokcet: unknown key 'sokcet', did you mean 'socket'"
"$WEFTD" -c "$T/weft.yaml" --check >/dev/null 2>&1 && fail "--check found it good"
config <<<'workers: [{core: 1000}]'
weftd_refuses 'core 1000 is not there'
good
"$WEFTD" -c "$T/weft.yaml" --check 2>"$T/lacks" | finds 'good: 2 ports$' || fail "--check of a good file: $(<"$T/lacks")"

info "--check says what this host lacks for a good file, and to whom"
config <<YAML
workers: [{core: 0}]
ports:
  - {name: vm1, type: vhost-user, socket: @T@/nosuch/vm1.sock}
  - {name: vm2, type: vhost-user, socket: @T@/weft.yaml/vm2.sock}
  - {name: vm3, type: vhost-user, socket: /etc/vm3.sock}
  - {name: nic, type: af-xdp, device: nosuch0}
  - {name: host, type: tap, device: w$$}
YAML
"$WEFTD" -c "$T/weft.yaml" --check 2>"$T/lacks" | finds 'good: 5 ports; this host lacks' || fail "--check refuses it"
for what in 'port vm1: .*/nosuch: No such file' 'port vm2: .*weft.yaml is no directory' 'port nic: there is no device nosuch0'; do
	grep -q "$what" "$T/lacks" || fail "not said: $what, but $(<"$T/lacks")"
done
[[ $(grep -c . "$T/lacks") == 3 ]] || fail "said: $(<"$T/lacks")"
[[ ! -e /etc/vm3.sock && ! -e /sys/class/net/w$$ ]] || fail "--check made something"
# Where nobody can read both, wherever the tree is.
cp "$T/weft.yaml" "$T/readable.yaml" && cp "$WEFTD" "$T/weftd" && chmod 755 "$T" "$T/weftd" && chmod 644 "$T/readable.yaml"
capsh --user=nobody -- -c "'$T/weftd' -c '$T/readable.yaml' --check" 2>"$T/lacks" >/dev/null || fail "--check as nobody: $(<"$T/lacks")"
for what in 'af-xdp ports: they take CAP_NET_ADMIN' 'tap ports: they take CAP_NET_ADMIN' 'port vm3: this user may not make its socket in /etc'; do
	grep -q "$what" "$T/lacks" || fail "not said to nobody: $what, but $(<"$T/lacks")"
done
good
[[ ! -e $SOCKET && ! -e $T/vm1.sock ]] || fail "--check opened something"

info "readiness and watchdog reach systemd"
cat >"$T/notify.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode().replace("\n", " "), flush=True)
PY
spawn "$T/notified" python3 "$T/notify.py" "$T/notify.sock"
wait_until 20 test -S "$T/notify.sock"
export NOTIFY_SOCKET=$T/notify.sock WATCHDOG_USEC=300000
weft_start
unset NOTIFY_SOCKET WATCHDOG_USEC
if ldd "$WEFTD" | finds libsystemd; then
	wait_until 20 grep -q READY=1 "$T/notified"
	wait_until 20 grep -q WATCHDOG=1 "$T/notified"
fi

info "a second daemon on the same socket is refused and touches nothing"
weftd_refuses "another weftd serves $SOCKET; stop it first"
check 'length == 2' port show
[[ -S $T/vm1.sock ]] || fail "the second daemon took the first one's port away"

info "it holds only the capabilities it needs"
caps=$(capsh --decode="$(awk '/^CapPrm/ {print $2}' "/proc/$WEFTD_PID/status")")
for cap in $(tr ',' ' ' <<<"${caps#*=}"); do
	[[ " cap_net_admin cap_net_raw cap_bpf cap_perfmon cap_ipc_lock " == *" $cap "* ]] || fail "weftd kept $cap"
done
for task in /proc/"$WEFTD_PID"/task/*; do
	[[ $(<"$task/comm") != weft-worker* || $(awk '/^CapPrm/ {print $2}' "$task/status") =~ ^0+$ ]] ||
		fail "the thread $(<"$task/comm") has capabilities"
done
grep -q '^NoNewPrivs:.*1' "/proc/$WEFTD_PID/status" || fail "it could gain privileges"

info "SIGHUP applies the difference; a bad file changes nothing"
ino=$(stat -c %i "$T/vm1.sock")
sed -i 's/access: 10/access: 20/' "$T/weft.yaml"
echo '  - {name: vm2, type: vhost-user, socket: '"$T"'/vm2.sock}' >>"$T/weft.yaml"
kill -HUP "$WEFTD_PID"
eventually 'map(.name) == ["vm1", "host", "vm2"] and .[0].config.vlan.access == 20' port show
[[ $(stat -c %i "$T/vm1.sock") == "$ino" ]] || fail "vm1 was opened again for a change of VLAN"
echo '  - {name: vm3, tpye: tap}' >>"$T/weft.yaml"
kill -HUP "$WEFTD_PID"
wait_until 20 grep -q "nothing was reloaded: .*weft.yaml:6:17: ports\[3\].tpye: unknown key" "$T/weftd.log"
ctl_refuses "did you mean 'type'" config reload
check 'length == 3' port show
sed -i '$d' "$T/weft.yaml"

info "nor does an empty file, as an editor or a full disk leaves it"
cp "$T/weft.yaml" "$T/whole.yaml"
: >"$T/weft.yaml"
ctl_refuses 'weft.yaml:? .*it is empty, .*: ports: \[\]' config reload
echo '# later' >"$T/weft.yaml"
kill -HUP "$WEFTD_PID"
wait_until 20 grep -q "nothing was reloaded: .*it is empty, or all of it is a comment" "$T/weftd.log"
check 'length == 3' port show
cp "$T/whole.yaml" "$T/weft.yaml"

info "two ports swap their sockets"
sed -i 's|/vm1.sock|/vm3.sock|; s|/vm2.sock|/vm1.sock|; s|/vm3.sock|/vm2.sock|' "$T/weft.yaml"
ctl config reload | finds '2 changed, 1 unchanged' || fail "the swap"
check 'map(select(.name != "host") | .state == "down" and (.pending | not)) | all' port show
[[ -S $T/vm1.sock && -S $T/vm2.sock ]] || fail "no sockets"

info "a port that fails is tried again until it works"
echo '  - {name: late, type: vhost-user, socket: '"$T"'/later/late.sock}' >>"$T/weft.yaml"
ctl config reload >/dev/null
check '.[3] | .name == "late" and .state == "failed" and .pending' port show
mkdir "$T/later"
DEADLINE=15 eventually '.[3].state == "down" and (.[3].pending | not)' port show
[[ -S $T/later/late.sock ]] || fail "no socket"

info "SIGTERM: a clean end, however often it comes; who listens is told that there is no weftd any more"
pid=$WEFTD_PID
spawn "$T/monitor" "$WEFTCTL" -s "$SOCKET" monitor config
monitor=$PID age=300
heard() {
	ctl config set fdb age $((++age)) >/dev/null
	[[ -s $T/monitor ]]
}
wait_until 10 heard
# More and more of them until the end.
spawn "$T/impatient" bash -c "while kill -TERM $pid; do sleep 0.001; done"
weft_stop
got=0
wait "$monitor" || got=$?
[[ $got == 3 ]] || fail "monitor ended with status $got, expected 3"
if ldd "$WEFTD" | finds libsystemd; then
	wait_until 20 grep -q STOPPING=1 "$T/notified"
fi
for left in "$SOCKET" "$SOCKET.lock" "$T/vm1.sock" "$T/vm2.sock" "$T/later/late.sock" "/run/dpdk/weft-$pid"; do
	[[ ! -e $left ]] || fail "$left was left behind"
done
in_ns sw ip link show "w$$" >/dev/null 2>&1 && fail "the tap was left behind"

info "after a crash the sockets it left are replaced"
good
weft_start
weft_kill
[[ -S $SOCKET && -S $T/vm1.sock ]] || fail "a crash leaves sockets; did it not crash?"
weft_start
check 'length == 2 and .[0].state == "down"' port show

info "a symbolic link is followed each time: reload reads, and save replaces, what it names now"
weft_stop
mkdir "$T/v1" "$T/v2"
mv "$T/weft.yaml" "$T/v1/"
sed 's/access: 10/access: 30/' "$T/v1/weft.yaml" >"$T/v2/weft.yaml"
ln -s v1 "$T/now"
ln -s now/weft.yaml "$T/weft.yaml"
weft_start
ln -sfn v2 "$T/now"
ctl config reload | finds '1 changed, 1 unchanged' || fail "reload read what the link named before"
check ".file == \"$T/weft.yaml\"" config show
cp "$T/v1/weft.yaml" "$T/old"
ctl port set vm1 vlan access 40
ctl config save >/dev/null
cmp -s "$T/old" "$T/v1/weft.yaml" || fail "save replaced what the link named before"
grep -q 'access: 40' "$T/v2/weft.yaml" || fail "save did not replace what the link names"
[[ -L $T/weft.yaml ]] || fail "save replaced the link"

info "a file in the way of the socket is left alone"
weft_stop
echo precious >"$SOCKET"
weftd_refuses "is there and is no socket"
[[ $(<"$SOCKET") == precious ]] || fail "the file was touched"
rm "$SOCKET"
