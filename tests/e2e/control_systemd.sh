#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The unit under a real systemd, the first process of a container made of this machine's own /usr:
# start, guests, reload, save, watchdog, crash, stop, as the user weft behind all its restrictions.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need_root
need meson unshare nsenter ip jq
[[ -x /lib/systemd/systemd ]] || skip "the package systemd"
CGROUP=/sys/fs/cgroup
[[ $(stat -fc %T $CGROUP) == cgroup2fs ]] || CGROUP=/sys/fs/cgroup/unified
[[ -w $CGROUP/cgroup.procs ]] || skip "cgroup2"
if ldd "$WEFTD" | finds libasan; then
	info "a sanitizer's build: the unit's filter of system calls would stop it, and rightly"
	exit 0
fi
tmpdir systemd

# The files of an installation, over /usr/local or wherever the build installs.
DESTDIR=$T/installed meson install -C "$WEFT_BUILD" --no-rebuild --quiet >"$T/log" 2>&1 || fail "meson install: $(<"$T/log")"
prefix=$(meson introspect --buildoptions "$WEFT_BUILD" | jq -r '.[] | select(.name == "prefix").value')

# The first process: mounts what a container has, and becomes systemd.
mkdir -p "$T"/root/{usr,etc/systemd/system,etc/weft,proc,sys,dev,run,tmp,var/log/journal,old}
for link in bin sbin lib lib64; do
	[[ ! -L /$link ]] || cp -a "/$link" "$T/root/$link"
done
cp -a /etc/{ld.so.cache,nsswitch.conf,passwd,group,shadow} "$T/root/etc"
sed -i '/^weft:/d' "$T"/root/etc/{passwd,group,shadow}
: >"$T/root/etc/machine-id"
for unit in getty.target console-getty.service systemd-udevd.service systemd-networkd.service systemd-resolved.service \
	systemd-timesyncd.service systemd-logind.service remote-fs.target systemd-udev-trigger.service dbus.service dbus.socket; do
	ln -s /dev/null "$T/root/etc/systemd/system/$unit"
done
cat >"$T/root/etc/systemd/system/test.target" <<'UNIT'
[Unit]
Requires=sysinit.target
After=sysinit.target
UNIT
# The unit as it is, but with less patience.
mkdir "$T/root/etc/systemd/system/weftd.service.d"
printf '[Service]\nWatchdogSec=2\nTimeoutStopSec=3\nRestartSec=100ms\n' >"$T/root/etc/systemd/system/weftd.service.d/test.conf"
cp "$T/installed/etc/weft/weft.yaml" "$T/root/etc/weft"
cat >"$T/first" <<'FIRST'
set -e
root=$1 installed=$2 prefix=$3
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount --bind /usr usr
mount -o remount,bind,ro usr
mount --bind "$installed$prefix" ".$prefix"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t bpf bpf sys/fs/bpf
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm dev/net
for d in null zero full random urandom; do
	touch dev/$d
	mount --bind /dev/$d dev/$d
done
mknod -m 0666 dev/net/tun c 10 200
[[ ! -c /dev/cpu_dma_latency ]] || mknod -m 0600 dev/cpu_dma_latency c $(stat -c '0x%t 0x%T' /dev/cpu_dma_latency)
mount -t tmpfs -o mode=755 run run
mount -t tmpfs tmp tmp
ip link set lo up
pivot_root . old
umount -l /old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=test.target --show-status=no
FIRST
CGROUP=$CGROUP/weft-$$
mkdir "$CGROUP"
cleanup remove_cgroup
remove_cgroup() { find "$CGROUP" -depth -type d -exec rmdir {} +; }
spawn "$T/console" bash -c "echo \$\$ >$CGROUP/cgroup.procs && exec unshare -m -p -f -C -n -u -i --kill-child bash '$T/first' '$T/root' '$T/installed' '$prefix'"
first_process() { FIRST=$(pgrep -P "$PID" -x systemd); }
wait_until 20 first_process
# The first process has namespaces of its own, and takes all of its kind along.
cleanup kill -KILL "$FIRST"

# inside COMMAND...: runs it in the container.
inside() { nsenter -t "$FIRST" -m -p -C -n -u -i -r -w env -i PATH="$prefix/bin:$prefix/sbin:/usr/sbin:/usr/bin" LC_ALL=C.UTF-8 "$@"; }
property() { inside systemctl show weftd.service -P "$1"; }
is() { [[ $(property "$1") == "$2" ]]; }
show_journal() { [[ $1 == 0 ]] || inside journalctl --no-pager -o cat -u weftd.service -n 40 >&2 || true; }
at_exit show_journal
wait_until 60 inside systemctl is-active test.target
inside systemd-sysusers weft.conf
inside systemd-tmpfiles --create weft.conf

info "systemd-analyze: nothing wrong with the unit"
inside systemd-analyze verify --man=no "$prefix/lib/systemd/system/weftd.service" 2>&1 | tee "$T/verify"
[[ ! -s $T/verify ]] || fail "systemd-analyze verify: $(<"$T/verify")"
inside systemd-analyze security --offline=true --threshold=40 "$prefix/lib/systemd/system/weftd.service" >/dev/null || fail "the unit is more exposed than it was"

info "start: ready when it says so, as the user weft, with an uplink, a tap and two guests"
inside ip link add u0 type veth peer name u1
inside ip link set u0 up
inside ip link set u1 up
cat >"$T/root/etc/weft/weft.yaml" <<'YAML'
metrics: {listen: 127.0.0.1:9469}
ports:
  - {name: vm1, type: vhost-user, socket: /run/weft/vm1.sock, vlan: {access: 10}}
  - {name: vm2, type: vhost-user, socket: /run/weft/vm2.sock, vlan: {access: 10}}
  - {name: uplink, type: af-xdp, device: u0}
  - {name: host, type: tap, device: weft0}
YAML
inside systemctl start weftd.service
inside weftctl version >/dev/null || fail "weftd was not ready when systemctl start ended"
pid=$(property MainPID)
[[ $(inside stat -c %U "/proc/$pid") == weft ]] || fail "weftd runs as $(inside stat -c %U "/proc/$pid")"
# NET_ADMIN, NET_RAW, IPC_LOCK, SYS_ADMIN (for the uplink), PERFMON, BPF; no more is left to get.
[[ $(inside sed -n 's/^CapBnd:\t//p' "/proc/$pid/status") == 000000c000207000 ]] || fail "capabilities: $(inside grep ^Cap "/proc/$pid/status")"
inside sed -n 's/^Seccomp:\t//p' "/proc/$pid/status" | finds -x 2 || fail "no filter of system calls"
state() { inside weftctl -j port show | jq -e "map({(.name): .state}) | add | $1" >/dev/null; }
wait_until 20 state '.uplink == "up" and .host == "up" and .vm1 == "down"'
timeout 60 "$WEFT_BUILD/tests/bench/gen" load --no-huge --rate 20000 --seconds 1 --warmup 0.2 \
	"/proc/$FIRST/root/run/weft/vm1.sock" "/proc/$FIRST/root/run/weft/vm2.sock" >"$T/gen" 2>&1 || fail "guests: $(<"$T/gen")"
inside weftctl -j stats show | jq -e 'map(select(.port | startswith("vm")).tx_frames) | length == 2 and all(. > 1000)' >/dev/null ||
	fail "no frames between guests: $(inside weftctl stats show)"

if [[ -c /dev/cpu_dma_latency ]]; then
	info "wakeup-us: the kernel's file is the user's to write, behind the sandbox too"
	alone wakeup
	latency() { od -An -td4 -N4 /dev/cpu_dma_latency | tr -d ' '; }
	before=$(latency)
	rest() { [[ $(latency) == "$before" ]]; }
	inside weftctl config set wakeup-us 20 >/dev/null || fail "wakeup-us is refused"
	(($(latency) <= 20)) || fail "$(latency) us are allowed"
	inside weftctl config set wakeup-us default >/dev/null
	wait_until 10 rest
	not_alone
else
	info "there is no /dev/cpu_dma_latency here: that the unit may use it was not tried"
fi

info "reload and save: the file is applied and replaced"
inside weftctl config set fdb age 77 >/dev/null
inside weftctl config save >/dev/null
grep -q 'age: 77' "$T/root/etc/weft/weft.yaml" || fail "not saved"
sed -i 's/age: 77/age: 88/' "$T/root/etc/weft/weft.yaml"
inside systemctl reload weftd.service
age_is() { inside weftctl -j config show | jq -e ".config.fdb.age == $1" >/dev/null; }
wait_until 10 age_is 88
is MainPID "$pid" || fail "a reload started another weftd"

info "the watchdog: one that hangs is ended and started again"
inside kill -STOP "$pid"
wait_until 40 is NRestarts 1
is_new() { is ActiveState active && ! is MainPID "$1" && inside weftctl version >/dev/null; }
wait_until 20 is_new "$pid"
inside journalctl --no-pager -o cat -u weftd.service | finds 'Watchdog timeout' || fail "that was not the watchdog"

info "guests: a crash and a restart close no connection, a stop does"
spawn "$T/guests" "$WEFT_BUILD/tests/lib/two_guests" client "/proc/$FIRST/root/run/weft/vm1.sock" "/proc/$FIRST/root/run/weft/vm2.sock" 2000
guests=$PID
wait_until 20 grep -q ready "$T/guests"
kept() { inside weftctl -j port show "$1" | jq -e '.[0] | .state == "up" and .details.kept' >/dev/null; }
both_kept() { kept vm1 && kept vm2; }
wait_until 10 both_kept
stored() { test "$(property NFileDescriptorStore)" "$@"; }
stored -ge 14 || fail "systemd keeps $(property NFileDescriptorStore) descriptors"
pid=$(property MainPID)
inside kill -KILL "$pid"
wait_until 20 is_new "$pid"
wait_until 10 both_kept
pid=$(property MainPID)
inside systemctl restart weftd.service
is_new "$pid" || fail "no restart"
wait_until 10 both_kept
inside systemctl stop weftd.service
stored -eq 0 || fail "systemd keeps $(property NFileDescriptorStore) descriptors of a service that was stopped"
inside systemctl start weftd.service
wait_until 20 both_kept
stop_pid "$guests"
tail -n 1 "$T/guests" | jq -e 'all(.[]; .connections == 2 and .doubled + .late <= 64)' >/dev/null ||
	fail "one connection until the stop, one after it were expected: $(tail -n 1 "$T/guests")"
wait_until 10 stored -eq 0

info "crashes: it is started again however often, and takes its ports over"
for _ in {1..8}; do
	pid=$(property MainPID)
	inside kill -KILL "$pid"
	wait_until 20 is_new "$pid"
done
wait_until 20 state '.uplink == "up" and .host == "up" and .vm1 == "down"'

info "restart and stop: sockets, tap and XDP program are gone, and systemd has no complaint"
pid=$(property MainPID)
inside systemctl restart weftd.service
is_new "$pid" || fail "no restart"
inside ip link show dev u0 | finds xdp || fail "no XDP program on the uplink"
inside systemctl stop weftd.service
is Result success || fail "stop: $(property Result)"
[[ -z $(inside find /run/weft -type s) ]] || fail "sockets are left: $(inside find /run/weft -type s)"
! inside ip link show dev weft0 >/dev/null 2>&1 || fail "the tap is left"
! inside ip link show dev u0 | finds xdp || fail "the XDP program is left"

info "a bad configuration: it does not start, and the journal says why"
echo 'portz: []' >"$T/root/etc/weft/weft.yaml"
! inside systemctl start weftd.service 2>/dev/null || fail "it started"
is ActiveState failed || fail "a file with an error is tried again: $(property ActiveState)"
is ExecMainStatus 78 || fail "its status is $(property ExecMainStatus)"
inside journalctl --no-pager -o cat -u weftd.service | finds "unknown key 'portz', did you mean 'ports'" || fail "the journal does not say why"
inside systemctl stop weftd.service
