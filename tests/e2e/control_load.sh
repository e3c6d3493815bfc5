#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Clients of every kind, scrapes and changes beside guests that send as fast as this machine does: they
# lose nothing, and every frame keeps its place.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"
# shellcheck source=tests/lib/flow.sh
. "$(dirname "$0")/../lib/flow.sh"

need python3
weft_test load
config <<YAML
metrics: {listen: 127.0.0.1:9469}
ports:
  - {name: a, type: vhost-user, socket: @T@/a.sock}
  - {name: b, type: vhost-user, socket: @T@/b.sock}
YAML
weft_start

info "a thousand silent clients and floods of garbage"
flow python3 "$WEFT_ROOT/tests/lib/crowd.py" "$SOCKET" 3

info "scrapes"
scrape() {
	in_ns sw python3 -c '
import urllib.request
for _ in range(200):
    assert urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=20).read().endswith(b"# EOF\n")'
}
flow scrape

info "other ports that come, go and change, and reloads"
changes() {
	local i
	for i in 1 2 3; do
		ctl port add "vm$i" type vhost-user socket "$T/vm$i.sock" vlan access $((10 + i)) >/dev/null
		ctl port set "vm$i" vlan trunk 20,30-40 native 5 policy isolated true >/dev/null
		ctl config save >/dev/null
		kill -HUP "$WEFTD_PID"
		ctl config set fdb age $((200 + i)) >/dev/null
		ctl config reload >/dev/null
		ctl port del "vm$i"
	done
}
flow changes
check 'map(select(.name == "a" or .name == "b")) | length == 2' port show
