#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# wakeup-us: what the kernel is asked for, of the whole host, while weftd runs and wants it, and no longer.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

weft_test wakeup
FILE=/dev/cpu_dma_latency

info "a value that cannot be is refused with the key"
config <<<'wakeup-us: 1000001'
weftd_refuses 'weft.yaml:1:12: wakeup-us: a number from 0 to 1000000 is expected'

info "who may not ask is told what and why, and runs; who does not ask is told nothing"
# What runs as nobody, with a file that is root's in the place of the device, if there is one.
touch "$T/none"
chmod 0600 "$T/none"
NOBODY=(unshare -m --propagation private bash -c '[[ ! -e $1 ]] || mount --bind "$2" "$1"
	exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "${@:3}"' nobody "$FILE" "$T/none")
chown 65534:65534 "$T"
as_nobody() {
	spawn "$T/weftd.log" "${NOBODY[@]}" "$WEFTD" -c "$T/weft.yaml" -s "$SOCKET"
	WEFTD_PID=$PID
	until_true 20 weft_answers || fail "weftd does not answer"
	is_running "$WEFTD_PID" || fail "weftd ended at start"
}
config <<<'wakeup-us: 20'
as_nobody
why="wakeup-us: $FILE: (Permission denied; start weftd as root|No such file or directory; )"
wait_until 10 finds -E "$why" "$T/weftd.log"
health() { { ctl -j health || true; } | jq -e "$1" >/dev/null || fail "health: $(ctl health || true)"; }
health 'map(select(.about == "wakeup-us")) | length == 1 and (.[0] | .code == "wakeup-refused" and .level == "note" and .remedy != "")'
ctl_refuses "$why" config set wakeup-us 30
check '.config."wakeup-us" == 20' config show
ctl config set wakeup-us default >/dev/null
check '.config | has("wakeup-us") | not' config show
health 'any(.about == "wakeup-us") | not'
weft_stop
config <<<'ports: []'
as_nobody
finds wakeup "$T/weftd.log" && fail "told without a reason: $(<"$T/weftd.log")"
weft_stop
config <<<'wakeup-us: 20'
"${NOBODY[@]}" "$WEFTD" --check -c "$T/weft.yaml" >"$T/check" 2>&1 || fail "--check refuses it: $(<"$T/check")"
finds "wakeup-us: $FILE: " "$T/check" || fail "--check does not say what is missing: $(<"$T/check")"
chown 0:0 "$T"

if [[ ! -e $FILE ]]; then
	info "there is no $FILE here: what the kernel makes of it was not tried"
	exit 0
fi

# What is in effect for the host: the shortest of all requests, other tests' too.
alone wakeup
latency() { od -An -td4 -N4 $FILE | tr -d ' '; }
is() { [[ $(latency) == "$1" ]]; }
is_at_most() { (($(latency) <= $1)); }
before=$(latency)
info "before: $before us"
rest() { wait_until 10 is "$before"; }

info "in effect as long as weftd runs and asks"
config <<<'wakeup-us: 20'
weft_start
is_at_most 20 || fail "$(latency) us are allowed"
ctl config set wakeup-us 10 >/dev/null
is_at_most 10 || fail "$(latency) us are allowed"
ctl config set wakeup-us default >/dev/null
rest
ctl_refuses 'a number from 0 to 1000000' config set wakeup-us -1
ctl config set wakeup-us 15 >/dev/null
is_at_most 15 || fail "$(latency) us are allowed"
ctl config save >/dev/null
grep -q '^wakeup-us: 15$' "$T/weft.yaml" || fail "not saved: $(<"$T/weft.yaml")"
sed -i 's/^wakeup-us: 15$/wakeup-us: 5/' "$T/weft.yaml"
ctl config reload >/dev/null
is_at_most 5 || fail "$(latency) us are allowed"

info "it ends with weftd, however that ends"
weft_stop
rest
weft_start
is_at_most 5 || fail "$(latency) us are allowed"
weft_kill
rest
exit 0
