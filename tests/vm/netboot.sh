#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# A guest without a disk starts from the network through the switch: first the card's firmware (iPXE)
# drives the device, with hardly a feature, and fetches a kernel; then that kernel drives it, with all.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/guests.sh
. "$(dirname "$0")/../lib/guests.sh"

need dnsmasq busybox cpio
[[ $(uname -m) == x86_64 ]] || skip "a PC, for the firmware on the card"
weft_test
vm_prepare

# What the network has for it: the kernel as packaged, and the small ones of the test guests' files.
mkdir "$T/boot" "$T/root"
KERNEL=("${VM_KERNEL%/*}"/boot/vmlinuz-*)
install -m 644 "${KERNEL[0]}" "$T/boot/kernel"
(cd "$T/root" && cpio -id --quiet && rm -rf usr lib/*-linux-gnu lib64 &&
	find . | cpio -o -H newc --quiet | gzip -1) <"$VM_INITRAMFS" >"$T/boot/initramfs"
cat >"$T/boot/script" <<IPXE
#!ipxe
kernel tftp://10.0.0.254/kernel initrd=initramfs console=$VM_CONSOLE $VM_CMDLINE weft.came=over-the-network
initrd tftp://10.0.0.254/initramfs
boot
IPXE
FETCHED=$(($(stat -c %s "$T/boot/kernel") + $(stat -c %s "$T/boot/initramfs")))

# The server of that network. The firmware asks for IPv6 too, and waits long where no router answers.
host h 10.0.0.254/24 02:00:00:00:00:fe
ip -n "$(ns h)" addr add fd00::fe/64 dev eth0
spawn "$T/dnsmasq" ip netns exec "$(ns h)" dnsmasq --no-daemon --conf-file=/dev/null --user=root --port=0 \
	--interface=eth0 --bind-interfaces --leasefile-ro --no-ping \
	--dhcp-range=10.0.0.1,10.0.0.1,1h --dhcp-userclass=set:ipxe,iPXE --dhcp-boot=tag:ipxe,script \
	--enable-ra --dhcp-range=fd00::,ra-only --enable-tftp --tftp-root="$T/boot"

config <<'YAML'
ports:
  - {name: vm, type: vhost-user, socket: "@T@/vm.sock", mode: server}
  - {name: h, type: af-xdp, device: h}
YAML
weft_start
spawn "$T/events" "$WEFTCTL" -s "$SOCKET" -j monitor port vm link-up link-down

# What the kernel's driver makes use of, and firmware does not.
KERNELS='["EVENT_IDX", "INDIRECT_DESC", "MRG_RXBUF", "CSUM", "GUEST_CSUM", "HOST_TSO4", "GUEST_TSO4"]'

features() { ctl -j port show vm | jq -c '.[0].details.features'; }
sent() { ctl -j stats show | jq "$(stat_of vm tx_bytes)"; }

# links: a letter for each change so far: f and k, up for firmware and for a kernel; d, down.
links() {
	jq -rj 'if .event == "link-down" then "d" elif .text | test("EVENT_IDX") then "k" else "f" end' "$T/events"
}
links_are() { [[ $(links) == "$1" ]]; }

# starts HOW LINKS FEATURE|-FEATURE: from firmware to a kernel that answers; LINKS is what this adds.
EXPECTED=''
starts() {
	local how=$1 feature=$3 before=$SENT has='' by_firmware by_kernel bytes
	[[ $feature != -* ]] || has='| not'
	EXPECTED+=$2
	DEADLINE=60 eventually ".[0].state == \"up\" and (.[0].details.features | . - $KERNELS == .)" port show vm
	by_firmware=$(features)
	vm_wait vm
	by_kernel=$(features)
	bytes=$(($(sent) - before))
	info "$how: firmware with $by_firmware fetched $bytes bytes; kernel with $by_kernel"
	((bytes > FETCHED)) || fail "$how: the kernel came another way: $bytes bytes of $FETCHED through the port"
	jq -en "$KERNELS - $by_kernel == []" >/dev/null || fail "$how: the kernel lacks some of $KERNELS"
	jq -en "[$by_firmware, $by_kernel] | all(index(\"${feature#-}\") $has)" >/dev/null || fail "$how: $feature"
	until_true 20 links_are "$EXPECTED" || fail "$how: the link's changes were $(links), not $EXPECTED"
	[[ $(vm_exec vm 'cat /proc/cmdline') == *weft.came=over-the-network* ]] || fail "$how: another kernel"
	guest_up vm 1
	wait_until 30 vm_ping vm 10.0.0.254 56 1
	vm_ping vm 10.0.0.254 1472 || fail "$how: loss once the kernel had the card"
	wait_until 30 vm_ping vm fd00::fe 1400 2
}

SENT=0
vm_start vm "$T/vm.sock" 52:54:00:00:00:01 boot=net
starts 'first start' fdk VERSION_1
SENT=$(sent)
vm_qmp vm system_reset >/dev/null
starts 'reset' dfdk VERSION_1
vm_stop vm
eventually '.[0].state == "down"' port show vm
SENT=$(sent)
vm_start vm "$T/vm.sock" 52:54:00:00:00:01 boot=net device=disable-modern=on,disable-legacy=off
starts 'legacy card' ddfdk -VERSION_1
no_drops malformed bad_address too_long
