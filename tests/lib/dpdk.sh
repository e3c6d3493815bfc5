# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# DPDK's own virtio driver as a guest without a VM: dpdk-testpmd with net_virtio_user ports.

# testpmd NAME "DEVICE..." TESTPMD-OPTION...: starts one; each DEVICE is what follows
# net_virtio_userN in --vdev, as in "path=$T/a.sock,mac=02:00:00:00:00:01". Its log is $T/NAME.log,
# with the ports' counters every second, its pid TESTPMD_PID. Memory is a memfd: no huge pages.
testpmd() {
	local name=$1 device n=0
	local -a devices=()
	for device in $2; do
		devices+=(--vdev "net_virtio_user$((n++)),$device")
	done
	shift 2
	need dpdk-testpmd
	spawn "$T/$name.log" stdbuf -oL dpdk-testpmd --lcores "0@(0-$(($(nproc) - 1))),1@(0-$(($(nproc) - 1)))" \
		--no-pci --no-shconf --no-telemetry --file-prefix="weft-$$-$name" --no-huge -m 256 "${devices[@]}" \
		-- --auto-start --total-num-mbufs=16384 --stats-period 1 --no-mlockall "$@"
	TESTPMD_PID=$PID
	cleanup rm -rf "/var/run/dpdk/weft-$$-$name"
}

# testpmd_received NAME PORT: frames that its port PORT has received so far.
testpmd_received() {
	awk -v port="$2" '/NIC statistics for port/ { at = $6 } /RX-packets:/ && at == port { n = $2 } END { print n + 0 }' "$T/$1.log"
}

testpmd_has_received() { (($(testpmd_received "$1" "$2") >= $3)); }
