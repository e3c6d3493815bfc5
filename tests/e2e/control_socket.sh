#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The API's socket moves at run time: clients keep their connections, new ones come to the new path.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need python3
weft_test socket
config <<YAML
api: {socket: @T@/api.sock}
ports:
  - {name: vm1, type: vhost-user, socket: @T@/vm1.sock}
YAML
# Without -s: the file says where.
spawn "$T/weftd.log" ip netns exec "$(ns sw)" "$WEFTD" -c "$T/weft.yaml"
WEFTD_PID=$PID
until_true 20 weft_answers || fail "weftd does not answer"

cat >"$T/client.py" <<'PY'
"""A client of the old path: asks once for each line that it reads."""
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rwb")
for line in sys.stdin:
    f.write(b'{"jsonrpc": "2.0", "id": 1, "method": "version.show"}\n')
    f.flush()
    print(json.loads(f.readline())["result"]["pid"], flush=True)
PY
mkfifo "$T/ask"
exec 7<>"$T/ask"
setpriv --pdeathsig KILL python3 "$T/client.py" "$SOCKET" <"$T/ask" >"$T/answers" 7>&- &
cleanup stop_pid "$!"
# old_client N: the client that came first gets its Nth answer.
old_client() {
	echo >&7
	wait_until 10 has_answers "$1"
}
has_answers() { (($(wc -l <"$T/answers") >= $1)); }
old_client 1

info "another path"
old=$SOCKET
ctl config set api socket "$T/new.sock" >/dev/null
[[ ! -e $old && ! -e $old.lock ]] || fail "the old socket is still there"
ctl_refuses 'no weftd' version
SOCKET=$T/new.sock
check '.pid > 0' version
old_client 2
check '.config.api.socket | endswith("new.sock")' config show
[[ $(stat -c %a "$SOCKET") == 6[06]0 ]] || fail "permissions: $(stat -c %a "$SOCKET")"

info "a path that is taken or cannot be is refused, and all goes on"
sed "s|new.sock|other.sock|; s|api.sock|other.sock|; s|vm1.sock|vm2.sock|" "$T/weft.yaml" >"$T/other.yaml"
spawn "$T/other.log" ip netns exec "$(ns sw)" "$WEFTD" -c "$T/other.yaml"
other=$PID
until_true 20 "$WEFTCTL" -s "$T/other.sock" version || fail "the other weftd does not answer"
ctl_refuses "another weftd serves $T/other.sock" config set api socket "$T/other.sock"
stop_pid "$other"
echo precious >"$T/file"
ctl_refuses "is there and is no socket" config set api socket "$T/file"
[[ $(<"$T/file") == precious ]] || fail "the file was touched"
ctl_refuses "make its directory" config set api socket "$T/none/api.sock"
ctl_refuses "an absolute path" config set api socket api.sock
# Together with something that fails, it does not move either.
ctl_refuses "metrics.listen" config set api socket "$T/third.sock" metrics listen 192.0.2.1:9469
[[ ! -e $T/third.sock ]] || fail "it moved"
check '.pid > 0' version
old_client 3

info "by the file"
kill -HUP "$WEFTD_PID"
SOCKET=$old
until_true 10 ctl version >/dev/null || fail "SIGHUP did not move it back"
[[ ! -e $T/new.sock ]] || fail "the socket in between is still there"
old_client 4
exec 7>&-
weft_stop
[[ ! -e $old && ! -e $old.lock ]] || fail "the socket was left behind"

info "-s counts more than the file, and is told"
SOCKET=$T/fixed.sock
weft_start
ctl config set api socket "$T/new.sock" | finds 'api.socket: what weftd was started with stays' || fail "not told"
check '.pid > 0' version
[[ ! -e $T/new.sock ]] || fail "it moved"
exit 0
