#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Frames flow without loss while a thousand clients are silent, others send garbage or read nothing,
# metrics are scraped, and the configuration changes beside them.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need python3 ping
weft_test clients
host a 10.99.0.1/24 02:00:00:00:00:0a
host b 10.99.0.2/24 02:00:00:00:00:0b
config <<YAML
metrics: {listen: 127.0.0.1:9469}
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b}
YAML
weft_start
wait_until 15 ping_ok a 10.99.0.2 56 3

# flow SECONDS COMMAND...: pings from a to b run beside the command; none may be lost.
flow() {
	local seconds=$1
	shift
	in_ns a ping -n -q -i 0.005 -c $((seconds * 200)) -W 3 10.99.0.2 >"$T/ping" 2>&1 &
	local pid=$!
	"$@"
	wait "$pid" || true
	grep -q ' 0% packet loss' "$T/ping" || fail "frames were lost: $(grep loss "$T/ping")"
}

info "a thousand silent clients and floods of garbage"
flow 5 python3 "$WEFT_ROOT/tests/lib/crowd.py" "$SOCKET" 4
eventually '.version' version
wait_until 10 python3 - "$WEFTD_PID" <<'PY'
import os, sys
assert len(os.listdir(f"/proc/{sys.argv[1]}/fd")) < 200, "descriptors of clients that left are still open"
PY

info "metrics under load"
scrape() {
	in_ns sw python3 -c '
import urllib.request
for _ in range(200):
    assert urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=10).read().endswith(b"# EOF\n")'
}
flow 3 scrape
in_ns sw python3 -c '
import re, urllib.request
text = urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=10).read().decode()
assert int(re.search(r"weft_port_rx_frames_total\{port=\"a\"\} (\d+)", text)[1]) > 1000
assert re.search(r"weft_xdp_program\{port=\"a\",counter=\"redirected\"\} [1-9]", text)
assert re.search(r"weft_xdp_queue\{port=\"a\",queue=\"0\",counter=\"kernel_rx_dropped\"\} \d", text)' || fail "the counters of the ports"

info "ports that do not change lose nothing while others come, go and change"
changes() {
	local i
	for i in 1 2 3 4 5; do
		ctl port add "vm$i" type vhost-user socket "$T/vm$i.sock" vlan access $((10 + i))
		ctl port set "vm$i" vlan trunk 20,30-40 native 5 policy isolated true
		ctl config save >/dev/null
		sed -i "s/mode: server/mode: server/; s/age: .*/age: $((100 + i))/" "$T/weft.yaml"
		kill -HUP "$WEFTD_PID"
		ctl config set fdb age $((200 + i)) >/dev/null
		ctl config reload >/dev/null
		ctl port del "vm$i"
	done
}
flow 4 changes
check 'length == 2' port show
