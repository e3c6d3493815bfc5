#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What all ports share is changed while frames flow as fast as they can: workers, how they idle, the
# table of addresses. By commands, by the file, and saved. Nothing is lost.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/flow.sh
. "$(dirname "$0")/../lib/flow.sh"

(($(nproc) > 1)) || skip "one core alone"
weft_test workers
config <<YAML
workers: [{core: 1}]
ports:
  - {name: a, type: vhost-user, socket: @T@/a.sock}
  - {name: b, type: vhost-user, socket: @T@/b.sock}
  - {name: c, type: vhost-user, socket: @T@/c.sock, queues: 2}
YAML
weft_start

info "workers come, go and move"
workers() {
	local i
	for i in 1 2 3; do
		ctl worker add core 0
		check 'map(.core) == [1, 0]' worker show
		check 'map(.queues | length) == [2, 2]' worker show
		ctl worker set 1 port a queue 0
		ctl worker set 0 port b queue 0
		ctl worker del 0
		check 'map(.core) == [0] and (.[0].queues | length) == 4' worker show
		ctl worker set 0 core 1
		check 'map(.core) == [1] and (.[0].queues | length) == 4' worker show
		ctl port set a workers default
		ctl port set b workers default
	done
}
flow workers
for task in /proc/"$WEFTD_PID"/task/*; do
	[[ $(<"$task/comm") != weft-worker* || $(awk '/^CapPrm/ {print $2}' "$task/status") =~ ^0+$ ]] ||
		fail "the thread $(<"$task/comm") has capabilities"
done

info "how they idle"
idle() {
	ctl config set idle poll >/dev/null
	ctl config set idle-us 1000 >/dev/null
	ctl config set idle default >/dev/null
	ctl config set idle-us default >/dev/null
}
flow idle
info "how long frames wait"
patience() {
	ctl config set patience-us 0 >/dev/null
	ctl config set patience-us 1000 >/dev/null
	ctl config set patience-us default >/dev/null
}
flow patience
ctl config set idle poll >/dev/null
eventually '.[0].state == "polling"' worker show
sleeps=$(ctl -j worker show | jq '.[0].sleeps')
passes=$(ctl -j worker show | jq '.[0].passes')
eventually ".[0].passes > $passes + 100000" worker show
check ".[0].sleeps == $sleeps" worker show
ctl config set idle default >/dev/null
eventually '.[0].state == "asleep"' worker show

info "how many addresses it knows"
ctl fdb add 52:54:00:00:00:01 port c
tables() {
	local max
	for max in 100000 16 1000000 64 65536; do
		ctl config set fdb max "$max" >/dev/null
		[[ $(ctl -j config show | jq '.config.fdb.max') == "$max" ]] || fail "fdb.max is not $max"
		check 'map(select(.static)) | length == 1' fdb show
		check 'map(select(.static | not)) | length == 2' fdb show
	done
}
flow tables

info "by the file, and saved into it"
by_file() {
	sed -i 's/^workers:.*/workers: [{core: 0}, {core: 1}]/; 1i idle: poll' "$T/weft.yaml"
	kill -HUP "$WEFTD_PID"
	eventually 'map(.core) == [0, 1]' worker show
	ctl config reload | finds 'unchanged' || fail "reload"
	ctl worker del 1
	ctl config save >/dev/null
	[[ $(grep -c 'core:' "$T/weft.yaml") == 1 ]] || fail "not saved: $(cat "$T/weft.yaml")"
	ctl config set workers '[{"core": 1}, {"core": 0}]' >/dev/null
	check 'map(.core) == [1, 0]' worker show
	ctl config reload >/dev/null
	check 'map(.core) == [0]' worker show
	ctl config set workers default idle default >/dev/null
	check 'length == 1' worker show
	check '.config | has("workers") | not' config show
}
flow by_file

info "ports that name workers go on naming the same"
ctl config set workers '[{"core": 0}, {"core": 1}]' >/dev/null
ctl port set c workers 1,0
ctl worker del 0
check 'map(select(.name == "c"))[0].config.workers == [0, 0]' port show
ctl worker add core 0
ctl port set c workers 0,1
ctl worker del 1
check 'map(select(.name == "c"))[0].config.workers == [0, 0]' port show
ctl port set c workers default

info "what cannot be is refused with a sentence, and changes nothing"
before=$(ctl -j config show | jq -S .config)
ctl_refuses 'core 1000 is not there, or not for weftd' worker add core 1000
ctl_refuses 'core 1 has worker 0 already' worker add core 1
ctl_refuses 'the last one cannot be removed' worker del 0
ctl_refuses 'there is no worker 7; the last is 0' worker del 7
ctl_refuses 'there is no worker 7; the last is 0' worker set 7 core 0
ctl_refuses 'core 1000 is not there' worker set 0 core 1000
ctl_refuses 'either a port and a queue' worker set 0
ctl_refuses 'either a port and a queue' worker set 0 port a
ctl_refuses 'either a port and a queue' worker set 0 port a core 0
ctl_refuses 'core 0 has worker 0 already' config set workers '[{"core": 0}, {"core": 0}]'
ctl_refuses 'fdb.max: .*16 to' config set fdb max 3
for i in $(seq 20); do ctl fdb add "52:54:00:00:01:$(printf %02x "$i")" port c; done
ctl_refuses 'there are 20 static addresses, which always stay' config set fdb max 16
ctl fdb flush
# Refused as a whole: what came before in the same request is taken back.
ctl_refuses 'there are 20 static addresses' config set fdb max 16 metrics listen 127.0.0.1:9469
in_ns sw python3 -c 'import socket; socket.create_connection(("127.0.0.1", 9469))' 2>/dev/null && fail "half of it was applied"
for i in $(seq 20); do ctl fdb del "52:54:00:00:01:$(printf %02x "$i")"; done
[[ $(ctl -j config show | jq -S .config) == "$before" ]] || fail "something changed: $before
$(ctl -j config show | jq -S .config)"
exit 0
