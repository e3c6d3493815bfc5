#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Addresses are learnt, move with their host, age, can be set, flushed and shown.
. "$(dirname "$0")/../lib/weft.sh"
weft_test

host a '' 02:00:00:00:00:01
host b '' 02:00:00:00:00:02
host c '' 02:00:00:00:00:03

config <<'YAML'
ports:
  - {name: a, type: af-xdp, device: a}
  - {name: b, type: af-xdp, device: b}
  - {name: c, type: af-xdp, device: c}
YAML
weft_start
eventually 'length == 3 and all(.[]; .state == "up")' port show

M=02:00:00:00:00:aa
at() { echo "[.[] | select(.mac == \"$1\") | .port] == $2"; }

# Learnt: a frame for M goes to a alone.
say a $M
eventually "$(at $M '["a"]')" fdb show
frames b:eth0 c:eth0 --sizes 60 --none --src 02:00:00:00:00:02 --dst $M
say a $M
frames b:eth0 a:eth0 --sizes 60 --src 02:00:00:00:00:02 --dst $M

# Moved: it shows up behind c, once, and frames follow.
say c $M
eventually "$(at $M '["c"]')" fdb show
frames b:eth0 c:eth0 --sizes 60 --src 02:00:00:00:00:02 --dst $M

# Silent for longer than it may be: forgotten, and flooded again.
ctl config set fdb age 1 >/dev/null
eventually "$(at $M '[]')" fdb show
ctl config set fdb age default >/dev/null
frames b:eth0 a:eth0 --sizes 60 --src 02:00:00:00:00:02 --dst $M

# said PORT SOURCE-MAC: as say, and the switch has seen it: it knows an address that was said after it.
said() {
	say "$1" "$2"
	MARK=02:00:00:00:01:$(printf %02x $((++MARKS)))
	say "$1" "$MARK"
	eventually "$(at "$MARK" "[\"$1\"]")" fdb show
}
MARKS=0

# A group address as the source is never learnt.
said a 03:00:00:00:00:aa
check "$(at 03:00:00:00:00:aa '[]')" fdb show

# Set by hand it stays, whatever a host says; then it is deleted.
ctl fdb add $M port b
said a $M
check "$(at $M '["b"]')" fdb show
ctl fdb flush
check "$(at $M '["b"]')" fdb show
ctl fdb del $M
check "$(at $M '[]')" fdb show

# A port that goes takes its addresses along.
say a $M
eventually "$(at $M '["a"]')" fdb show
ctl port del a
check "$(at $M '[]')" fdb show
