# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Real guests: QEMU, Debian's kernel, a busybox initramfs (tests/vm/guest-image).
#
#	vm_start vm1 "$T/vm1.sock" 52:54:00:00:00:01 [OPTION...]
#	vm_wait vm1
#	vm_exec vm1 'ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up'
#	vm_stop vm1
#
# Options: mode=client|server (QEMU's side of the socket), queues=N, smp=N, mem=MIB,
# device=KEY=VALUE,... (of virtio-net-pci), boot=kernel|net (net: the card's own firmware is to fetch
# the kernel), and after -- more arguments for QEMU.
# The socket `-` starts a guest without a network card.
#
# Each guest has, in the directory T: NAME.console (its kernel's log), NAME.control (the socket for
# vm_exec), NAME.qmp (the socket for vm_qmp), NAME.qemu (what QEMU said).

declare -A VM_PID

VM_ACCEL=
VM_KERNEL=
VM_INITRAMFS=
# What the test guests' kernel is started with: no more output, and no less speed, than need be.
VM_CMDLINE='quiet loglevel=4 panic=-1 mitigations=off nokaslr no_timer_check tsc=reliable rcupdate.rcu_expedited=1 random.trust_cpu=on'

case $(uname -m) in
x86_64)
	VM_QEMU=qemu-system-x86_64
	VM_MACHINE=pc
	VM_CONSOLE=ttyS0
	VM_MEMORY=0 # where it begins
	VM_CPU=Nehalem # the oldest x86-64-v2: it boots faster under emulation than `max`
	;;
aarch64)
	VM_QEMU=qemu-system-aarch64
	VM_MACHINE=virt,gic-version=3
	VM_CONSOLE=ttyAMA0
	VM_MEMORY=0x40000000
	VM_CPU=max
	;;
esac

# vm_prepare: makes the images if need be and finds out how guests run here; VM_ACCEL is the answer.
vm_prepare() {
	local files
	[[ -z $VM_ACCEL ]] || return 0
	need "$VM_QEMU" busybox cpio python3
	files=$("$WEFT_ROOT/tests/vm/guest-image") || fail "no guest image"
	{ read -r VM_KERNEL && read -r VM_INITRAMFS; } <<<"$files"
	VM_ACCEL=tcg
	! vm_kvm_works || VM_ACCEL=kvm
}

# Does a stock kernel really start under KVM here? Some hosts have /dev/kvm, and guests hang under
# it. Tried once per boot of this machine.
vm_kvm_works() {
	local verdict
	[[ -w /dev/kvm && ${WEFT_NO_KVM:-0} != 1 ]] || return 1
	verdict=$WEFT_CACHE/kvm-$(</proc/sys/kernel/random/boot_id)
	if [[ ! -s $verdict ]]; then
		rm -f "$WEFT_CACHE"/kvm-*
		if { timeout -k 1 8 "$VM_QEMU" -nodefaults -no-user-config -display none -accel kvm -cpu host \
			-machine "$VM_MACHINE" -m 256 -no-reboot -serial stdio -kernel "$VM_KERNEL" \
			-initrd "$VM_INITRAMFS" -append "console=$VM_CONSOLE quiet panic=-1 weft.probe" \
			</dev/null 2>/dev/null || true; } | finds weft-guest-is-up; then
			echo yes >"$verdict.$$"
		else
			echo no >"$verdict.$$"
		fi
		mv "$verdict.$$" "$verdict"
	fi
	[[ $(<"$verdict") == yes ]]
}

vm_start() {
	local name=$1 socket=$2 mac=$3 mode=client queues=1 smp=1 mem=384 device='' boot=kernel option
	local -a net=() cpu=() kernel=()
	shift 3
	while (($#)) && [[ $1 != -- ]]; do
		option=${1%%=*}
		case $option in
		mode | queues | smp | mem | device | boot) printf -v "$option" %s "${1#*=}" ;;
		*) fail "vm_start: no such option: $1" ;;
		esac
		shift
	done
	(($# == 0)) || shift
	vm_prepare
	if [[ $boot == kernel ]]; then
		kernel=(-kernel "$VM_KERNEL" -initrd "$VM_INITRAMFS" -append "console=$VM_CONSOLE $VM_CMDLINE")
		device=romfile=,$device # nothing else to start from
	else
		device=bootindex=1,$device
	fi
	if [[ $socket != - ]]; then
		# Without MSI-X under TCG: QEMU 7.2 crashes with both as soon as the driver starts.
		[[ $VM_ACCEL == kvm ]] && device=vectors=$((2 * queues + 2)),$device || device=vectors=0,$device
		((queues == 1)) || device=mq=on,$device
		if [[ $mode == server ]]; then
			mode=server=on,wait=off
		else
			# QEMU gives up at once if the socket is not there at its start.
			mode=reconnect=1
			wait_until 20 test -S "$socket"
		fi
		net=(-chardev "socket,id=c0,path=$socket,$mode"
			-netdev "vhost-user,id=n0,chardev=c0,queues=$queues"
			-device "virtio-net-pci,netdev=n0,id=nic0,mac=$mac,${device%,}")
	fi
	[[ $VM_ACCEL == kvm ]] && cpu=(-cpu host) || cpu=(-cpu "$VM_CPU")
	[[ $VM_CONSOLE == ttyS0 ]] && net+=(-serial chardev:control) || net+=(-device pci-serial,chardev=control)
	rm -f "$T/$name.control" "$T/$name.qmp"
	spawn "$T/$name.qemu" "$VM_QEMU" -name "$name" -nodefaults -no-user-config -display none \
		-machine "$VM_MACHINE,memory-backend=mem" -accel "$VM_ACCEL" "${cpu[@]}" -smp "$smp" \
		-object "memory-backend-memfd,id=mem,size=${mem}M,share=${VM_SHARE:-on}" -m "$mem" \
		-serial "file:$T/$name.console" \
		-chardev "socket,id=control,path=$T/$name.control,server=on,wait=off" \
		-qmp "unix:$T/$name.qmp,server=on,wait=off" "${kernel[@]}" "${net[@]}" "$@"
	VM_PID[$name]=$PID
}

# vm_wait NAME...: until these guests take commands.
vm_wait() {
	local name
	for name; do
		wait_until 20 test -S "$T/$name.control" -o ! -d "/proc/${VM_PID[$name]}"
		"$WEFT_ROOT/tests/lib/guest_exec.py" --wait "$T/$name.control" $((${VM_BOOT_SECONDS:-120} * WEFT_PATIENCE)) || {
			tail -n 20 "$T/$name.qemu" "$T/$name.console" >&2 || true
			fail "the guest $name did not come up"
		}
	done
}

# vm_exec NAME COMMAND [SECONDS]: runs a shell command in the guest; its output and its status.
vm_exec() { "$WEFT_ROOT/tests/lib/guest_exec.py" "$T/$1.control" $((${3:-30} * WEFT_PATIENCE)) "$2"; }

# vm_qmp NAME COMMAND [JSON]: a command for QEMU's monitor; prints what it returns.
vm_qmp() {
	python3 - "$T/$1.qmp" "$2" "${3:-{\}}" <<'PYTHON'
import json
import socket
import sys
path, command, arguments = sys.argv[1:]
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.settimeout(120)
connection.connect(path)
lines = connection.makefile("rw")
lines.readline()
for request in ({"execute": "qmp_capabilities"},
                {"execute": command, "arguments": json.loads(arguments)}):
    lines.write(json.dumps(request) + "\n")
    lines.flush()
    while True:
        answer = json.loads(lines.readline())
        if "return" in answer or "error" in answer:
            break
    if "error" in answer:
        sys.exit(f"qmp: {command}: {answer['error']['desc']}")
print(json.dumps(answer["return"]))
PYTHON
}

# vm_arrived OLD NEW: OLD has been migrated to NEW, which was started with -S. What the switch wrote to its memory
# must have arrived (tests/lib/guest_memory.py); then it goes on.
vm_arrived() {
	local queue said
	local -a queues=()
	for queue in 0 1; do
		queues+=("$(vm_qmp "$1" x-query-virtio-queue-status "{\"path\": \"/machine/peripheral/nic0/virtio-backend\", \"queue\": $queue}")")
	done
	wait_until 20 vm_has_loaded "$2"
	said=$("$WEFT_ROOT/tests/lib/guest_memory.py" "${VM_PID[$1]}" "${VM_PID[$2]}" "$VM_ACCEL" "$VM_MEMORY" \
		"${queues[@]}" 2>&1) || fail "$said"
	info "$said"
	vm_qmp "$2" cont >/dev/null
}

# vm_has_loaded NAME: has all of a migration to it been taken in?
vm_has_loaded() { [[ $(vm_qmp "$1" query-status | jq -r .status) == paused ]]; }

# vm_stop NAME: turns the guest off at once.
vm_stop() {
	stop_pid "${VM_PID[$1]}"
	unset "VM_PID[$1]"
}

# vm_is_up NAME: is its QEMU still there?
vm_is_up() { is_running "${VM_PID[$1]:-0}"; }

# vm_ping NAME ADDRESS [PAYLOAD] [COUNT]: true without a single loss.
vm_ping() {
	vm_exec "$1" "ping -c ${4:-10} -i 0.05 -W 5 -s ${3:-56} $2" 60 | finds ' 0% packet loss'
}
