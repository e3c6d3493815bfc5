# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For a test of the switch: a weftd of its own, started, asked and stopped.

# shellcheck source=tests/lib/base.sh
. "$(dirname "${BASH_SOURCE[0]}")/base.sh"
# shellcheck source=tests/lib/net.sh
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

WEFTD=$WEFT_BUILD/control/weftd
WEFTCTL=$WEFT_BUILD/cli/weftctl
WEFTD_PID=
SOCKET=
# What weftd is started with, as in: (setpriv --bounding-set=-net_admin)
WEFTD_WRAPPER=()

# Sanitizers of the debug build: any finding ends weftd with this status, and the test with it.
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:exitcode=99:detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:exitcode=99:print_stacktrace=1}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$WEFT_ROOT/tests/lib/lsan.supp:print_suppressions=0}

# weft_test: prepares a test: T is its directory, `sw` the namespace in which the switch runs.
weft_test() {
	need_root
	need ip jq setpriv
	[[ -x $WEFTD && -x $WEFTCTL ]] || fail "no weftd in $WEFT_BUILD; build it first: meson setup build && ninja -C build"
	tmpdir
	SOCKET=$T/api.sock
	ns_add sw
	at_exit weft_finish
}

# need_fd_store: in FD_STORE the stand-in for a service manager. Its interpreter is started directly and bare:
# through a wrapper that looks for it, it would take longer than weftd.
need_fd_store() {
	need python3
	FD_STORE=("$(python3 -c 'import sys; print(sys.executable)')" -SE "$WEFT_ROOT/tests/lib/fd_store.py")
}

# config: writes standard input to the configuration; @T@ becomes the test's directory.
config() { sed "s|@T@|$T|g" >"$T/weft.yaml"; }

# weft_start [ARGUMENT...]: starts weftd on that configuration and waits until it answers.
weft_start() {
	weft_spawn "$@"
	until_true 20 weft_answers || fail "weftd does not answer on $SOCKET"
	is_running "$WEFTD_PID" || fail "weftd ended at start"
}

weft_spawn() {
	local log=$T/weftd.log
	[[ ! -e $log ]] || cat "$log" >>"$T/weftd.log.old"
	spawn "$log" ip netns exec "$(ns sw)" "${WEFTD_WRAPPER[@]}" "$WEFTD" -c "$T/weft.yaml" -s "$SOCKET" --foreground "$@"
	WEFTD_PID=$PID
}

# True too when weftd has ended, so that waiting for it ends at once.
weft_answers() { ! is_running "$WEFTD_PID" || ctl version; }

# weft_stop: ends weftd as an operator would; it must end with status 0.
weft_stop() {
	local pid=$WEFTD_PID
	WEFTD_PID=
	[[ $pid ]] || return 0
	stop_pid "$pid"
	[[ $STATUS == 0 ]] || {
		show_log
		fail "weftd ended with status $STATUS"
	}
}

# weft_kill: ends weftd as a crash would.
weft_kill() {
	kill -KILL "$WEFTD_PID"
	wait "$WEFTD_PID" 2>/dev/null || true
	WEFTD_PID=
}

# The end of it: what went wrong before is not to be pushed out of sight.
show_log() { tail -n 25 "$T"/weftd.log | sed 's/^/    weftd: /' >&2 || true; }

# weft_finish STATUS: at a test's end weftd must still be there and stop cleanly.
weft_finish() {
	local pid=$WEFTD_PID status=$1
	if [[ $pid ]]; then
		is_running "$pid" || { echo "weftd died" >&2; status=1; }
		stop_pid "$pid"
		[[ $STATUS == 0 ]] || { echo "weftd ended with status $STATUS" >&2; status=1; }
	fi
	if grep -qE 'Sanitizer|runtime error:' "$T"/*.log "$T"/*.log.old 2>/dev/null; then
		echo "a sanitizer found something" >&2
		status=1
	fi
	[[ $status == 0 || $status == 77 || ! -e $T/weftd.log ]] || show_log
	return "$status"
}

# ctl WORD...: weftctl on this test's switch.
ctl() { "$WEFTCTL" -s "$SOCKET" "$@"; }

# has JQ_CONDITION WORD...: is the condition true of `weftctl -j WORD...`?
has() {
	local condition=$1
	shift
	ctl -j "$@" 2>/dev/null | jq -e "$condition" >/dev/null
}

# check JQ_CONDITION WORD...: it must be, now.
check() {
	has "$@" || fail "not true of 'weftctl ${*:2}': $1
$(ctl -j "${@:2}" 2>&1)"
}

# eventually JQ_CONDITION WORD...: it must become so within ten seconds.
eventually() {
	until_true "${DEADLINE:-10}" has "$@" || check "$@"
}

# ctl_refuses PATTERN WORD...: the command must fail, with a sentence that matches PATTERN.
ctl_refuses() {
	local pattern=$1 output status=0
	shift
	output=$(ctl "$@" 2>&1) || status=$?
	[[ $status != 0 ]] || fail "weftctl $* succeeded: $output"
	expect "$output" "$pattern" "weftctl $*"
}

# weftd_refuses PATTERN: weftd must not start on the configuration, and say why in one sentence.
weftd_refuses() {
	local output status=0
	output=$(ip netns exec "$(ns sw)" timeout 20 "$WEFTD" -c "$T/weft.yaml" -s "$SOCKET" --foreground 2>&1) || status=$?
	[[ $status != 0 && $status != 124 ]] || fail "weftd did not refuse the configuration (status $status): $output"
	[[ $status -lt 90 ]] || fail "weftd crashed (status $status): $output"
	expect "$output" "$1" "weftd's message"
}

# --- what the JSON of weftctl looks like, for conditions ---

# stat_of PORT COUNTER: the expression for a port's counter in `stats show`.
stat_of() { echo "(map(select(.port == \"$1\"))[0].$2)"; }

# drops_of PORT [REASON]: the expression for its drops, all or of one reason.
drops_of() {
	local drops="map(select(.port == \"$1\"))[0].drops"
	if [[ ${2:-} ]]; then echo "($drops.$2 // 0)"; else echo "([${drops}[]] | add // 0)"; fi
}

# drops PORT REASON: that number, now.
drops() { ctl -j stats show | jq "$(drops_of "$1" "$2")"; }

# mac_of NS: the address of that host's eth0.
mac_of() { in_ns "$1" cat /sys/class/net/eth0/address; }

# bulk HOST OPTION...: a run of iperf3 from that host; prints what it says.
bulk() {
	local from=$1 output status i
	shift
	for ((i = 0; i < 5; i++)); do
		status=0
		output=$(in_ns "$from" timeout 60 iperf3 "$@" 2>&1) || status=$?
		[[ $status != 0 && $output =~ $IPERF_BUSY ]] || break
		sleep 0.2
	done
	printf '%s\n' "$output"
	return "$status"
}
