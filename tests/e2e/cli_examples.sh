#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Every example of the README, of the help texts, of the manual pages and of the documents is run,
# and every configuration that they show is checked.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need script
weft_test examples
mkdir "$T/run"
cd "$T"

# here: the examples name /run/weft and /etc/weft; this test has directories of its own.
here() { sed "s|/run/weft|$T/run|g; s|/etc/weft|$T|g; s|\\bweft0\\b|w$$|g"; }

fresh() {
	weft_stop
	not_alone
	config <<YAML
ports:
  - {name: vm1, type: vhost-user, socket: @T@/run/vm1.sock, vlan: {access: 10}}
YAML
	weft_start
}

COUNT=0
# run_line "weftctl ...": what waits for frames or events, and what shows a screen, may be cut off.
run_line() {
	local line=$1 status=0 output
	local -a words
	read -ra words <<<"$line"
	case $line in
	# In the foreground it sends no SIGCONT, which a leak check at exit does not survive.
	*capture* | *monitor* | *" top") set -- timeout --foreground 1 ;;
	*) set -- ;;
	esac
	case ${words[0]} in
	weftctl) output=$("$@" "$WEFTCTL" -s "$SOCKET" "${words[@]:1}" 2>&1) || status=$? ;;
	weftd) output=$(ip netns exec "$(ns sw)" "$WEFTD" "${words[@]:1}" 2>&1) || status=$? ;;
	esac
	[[ $status == 0 || ($# -gt 0 && $status == 124) ]] || fail "the example '$line' of $FROM: $output"
	COUNT=$((COUNT + 1))
}

# A command whose object must be there first.
prepare() {
	case $1 in
	*"port set vm2"* | *"port del vm2"* | *"port show vm2"*)
		ctl port show vm2 >/dev/null 2>&1 || ctl port add vm2 type vhost-user socket "$T/run/vm2.sock"
		;;
	*"port add "*) ctl port del "$(sed 's/.*port add \([^ ]*\).*/\1/' <<<"$1")" >/dev/null 2>&1 || true ;;
	*"worker add core 0"*) ctl config set workers '[{"core": 1}]' >/dev/null ;;
	*"worker del 1"*) ctl config set workers '[{"core": 0}, {"core": 1}]' >/dev/null ;;
	*"wakeup-us "*) alone wakeup ;;
	*"fdb del"*) ctl fdb add 52:54:00:00:00:01 port vm1 vlan 10 ;;
	esac
}

# run_all FROM: each line of standard input.
run_all() {
	FROM=$1
	fresh
	while IFS= read -r line <&3; do
		prepare "$line"
		run_line "$line"
	done 3< <(here)
}

# blocks FILE: the lines of its code blocks that call weftctl or weftd --check, without prompts,
# comments, and forms with placeholders.
blocks() {
	awk '/^ *```/ { in_block = !in_block; next } in_block || /^(    |\t)/ { print }' "$1" |
		sed -nE 's/^[ \t]*(\$ |# )?(sudo )?//; s/ +# .*//; /^(weftctl|weftd .*--check)( |$)/p' |
		{ grep -vE '[][|<>]|\.\.\.|\b(PORT|NAME|FILE)\b' || true; }
}

# yaml FILE: its code blocks, fenced or indented, that are configurations go to $T/yaml.1, $T/yaml.2, ...
yaml() {
	rm -f "$T"/yaml.*
	awk -v to="$T/yaml." '
		/^ *```/ { fenced = !fenced; indented = 0; n += fenced; next }
		fenced { print > (to n); next }
		/^    / { n += !indented; indented = 1; sub("    ", ""); print > (to n); next }
		{ indented = 0 }' "$1"
	local file
	for file in "$T"/yaml.*; do
		[[ -e $file ]] && grep -qE '^(ports|workers|api|metrics|fdb|log|idle):' "$file" || continue
		# Every machine has cores 0 and 1.
		here <"$file" | sed 's/core: 2/core: 0/g; s/core: 3/core: 1/g' >"$file.here"
		"$WEFTD" -c "$file.here" --check >/dev/null 2>"$T/said" || fail "a configuration of $1: $(<"$T/said")"
		COUNT=$((COUNT + 1))
	done
}

info "help"
run_all "weftctl help" < <("$WEFTCTL" help | sed -n 's/^Example: //p')
for noun in port fdb vlan stats worker config top monitor capture version; do
	run_all "weftctl help $noun" < <("$WEFTCTL" help "$noun" | sed -n 's/^Example: //p')
done
run_all "weftd --help" < <("$WEFTD" --help | sed -n 's/^Example: //p')
((COUNT >= 20)) || fail "only $COUNT examples in the help"

for file in "$WEFT_ROOT"/packaging/man/*.scd "$WEFT_ROOT"/README.md "$WEFT_ROOT"/docs/*.md; do
	[[ -e $file ]] || continue
	info "${file#"$WEFT_ROOT"/}"
	run_all "${file#"$WEFT_ROOT"/}" < <(blocks "$file")
	yaml "$file"
done
((COUNT >= 65)) || fail "only $COUNT examples in all"

info "packaging/weft.yaml, as it is and with its comments taken off"
"$WEFTD" -c "$WEFT_ROOT/packaging/weft.yaml" --check
sed -E '/core: 3/d; s/core: 2/core: 0/; s/^# ((workers|idle|api|metrics):|  (- core|socket|group|listen))/\1/; s/^#   /  /; s/^ports: \[\]/ports:/' \
	"$WEFT_ROOT/packaging/weft.yaml" | sed -E 's/^  (admin-)?group:.*/  \1group: root/; s/^ +# .*//' >"$T/all.yaml"
grep -q '^metrics:' "$T/all.yaml" && grep -q '^  - name: vm1' "$T/all.yaml" || fail "the comments did not come off"
"$WEFTD" -c "$T/all.yaml" --check
info "$COUNT examples"
