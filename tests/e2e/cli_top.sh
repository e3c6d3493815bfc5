#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# weftctl top on a terminal of 80 x 24, by its keys, and into a pipe.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need script stty mkfifo python3
weft_test top
{
	echo 'ports:'
	for i in $(seq 30); do
		echo "  - {name: vm$i, type: vhost-user, socket: @T@/vm$i.sock}"
	done
} | config
weft_start

info "into a pipe: plain snapshots that end"
ctl top -n 2 -d 0.2 >"$T/pipe"
[[ $(grep -c '^weft ' "$T/pipe") == 2 ]] || fail "not two snapshots"
[[ $(grep -c '^vm' "$T/pipe") == 60 ]] || fail "not all ports in each snapshot"
! grep -q $'\e' "$T/pipe" || fail "escape sequences in a pipe"
ctl top -n 1 -d 0.2 -f vm2 -o name | awk '/^vm/ {print $1}' >"$T/names"
[[ $(tr '\n' ' ' <"$T/names") == 'vm2 vm20 vm21 vm22 vm23 vm24 vm25 vm26 vm27 vm28 vm29 ' ]] || fail "filter and order"
ctl -j top -n 2 -d 0.2 >"$T/json"
jq -se 'length == 2 and all(.[]; .seconds > 0.1 and (.ports | length == 30) and all(.ports[]; .rx_frames == 0 and .cpu_ns == 0) and .workers[0].worker == 0)' \
	"$T/json" >/dev/null || fail "as JSON: $(<"$T/json")"
[[ $(ctl top -j -n 1 -d 0.2 | jq -r '.ports[0] | keys_unsorted | join(" ")') == 'name state rx_frames rx_bytes tx_frames tx_bytes dropped cpu_ns' ]] || fail "keys of JSON"
ctl_refuses 'one of name, rx' top -o size
ctl_refuses '0.1 to 3600' top -d 0

info "weftd disconnects who is silent for minutes; the next look connects again"
cat >"$T/short.py" <<'PY'
"""Answers as a weftd without ports, and closes each connection after one look."""
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
while True:
    f = s.accept()[0].makefile("rw")
    for line in f:
        ask = json.loads(line)
        result = {"version": "0"} if ask["method"] == "version.show" else []
        f.write(json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": result}) + "\n")
        f.flush()
        if ask["method"] == "fdb.size":
            break
    f.close()
PY
spawn "$T/short.log" python3 "$T/short.py" "$T/short.sock"
wait_until 10 test -S "$T/short.sock"
"$WEFTCTL" -s "$T/short.sock" -j top -n 3 -d 0.2 >"$T/json" || fail "top ended with its connection"
[[ $(wc -l <"$T/json") == 3 ]] || fail "not three looks: $(<"$T/json")"

info "on a terminal: what fits, and keys"
mkfifo "$T/keys"
exec 9<>"$T/keys"
TERM=xterm spawn "$T/screen" script -qefc "stty rows 24 cols 80; $WEFTCTL -s $SOCKET top -d 0.2" /dev/null
stop_pid "$PID"
TERM=xterm setpriv --pdeathsig KILL script -qefc "stty rows 24 cols 80; $WEFTCTL -s $SOCKET top -d 0.2; echo status=\$?" \
	"$T/screen" <"$T/keys" >/dev/null 2>&1 &
pid=$!
cleanup stop_pid $pid
seen() { grep -aq -- "$1" "$T/screen"; }
wait_until 10 seen 'sorted by rx'
wait_until 10 seen $'\e\[?1049h'
printf 'n' >&9
wait_until 10 seen 'sorted by name'
printf '/vm30\r' >&9
wait_until 10 seen '/vm30'
printf '?' >&9
wait_until 10 seen 'any key goes back'
printf 'x' >&9
printf 'p' >&9
wait_until 10 seen 'PAUSED'
printf 'q' >&9
wait_until 10 seen 'status=0'
seen $'\e\[?1049l' || fail "the terminal was not given back"
seen $'\e\[?25h' || fail "the cursor was not given back"
# A screen of 24 lines is never scrolled: no more than 23 line ends between two homes.
python3 - "$T/screen" <<'PY'
import re, sys
text = open(sys.argv[1], errors="replace", newline="").read().split("\x1b[?7h")[0]
frames = text.split("\x1b[H")[1:]
assert frames, "nothing was drawn"
for frame in frames:
    assert frame.count("\n") <= 23, frame
    for line in frame.split("\n"):
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line)
        assert len(plain) <= 80, (len(plain), plain)
PY

info "a signal ends no look; Ctrl-Z gives the terminal back, fg takes it again; why it ends is said where it is seen"
cat >"$T/signals.py" <<'PY'
import fcntl, os, pty, select, signal, struct, sys, termios, time

weftctl, api, daemon = sys.argv[1], sys.argv[2], int(sys.argv[3])
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(weftctl, [weftctl, "-s", api, "top", "-d", "0.1"])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
seen = ""

def read(seconds):
    """Whether more may come."""
    global seen
    if not select.select([fd], [], [], seconds)[0]:
        return True
    try:
        seen += os.read(fd, 65536).decode(errors="replace")
        return True
    except OSError:
        return False

def until(text):
    """Reads until this comes; what follows it stays."""
    global seen
    end = time.monotonic() + 20
    while text not in seen:
        if time.monotonic() > end or not read(0.5):
            sys.exit(f"no {text!r} in {seen[-2000:]!r}")
    seen = seen[seen.index(text) + len(text):]

until("sorted by rx")
os.kill(daemon, signal.SIGSTOP)
for _ in range(50):
    os.kill(pid, signal.SIGWINCH)
    read(0.02)
os.kill(daemon, signal.SIGCONT)
# 51 frames at most were drawn before that.
for _ in range(60):
    until("sorted by rx")
os.kill(pid, signal.SIGTSTP)
until("\x1b[?1049l")
assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
os.kill(pid, signal.SIGCONT)
until("\x1b[?1049h")
until("sorted by rx")
os.kill(daemon, signal.SIGTERM)
until("\x1b[?1049l")
until("weftd does not answer on " + api)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
PY
python3 "$T/signals.py" "$WEFTCTL" "$SOCKET" "$WEFTD_PID" || fail "signals"
weft_stop
