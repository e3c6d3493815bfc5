#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 480
# The main job as a new user meets it: two guests and a host behind a NIC, shown by quickstart.
. "$(dirname "$0")/../lib/weft.sh"
. "$(dirname "$0")/../lib/vm.sh"
need_root
tmpdir
vm_prepare

env -u WEFT_REQUIRE_ALL WEFT_BUILD="$WEFT_BUILD" "$WEFT_ROOT/packaging/quickstart" --once >"$T/out" 2>&1 || {
	cat "$T/out"
	fail "quickstart --once ended with an error"
}
grep -q 'Everything worked' "$T/out" || fail "it does not say so"
! grep -q 'weftctl.*error' "$T/out" || fail "a command of weftctl failed"

# Ended in the middle it leaves nothing: no namespace, no process, no directory.
leftovers() {
	ip netns | grep "weft-$1-" || true
	grep -lsz "^WEFT_MARK=$$\$" /proc/[0-9]*/environ || true
	find "$T" -mindepth 1 -maxdepth 1 -name 'weft.quickstart.*'
}
WEFT_MARK=$$ TMPDIR=$T "$WEFT_ROOT/packaging/quickstart" >"$T/interrupted" 2>&1 </dev/null &
pid=$!
cleanup stop_pid "$pid"
wait_until 120 grep -q '\[5/6\]' "$T/interrupted"
kill -TERM "$pid"
wait "$pid" || true
is_clean() { [[ -z $(leftovers "$pid") ]]; }
until_true 20 is_clean || fail "left behind: $(leftovers "$pid")"
