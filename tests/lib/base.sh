# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What every script of weft shares: messages, cleaning up, child processes, waiting for conditions.
#
# Whatever a script makes it registers with `cleanup` at once. The list runs backwards when the
# script ends, however it ends; children die even if the script itself is killed.

set -eEuo pipefail
# No command fails in silence.
trap 'echo "${BASH_SOURCE[0]}:$LINENO: status $?: $BASH_COMMAND" >&2' ERR

WEFT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
WEFT_CACHE=${WEFT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/weft}
WEFT_BUILD=${WEFT_BUILD:-$WEFT_ROOT/build}
# The system's own tools first: a python of the user's would not find Debian's modules.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
# How many times longer than they say deadlines are: they are made for a machine that has nothing else to do, and
# others are three times slower. Who succeeds waits no longer for it.
WEFT_PATIENCE=${WEFT_PATIENCE:-4}
export WEFT_ROOT WEFT_CACHE WEFT_BUILD WEFT_PATIENCE PATH LC_ALL=C.UTF-8

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
	BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' BLUE=$'\e[36m' PLAIN=$'\e[0m'
else
	BOLD='' DIM='' RED='' GREEN='' YELLOW='' BLUE='' PLAIN=''
fi
export BOLD DIM RED GREEN YELLOW BLUE PLAIN

info() { printf '%s\n' "${DIM}--${PLAIN} $*"; }

# fail SENTENCE...: ends the script with status 1.
fail() {
	printf '%s\n' "${RED}FAILED:${PLAIN} $*" >&2
	exit 1
}

# skip WHAT IS MISSING...: ends a test with status 77, or 1 where nothing may be missing.
skip() {
	if [[ ${WEFT_REQUIRE_ALL:-0} == 1 ]]; then
		fail "missing, and WEFT_REQUIRE_ALL=1: $*"
	fi
	echo "SKIP: $*"
	exit 77
}

# need COMMAND...: skips the test without these commands.
need() {
	local command
	for command; do
		command -v "$command" >/dev/null || skip "the command $command"
	done
}

need_root() { [[ $EUID == 0 ]] || skip "root, for network namespaces"; }

# --- cleaning up ---

CLEANUP=()
EXIT_CHECKS=()

# cleanup COMMAND...: to run at the end, last in first out.
cleanup() { CLEANUP+=("$(printf '%q ' "$@")"); }

# at_exit COMMAND...: a check to run before cleaning up; if it fails, so does the script.
at_exit() { EXIT_CHECKS+=("$(printf '%q ' "$@")"); }

run_cleanup() {
	local status=$? i
	trap '' INT TERM HUP
	trap - EXIT
	set +e
	for i in "${EXIT_CHECKS[@]}"; do
		eval "$i $status" || { [[ $status != 0 ]] || status=1; }
	done
	for ((i = ${#CLEANUP[@]} - 1; i >= 0; i--)); do
		eval "${CLEANUP[i]}" >/dev/null 2>&1
	done
	exit "$status"
}
trap run_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# tmpdir: sets T to a directory that goes away with the script. Short: socket paths are limited.
tmpdir() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/weft.${1:-t}.XXXXXX")
	cleanup rm -rf "$T"
}

# --- child processes ---

# spawn LOG COMMAND...: starts COMMAND in the background with its output in LOG; its pid is in PID.
# It is stopped at the end, and by the kernel if this script dies first.
spawn() {
	local log=$1
	shift
	: >"$log" # now, not once the child runs: whoever waits for a word there must not read an old one
	setpriv --pdeathsig KILL -- "$@" >"$log" 2>&1 </dev/null &
	PID=$!
	cleanup stop_pid "$PID"
}

# is_running PID: is it there, and not a zombie?
is_running() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	[[ ${stat##*) } != Z* ]]
}

# stop_pid PID: ends a child of this script, by force after 20 seconds (closing a network device waits for
# the kernel, on a busy machine for seconds). Its status in STATUS.
stop_pid() {
	local pid=$1 i
	STATUS=0
	kill -TERM "$pid" 2>/dev/null || true
	for ((i = 0; i < 400; i++)); do
		is_running "$pid" || break
		sleep 0.05
	done
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || STATUS=$?
	return 0
}

# --- conditions ---

now_ms() { echo "${EPOCHREALTIME/./}" | sed 's/...$//'; }

# until_true SECONDS COMMAND...: runs COMMAND until it succeeds; false if it never did in time (SECONDS times
# WEFT_PATIENCE).
until_true() {
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000 * WEFT_PATIENCE))
	shift
	until "$@" >/dev/null 2>&1; do
		((${EPOCHREALTIME/./} < deadline)) || return 1
		sleep 0.05
	done
}

# wait_until SECONDS COMMAND...: the same, but fails the script and says what did not come true.
wait_until() { until_true "$@" || fail "not true within $1 s, $WEFT_PATIENCE times over: ${*:2}"; }

# alone WHAT: from now on until `not_alone`, or the end, no other script is alone with the same part of this
# host, such as a file of the kernel's that is there once.
ALONE=
alone() {
	[[ ! $ALONE ]] || return 0
	mkdir -p "$WEFT_CACHE"
	exec {ALONE}>"$WEFT_CACHE/alone-$1"
	flock "$ALONE"
}

not_alone() {
	[[ ! $ALONE ]] || exec {ALONE}>&-
	ALONE=
}

# finds [GREP'S OPTIONS] PATTERN: does a line of the input match? Unlike `grep -q` it reads all of the input, so that
# what writes it never ends by SIGPIPE, which `pipefail` would make a failure, or with `!` a success.
finds() { [[ $(grep -c "$@" || true) != 0 ]]; }

# Between two tests iperf3's server closes the socket it listens on: a client that comes just then is reset, told that the
# server is busy, or refused. It may come again.
IPERF_BUSY='control message|busy running|refused'

# expect TEXT PATTERN WHAT: TEXT must match the extended regular expression.
expect() {
	[[ $1 =~ $2 ]] || fail "$3: expected /$2/, got: $1"
}
