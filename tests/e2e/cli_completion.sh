#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion as one meets it: the tabulator key in an interactive zsh (with compinit) and bash (with and
# without bash-completion), on what the running switch has.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need zsh python3
BASH_COMPLETION=/usr/share/bash-completion/bash_completion
[[ -e $BASH_COMPLETION ]] || skip "the package bash-completion"
weft_test completion
config <<YAML
ports:
  - {name: webserver-01, type: vhost-user, socket: @T@/w1.sock, vlan: {access: 4001}}
  - {name: webserver-02, type: vhost-user, socket: @T@/w2.sock}
  - {name: database, type: tap, device: w$$, vlan: {trunk: [700-703]}}
fdb: {static: [{mac: 52:54:00:12:34:56, vlan: 4001, port: webserver-01}, {mac: 52:54:00:12:99:00, vlan: 1, port: webserver-02}]}
YAML
weft_start
export WEFT_SOCKET=$SOCKET

# Both shells find the files where an installation has them.
mkdir -p "$T/zsh" "$T/share/bash-completion/completions" "$T/files"
cp "$WEFT_ROOT/packaging/completion/_weftctl" "$T/zsh"
cp "$WEFT_ROOT/packaging/completion/weftctl.bash" "$T/share/bash-completion/completions/weftctl"
touch "$T/files/capture.pcap"
PATH=$(dirname "$WEFTCTL"):$PATH

# What is typed before a key; after it, what the line is then, or with LIST what is offered.
cat >"$T/cases" <<CASES
weftctl po	weftctl port
weftctl port show d	weftctl port show database
weftctl port sh	weftctl port show
weftctl port show webserver-0	LIST webserver-01 webserver-02
weftctl port show 	LIST database webserver-01 webserver-02
weftctl port show nosuch	weftctl port show nosuch
weftctl port add vm9 type 	LIST af-xdp tap vhost-user
weftctl port add vm9 type tap dev	weftctl port add vm9 type tap device
weftctl port add vm9 type tap sock	weftctl port add vm9 type tap sock
weftctl port set database so	weftctl port set database so
weftctl port set webserver-01 vlan a	weftctl port set webserver-01 vlan access
weftctl port set webserver-01 mode 	LIST client server
weftctl fdb del 52:54:00:12:3	weftctl fdb del 52:54:00:12:34:56
weftctl fdb show mac 52:54:00:12:9	weftctl fdb show mac 52:54:00:12:99:00
weftctl fdb show port da	weftctl fdb show port database
weftctl fdb show vlan 4	weftctl fdb show vlan 4001
weftctl vlan show 70	LIST 700 701 702 703
weftctl worker set 0 port d	weftctl worker set 0 port database
weftctl -s $SOCKET port show d	weftctl -s $SOCKET port show database
weftctl capture d	weftctl capture database
weftctl capture database -w $T/files/c	weftctl capture database -w $T/files/capture.pcap
weftctl config check $T/weft.y	weftctl config check $T/weft.yaml
weftctl monitor link-u	weftctl monitor link-up
weftctl help fd	weftctl help fdb
CASES

cat >"$T/press.py" <<'PY'
# Types each case into a shell on a terminal, presses the key and compares what the shell then has.
import os, pty, re, select, struct, fcntl, sys, termios, time

shell, setup, cases = sys.argv[1], sys.argv[2], sys.argv[3]
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp(shell, [shell, "-f", "-i"] if shell == "zsh" else [shell, "--norc", "--noprofile", "-i"])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 300, 0, 0))
seen = ""

def until(pattern):
    """Reads until the pattern appears; what came before it."""
    global seen
    end = time.monotonic() + 30
    while not (found := re.search(pattern, seen)):
        if time.monotonic() > end or not select.select([fd], [], [], end - time.monotonic())[0]:
            sys.exit(f"{shell}: no /{pattern}/ in {seen!r}")
        seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[>=]|\x07", "", os.read(fd, 4096).decode(errors="replace"))
    before, seen = seen[: found.start()], seen[found.end():]
    return before

def type_in(text):
    os.write(fd, text.encode())

# What is typed while a command runs is taken as text, the key too: so wait for the prompt.
type_in(setup + "\n")
until(r"re-ady")
until(r"@> ")
for number, case in enumerate(open(cases).read().splitlines()):
    typed, want = case.split("\t")
    if want.startswith("LIST"):
        type_in(typed + "\t\t")
        until(r"(?s)" + ".*".join(rf"{re.escape(word)}(?![^ \r\n])" for word in want.split()[1:]))
    else:
        # Home, and the line becomes what a command is to say.
        type_in(f"{typed}\t\x01said {number} \x05\n")
        until(rf"said={number}=" + re.escape(want) + r" ?=")
    type_in(f"\x15said {number} end\n")
    until(rf"said={number}=end=")
    until(r"@> ")
os.close(fd)
PY

# press SHELL SETUP
press() {
	python3 "$T/press.py" "$1" "$2; said() { local n=\$1; shift; printf 'sa''id=%s=%s=\\n' \"\$n\" \"\$*\"; }; PS1='@> '; echo re-''ady" \
		"$T/cases" || fail "completion in $1 ($3)"
}

info "zsh, as compinit loads it"
press zsh "fpath=($T/zsh \$fpath); autoload -Uz compinit; compinit -u -D; setopt no_auto_menu; LISTMAX=1000" compinit
info "bash, as bash-completion loads it"
press bash "export XDG_DATA_DIRS=$T/share; . $BASH_COMPLETION; bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'; bind 'set completion-query-items 0'; bind 'set page-completions off'" bash-completion
info "bash, the file alone"
press bash ". $T/share/bash-completion/completions/weftctl; bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'; bind 'set completion-query-items 0'; bind 'set page-completions off'" "the file alone"

info "without weftd it offers what it knows, and no error"
weft_stop
[[ $(ctl __complete po 2>&1) == port ]] || fail "without weftd: $(ctl __complete po 2>&1)"
[[ -z $(ctl __complete port show d 2>&1) ]] || fail "without weftd: $(ctl __complete port show d 2>&1)"
