#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Every command of weftctl against a live daemon, for people and as JSON, and what each refuses.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

weft_test cli
config <<YAML
workers: [{core: 0}]
ports:
  - {name: vm1, type: vhost-user, socket: @T@/vm1.sock, queues: 2, vlan: {access: 10}}
  - {name: gone, type: af-xdp, device: nosuch0}
  - {name: host, type: tap, device: w$$}
YAML
weft_start

# says PATTERN WORD...: the command must succeed and print it.
says() {
	local pattern=$1 output
	shift
	output=$(ctl "$@" 2>&1) || fail "weftctl $* failed: $output"
	expect "$output" "$pattern" "weftctl $*"
}

# status N WORD...: the command must end with this status.
status() {
	local want=$1 got=0
	shift
	ctl "$@" >/dev/null 2>&1 || got=$?
	[[ $got == "$want" ]] || fail "weftctl $*: status $got, expected $want"
}

info "version"
says 'weftctl [0-9.]+.*weftd [0-9.]+, API 1' version
check '.version and .weftctl and .api == 1 and .pid > 0' version

info "what could not be printed is a failure, and said"
got=0
ctl config show 2>"$T/full" >/dev/full || got=$?
[[ $got == 1 ]] || fail "status $got"
grep -q 'standard output: No space left on device' "$T/full" || fail "said: $(<"$T/full")"
{ "$WEFTD" -c "$T" --check 2>&1 || true; } | finds 'it is a directory' || fail "a directory as configuration"

info "port show: a port that cannot be opened is listed with the reason, the others work"
says 'PORT +TYPE +STATE' port show
says 'gone +af-xdp +failed.*nosuch0' port
says 'port gone is not open: weftctl port show gone' stats show gone
ctl_refuses 'port gone is not open: .*nosuch0' capture gone
check 'length == 3' port show
check '.[] | select(.name == "vm1") | .state == "down" and .config.vlan.access == 10 and (.rx_queues | length) == 2' port show
check '.[] | select(.name == "gone") | .state == "failed" and .pending and (.why | test("nosuch0"))' port show
says 'socket +.*/vm1.sock' port show vm1
check '.[0].details.connected == false' port show vm1
ctl_refuses "unknown port 'vm01', did you mean 'vm1'" port show vm01

info "port add, set, del"
status 0 port add vm2 type vhost-user socket "$T/vm2.sock" mode server vlan access 10
[[ -S $T/vm2.sock ]] || fail "no socket for vm2"
check '.[] | select(.name == "vm2") | .config == {name: "vm2", type: "vhost-user", socket: "'"$T"'/vm2.sock", mode: "server", vlan: {access: 10}}' port show
ctl_refuses "there is a port 'vm2' already" port add vm2 type tap device x
ctl_refuses "unknown key 'vlna', did you mean 'vlan'" port add vm3 type tap device "x$$" vlna access 1
ctl_refuses 'vlan.access: a number from 1 to 4094' port add vm3 type tap device "x$$" vlan access 5000
ctl_refuses "did you mean 'vhost-user'" port add vm3 type vhost-usr socket "$T/vm3.sock"
ctl_refuses 'port vm1 has' port add vm3 type vhost-user socket "$T/vm1.sock"
ctl_refuses 'needs a value' port add vm3 type
ctl_refuses 'a port keeps its name: port del, and port add' port set vm1 name vm9
ctl_refuses "'mtu' is there twice" port set vm1 mtu 1600 mtu 1500
status 1 port add vm3 type af-xdp device nosuch1
check 'map(.name) | index("vm3") == null' port show
status 0 port set vm2 vlan trunk 10,20-30 native 1 policy macs 52:54:00:00:00:02 rate 1G
check '.[0].config | .vlan == {trunk: ["10", "20-30"], native: 1} and .policy.rate == "1G"' port show vm2
says 'trunk 10,20-30 native 1' port show vm2
status 0 port set vm2 vlan access 5 policy default
check '.[0].config | .vlan == {access: 5} and .policy == null' port show vm2
ctl_refuses 'queues: a number from 1 to 16' port set vm2 queues 99
check '.[0].config | .vlan == {access: 5} and .queues == null' port show vm2

info "fdb"
status 0 fdb add 52:54:00:00:00:01 port vm1 vlan 10
status 0 fdb add 52:54:00:00:00:02 port vm2 vlan 5
says '52:54:00:00:00:01 +10 +vm1 +static' fdb show
check 'length == 1 and .[0] == {mac: "52:54:00:00:00:01", vlan: 10, port: "vm1", static: true, age: .[0].age}' fdb show vlan 10
check 'length == 1' fdb show port vm2
check 'length == 0' fdb show mac 52:54:00:00:00:09
ctl_refuses "did you mean 'vm" fdb show port vm3
ctl_refuses 'mac: a MAC address is expected, such as 52:54:00:00:00:01, not "5254"' fdb show mac 5254
ctl_refuses "unknown port 'xyzzy'; 'port show' lists them" port show xyzzy
ctl_refuses 'no machine' fdb add ff:ff:ff:ff:ff:ff port vm1
ctl_refuses 'the port is missing' fdb add 52:54:00:00:00:03
ctl_refuses "did you mean 'vlan'" fdb show vlna 10
says '[0-9]+ addresses forgotten' fdb flush
check '.flushed >= 0' fdb flush port vm1
status 0 fdb del 52:54:00:00:00:01 vlan 10
status 1 fdb del 52:54:00:00:00:01 vlan 10

info "health: what is wrong, by level; notes alone are no failure"
ctl_refuses 'error +gone +.*nosuch0.*tried again' health
{ ctl -j health || true; } >"$T/health"
jq -e 'map(select(.about == "gone")) | length == 1 and (.[0] | .code == "port-failed" and .level == "error" and .text != "" and (.remedy | test("^put right what it names")))' "$T/health" >/dev/null || fail "$(<"$T/health")"
jq -e 'any(.about == "vm1" and .code == "no-guest" and .level == "note")' "$T/health" >/dev/null || fail "$(<"$T/health")"
check '.[0].health | length == 1 and .[0].code == "no-guest"' port show vm1
says 'health +note: if its VM runs: compare' port show vm1
check 'all(has("health") | not)' port show

info "vlan, stats, worker"
says '10 +0 +vm1' vlan show
check '.[] | select(.vlan == 10) | .ports == [{port: "vm1", mode: "access"}]' vlan show
check 'length == 1' vlan show 5
says 'PORT +RX FRAMES' stats show
check 'length == 3 and (.[0].drops | has("ring_full"))' stats show
check 'length == 1 and .[0].port == "vm1"' stats show vm1
says 'ring_full' stats reasons
check 'length > 10 and all(.text != "" and .remedy != "")' stats reasons
says 'WORKER +CORE +STATE' worker show
check '.[0] | .core == 0 and (.queues | map(select(.port == "vm1")) | length) == 2' worker show
status 0 worker set 0 port vm1 queue 1
ctl_refuses 'there is no worker 7' worker set 7 port vm1 queue 1
ctl_refuses 'the last is 1' worker set 0 port vm1 queue 2

info "config: what was done at run time is what is saved"
says 'name: vm2' config show
check '.saved == false and .config.ports[-1].name == "vm2"' config show
says 'good: 3 ports' config check
printf 'ports:\n  - {name: a, typ: tap}\n' >"$T/bad.yaml"
ctl_refuses "bad.yaml:2:15: ports\[0\].typ: unknown key 'typ', did you mean 'type'" config check "$T/bad.yaml"
ctl_refuses 'bad.yaml: No such file' config check "$T/none/bad.yaml"
cp "$T/weft.yaml" "$T/good.yaml"
cp "$T/bad.yaml" "$T/weft.yaml"
ctl_refuses "^$T/weft.yaml:2:15: ports\[0\].typ: unknown key 'typ', did you mean 'type'" config check
ctl_refuses "^$T/weft.yaml:2:15: ports\[0\].typ: unknown key 'typ', did you mean 'type'" config reload
{ ctl -j config reload 2>/dev/null || true; } | jq -e --arg file "$T/weft.yaml" '.data == {key: "ports[0].typ", file: $file, line: 2, column: 15}' >/dev/null || fail "the place of the fault"
rm "$T/weft.yaml"
ctl_refuses "weftctl: $T/weft.yaml: cannot read it: No such file" config reload
cp "$T/good.yaml" "$T/weft.yaml"
says 'unchanged' config set log level debug
ctl_refuses 'one of error, warning' config set log level chatty
ctl_refuses 'not JSON, such as .*"core": 2' config set workers '[{'
says 'saved to .*weft.yaml' config save
check '.saved' config show
"$WEFTD" -c "$T/weft.yaml" --check | finds 'good: 4 ports' || fail "the saved file is not good"
sed -i 's/^ports:/idle-us: 70\nports:/' "$T/weft.yaml"
check '.saved == false' config show
ctl_refuses 'weft.yaml was changed since weftd read it: config reload' config save
grep -q 'idle-us: 70' "$T/weft.yaml" || fail "an edit was lost"
echo 'idle-us: [' >>"$T/weft.yaml"
ctl_refuses 'weft.yaml was changed since weftd read it' config save
sed -i '/^idle-us: \[/d' "$T/weft.yaml"
status 0 config reload
status 0 config set idle-us default
status 0 config save
echo '# a comment is no change' >>"$T/weft.yaml"
status 0 config save
: >"$T/weft.yaml"
status 0 config save
rm "$T/weft.yaml"
status 0 config save
check '.saved' config show
says '4 unchanged' config set idle poll
says 'added' config reload
check '.config.idle == null' config show
check '.added == 0 and .removed == 0 and .changed == 0 and .unchanged == 4' config reload
status 0 port del vm2
check 'map(.name) | index("vm2") == null' port show
[[ ! -e $T/vm2.sock ]] || fail "the socket of vm2 is still there"

info "config diff: what a reload would do, and does"
status 0 config save
config_was=$(<"$T/weft.yaml")
says '^no difference$' config diff
status 0 port add vm4 type vhost-user socket "$T/vm4.sock"
says '^removed port vm4$' config diff
sed -i "s/^ports:/idle-us: 70\\nfdb: {static: [{mac: '52:54:00:00:00:07', port: vm1}]}\\nports:/" "$T/weft.yaml"
printf -- '- {name: vm6, type: vhost-user, socket: %s}\n' "$T/vm6.sock" >>"$T/weft.yaml"
printf -- '- {name: vm7, type: vhost-user, socket: %s, mtu: 2000}\n' "$T/vm7.sock" >"$T/vm7"
{ ctl config show && cat "$T/vm7"; } >"$T/other.yaml"
says '^added   port vm7$' config diff "$T/other.yaml"
{ ctl config show && cat "$T/vm7"; } | says '^added   port vm7$' config diff -
check 'map(select(.port)) | map({change, port}) == [{change: "removed", port: "vm4"}, {change: "added", port: "vm6"}]' config diff
check 'map(select(.port == null)) == [{change: "changed", keys: ["idle-us", "fdb.static"]}]' config diff
sed -i '/name: vm6/s/}$/, mtu: 9000}/' "$T/weft.yaml"
status 0 config reload
says '^no difference$' config diff
status 0 port set vm6 mtu 1600 vlan access 7
says '^changed port vm6: mtu, vlan$' config diff
echo "$config_was" >"$T/weft.yaml"
status 0 config reload
says '^no difference$' config diff
echo 'ports: [' >"$T/bad.yaml"
ctl_refuses 'bad.yaml:.*not YAML' config diff "$T/bad.yaml"
rm "$T/other.yaml" "$T/vm7"

info "monitor"
spawn "$T/events" "$WEFTCTL" -s "$SOCKET" -j monitor port-added config
# It hears what happens once it is subscribed.
hears() {
	status 0 port add vm5 type vhost-user socket "$T/vm5.sock"
	status 0 port del vm5
	grep -q port-added "$T/events"
}
wait_until 20 hears
wait_until 20 grep -q '"event":"port-added".*"port":"vm5"' "$T/events"
! grep -q 'port-removed' "$T/events" || fail "an event that was not asked for"
ctl_refuses "did you mean 'link-up'" monitor link-upp
ctl_refuses "unknown event 'xyzzy'; known are: port-added, .*, config" monitor xyzzy
ctl_refuses "'port' needs a value" monitor link-up port

info "what is no text is refused, not left out"
ctl_refuses 'not UTF-8' monitor $'link-\xff'
ctl_refuses 'not UTF-8' monitor port $'vm\xff'
ctl_refuses "'macs': the text is not UTF-8" port set vm1 policy macs $'\xff'
ctl_refuses "'macs': the text is not UTF-8" port set vm1 policy macs $'52:54:00:00:00:01,\xff'
ctl_refuses "'socket': the text is not UTF-8" port set vm1 socket $'/tmp/\xff'
ctl_refuses '(not UTF-8|unknown port)' capture $'\xff'
check '.[0].config.policy == null' port show vm1

info "wrong words, help, exit statuses"
status 2 prot show
ctl_refuses "unknown word 'prot', did you mean 'port'" prot show
ctl_refuses "did you mean 'port show'" port shwo
ctl_refuses 'see weftctl help' xyzzy
status 2
status 3 -s "$T/none.sock" port show
WEFTCTL_NONE=$("$WEFTCTL" -s "$T/none.sock" port show 2>&1) || true
expect "$WEFTCTL_NONE" 'no weftd at .*start it' "without a daemon"
says 'Example: weftctl port show' help
for noun in port fdb vlan stats health worker config top monitor capture version; do
	says 'Example: weftctl' help $noun
done
says 'Usage: weftctl fdb add MAC port PORT \[vlan VLAN\]' fdb add --help

info "a weftd that lacks a method is of another version, which is said"
spawn "$T/old" python3 -c '
import json, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while True:
    client = listener.accept()[0]
    for line in client.makefile():
        request = json.loads(line)
        if request["method"] == "version.show":
            answer = {"result": {"version": "0.0.1"}}
        else:
            answer = {"error": {"code": -32601, "message": "unknown method"}}
        client.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode() + b"\n")' "$T/old.sock"
wait_until 10 "$WEFTCTL" -s "$T/old.sock" version
for command in health 'top -n 1' 'config check'; do
	# shellcheck disable=SC2086
	ctl_refuses 'unknown method: weftd is of another version than weftctl .*start it again' -s "$T/old.sock" $command
done

info "each command's exit status"
while IFS='|' read -r want command; do
	# shellcheck disable=SC2086
	status "$want" $command
done <<-STATUS
	0|port show
	1|health
	1|-j health
	0|port
	0|port list
	0|port show vm1
	0|port -j show vm1
	0|port -s $SOCKET -j show vm1
	2|port -j shwo
	0|help
	0|help port add
	0|port add --help
	0|--version
	0|config check
	0|top -n 1 -d 0.1
	0|monitor --help
	0|config check --json
	0|version --socket $SOCKET
	0|config check -s $SOCKET
	0|monitor -h
	1|port show nosuch
	1|port add vm1 type tap device x$$
	1|port set nosuch mtu 1500
	1|port del nosuch
	1|fdb show port nosuch
	1|fdb del 02:00:00:00:00:99
	1|stats show nosuch
	1|worker set 99 port vm1 queue 0
	1|config set log level chatty
	1|capture nosuch -c 1
	1|monitor port nosuch
	2|port show vm1 vm2
	2|port set vm1
	2|port set vm1 mut 1500
	2|fdb add 52:54:00:00:00:01
	2|vlan show ten
	2|worker set one port vm1 queue 0
	2|top -d 0
	2|top -n x
	2|capture
	2|capture vm1 -c 0
	2|--jason port show
	2|help prot
	3|-s $T/none.sock port show
	3|-s $T/none.sock top -n 1
	3|-s $T/none.sock capture vm1
	3|-s $T/none.sock monitor
STATUS

info "-j prints what the API answers, in both forms, and a refusal as its error"
# api METHOD [PARAMS]: the answer as weftd sends it.
api() {
	python3 - "$SOCKET" "$@" <<-'PY'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		params = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
		s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": sys.argv[2], "params": params}).encode() + b"\n")
		print(s.makefile().readline())
	PY
}
# Numbers that run are all alike for this.
still() { jq -S 'walk(if type == "number" then 0 else . end) | walk(if type == "object" then del(.weftctl, .uptime) else . end)'; }
while IFS='|' read -r command method params; do
	for form in "-j $command" "$command -j"; do
		# shellcheck disable=SC2086
		got=$({ ctl $form 2>/dev/null || true; } | still)
		want=$(api "$method" "${params:-{\}}" | jq '.result // .error' | still)
		[[ $got == "$want" ]] || fail "weftctl $form: $(diff <(echo "$got") <(echo "$want"))"
	done
done <<-'SAME'
	port show|port.show
	port show vm1|port.show|{"name": "vm1"}
	port show nosuch|port.show|{"name": "nosuch"}
	port del nosuch|port.del|{"name": "nosuch"}
	fdb show|fdb.show
	fdb show vlan 10|fdb.show|{"vlan": 10}
	fdb del 02:00:00:00:00:99 vlan 7|fdb.del|{"mac": "02:00:00:00:00:99", "vlan": 7}
	fdb flush port vm1|fdb.flush|{"port": "vm1"}
	vlan show|vlan.show
	vlan show 10|vlan.show|{"vlan": 10}
	stats show|stats.show
	stats show vm1|stats.show|{"port": "vm1"}
	stats reasons|stats.reasons
	health|health.show
	health show|health.show
	worker show|worker.show
	config show|config.show
	config check|config.check
	config diff|config.diff
	version|version.show
SAME

info "completion knows what is live"
[[ $(ctl __complete port show v) == vm1 ]] || fail "completion of a port"
[[ $(ctl __complete fdb show port h) == host ]] || fail "completion of a port by keyword"
[[ $(ctl __complete port set vm1 vlan a) == access ]] || fail "completion of a key"
[[ $(ctl __complete vlan show 1 | tr '\n' ' ') == '1 10 ' ]] || fail "completion of a VLAN"
[[ $(ctl __complete po) == port ]] || fail "completion of a noun"
info "no colours into a pipe, and with NO_COLOR"
# screen COLUMNS WORD...: what a terminal of that width shows.
screen() {
	TERM=xterm script -qec "stty cols $1; exec $WEFTCTL -s $SOCKET ${*:2}" /dev/null </dev/null | tr -d '\r'
}
ctl port show | finds $'\e' && fail "colours in a pipe"
[[ $(screen 80 port show) == *$'\e['* ]] || fail "no colours on a terminal"
[[ $(NO_COLOR=1 screen 80 port show) != *$'\e['* ]] || fail "colours despite NO_COLOR"
TERM=dumb ctl port show | finds $'\e' && fail "colours on a dumb terminal"
[[ $("$WEFTCTL" -s "$SOCKET" port show nosuch 2>&1) != *$'\e'* ]] || fail "colours in an error into a pipe"

info "tables fit terminals; what matters is never cut apart"
status 0 port add webserver-production-01 type vhost-user socket "$T/web.sock" vlan trunk 10,20-30,100-200,300,400,500,600 native 1
for columns in 72 80 100 200; do
	for command in 'port show' 'port show vm1' 'port show host' 'fdb show' 'vlan show' 'stats show' 'stats reasons' 'worker show'; do
		# shellcheck disable=SC2086
		NO_COLOR=1 screen "$columns" $command >"$T/tty"
		while IFS= read -r line; do
			((${#line} <= columns)) || fail "$command: ${#line} columns on a terminal of $columns: $line"
		done <"$T/tty"
		[[ $command != 'port show' ]] || cp "$T/tty" "$T/ports"
	done
	grep -qE '^webserver-production-01 .*down +trunk 10,' "$T/ports" || fail "at $columns columns: $(<"$T/ports")"
	grep -qE '^vm1 .* down +access 10 .* 0 +0 +0' "$T/ports" || fail "at $columns columns: $(<"$T/ports")"
	tr -s ' \n' ' ' <"$T/ports" | finds 'nosuch0: there is no device nosuch0' || fail "why at $columns columns: $(<"$T/ports")"
	[[ $(tr -d ' \n' <"$T/ports") == *400,* ]] || fail "VLANs at $columns columns: $(<"$T/ports")"
done
[[ $(ctl port show | grep -c .) == $(($(ctl -j port show | jq length) + 1)) ]] || fail "a port is not one line in a pipe"

info "health without errors: a note alone is no failure"
status 0 port del gone
got=0
ctl -j health >"$T/health" || got=$?
want=$(jq 'if any(.level != "note") then 1 else 0 end' "$T/health") # a machine under load may starve the worker
[[ $got == "$want" && $(jq length "$T/health") != 0 ]] || fail "status $got: $(<"$T/health")"

info "lists are as long as they are"
names=$(seq -f 'port-with-quite-a-long-name-%g' 10 49)
ports=$(for name in $names; do printf '{"name": "%s", "type": "vhost-user", "socket": "%s"},' "$name" "$T/${name##*-}.sock"; done)
ctl config set ports "[${ports%,}]" >/dev/null
for command in 'vlan show' 'worker show'; do
	# shellcheck disable=SC2086
	[[ $(ctl $command | grep -o 'port-with-quite-a-long-name-[0-9]*' | sort) == "$names" ]] || fail "$command: $(ctl $command)"
done
ctl port set port-with-quite-a-long-name-10 vlan trunk "$(seq -s, 2 2 998)"
for command in 'port show' 'port show port-with-quite-a-long-name-10'; do
	# shellcheck disable=SC2086
	[[ $(ctl $command) == *,996,998* ]] || fail "$command: $(ctl $command)"
done
