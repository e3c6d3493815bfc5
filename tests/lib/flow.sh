# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Frames between two guests without a VM, as fast as this machine does them beside a test's commands.
#
# Each guest has at most FLOW_WINDOW frames on their way, fewer than its partner's ring holds: so no
# ring can be full, and a frame that does not arrive was lost by the switch. Every frame is numbered
# and its content checked.

FLOW_WINDOW=64
FLOW_RING=1024
GEN=$WEFT_BUILD/tests/bench/gen

flow_guests() {
	local run=0
	while ((run == 0)) || [[ -e $T/flowing ]]; do
		"$GEN" load --verify --window "$FLOW_WINDOW" --ring "$FLOW_RING" --seconds 2 --warmup 0.1 \
			--core 0 --peer-core -1 "$T/a.sock" "$T/b.sock" >"$T/flow.$run.json" || return 1
		run=$((run + 1))
	done
}

# flow COMMAND...: frames flow between the ports with the sockets a.sock and b.sock in the test's
# directory while the command runs; none may be lost, doubled, changed or overtaken.
flow() {
	rm -f "$T"/flow.*.json
	: >"$T/flowing"
	flow_guests >"$T/flow.log" 2>&1 &
	local pid=$! status=0 file
	cleanup stop_pid "$pid"
	wait_until 20 flow_is_on
	"$@"
	rm "$T/flowing"
	wait "$pid" || status=$?
	((status == 0)) || fail "the guests ended with status $status: $(cat "$T/flow.log")"
	for file in "$T"/flow.*.json; do
		jq -e '.lost + .late + .doubled + .altered + .bad_header + .overrun == 0 and .rx_frames > 1000' "$file" >/dev/null ||
			fail "frames were lost or changed: $(cat "$file")"
	done
	info "  $(jq -s '(map(.total_rx) | add | tostring) + " frames, " + (map(.mpps) | max | tostring) + " million a second at best"' "$T"/flow.*.json)"
}

flow_is_on() { has 'map(select(.name == "a" and .rx_frames > 1000)) | length == 1' port show; }
