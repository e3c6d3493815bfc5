#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Metrics over HTTP: what Prometheus gets, what it is told it is, and what a rude client gets.

# shellcheck source=tests/lib/weft.sh
. "$(dirname "$0")/../lib/weft.sh"

need python3
weft_test metrics
config <<YAML
metrics: {listen: 127.0.0.1:9469}
ports:
  - {name: vm1, type: vhost-user, socket: @T@/vm1.sock}
YAML
weft_start

in_ns sw python3 - <<'PY' || fail "metrics"
import http.client, re, socket

def get(path, method="GET"):
    c = http.client.HTTPConnection("127.0.0.1", 9469, timeout=10)
    c.request(method, path)
    r = c.getresponse()
    return r.status, r.getheader("Content-Type"), r.read().decode()

status, kind, text = get("/metrics")
assert status == 200, status
assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", kind
assert text.endswith("\n# EOF\n")
assert 'weft_port_up{port="vm1",type="vhost-user"} 0\n' in text
assert 'weft_build_info{version="' in text
for name in ("weft_worker_frames_total", "weft_worker_sleeps_total", "weft_worker_asleep_seconds_total",
             "weft_fdb_addresses", "weft_port_drops_total", "weft_queue_worker"):
    assert name in text, name
assert '# UNIT weft_port_cpu_seconds seconds\n' in text
assert re.search(r'^weft_port_cpu_seconds_total{port="vm1"} \d+\.\d{9}$', text, re.M)
assert re.search(r'^weft_port_waited_seconds_total{port="vm1"} 0\.0{9}$', text, re.M)
assert get("/other")[0] == 404
assert get("/metrics", "POST")[0] in (405, 501)
# HEAD has the length of what GET has, and no body that the next answer would be looked for in.
c = socket.create_connection(("127.0.0.1", 9469), timeout=10)
for path, said in (("/metrics", b"200"), ("/", b"200"), ("/other", b"404"), ("/metrics", b"200")):
    c.sendall(b"HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    got = b""
    while b"\r\n\r\n" not in got:
        got += c.recv(65536)
    assert got.startswith(b"HTTP/1.1 " + said) and re.search(rb"Content-Length: [1-9]", got), got
    assert got.endswith(b"\r\n\r\n"), got
c.close()
# Silent, endless and half-closed clients: the next one is served all the same.
rude = [socket.create_connection(("127.0.0.1", 9469)) for _ in range(100)]
for i, s in enumerate(rude):
    s.settimeout(10)
    try:
        s.sendall([b"", b"GET", b"\xff" * 20000, b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 20000][i % 4])
    except OSError:
        pass
assert get("/metrics")[0] == 200
for s in rude:
    s.close()
assert get("/metrics")[0] == 200
PY

info "out of descriptors it rests, and goes on when there are some again"
prlimit --pid "$WEFTD_PID" --nofile=$(($(find "/proc/$WEFTD_PID/fd" -mindepth 1 | wc -l) + 5)):
in_ns sw python3 - <<'PY' || fail "descriptors"
import socket, time
crowd = []
for _ in range(40):
    crowd.append(socket.create_connection(("127.0.0.1", 9469)))
time.sleep(0.1)
PY
wait_until 10 grep -q 'cannot accept a client: Too many open files' "$T/weftd.log"
prlimit --pid "$WEFTD_PID" --nofile=4096:
wait_until 10 in_ns sw python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=5).read()'
(($(grep -c 'cannot accept' "$T/weftd.log") < 15)) || fail "it did not rest"

info "the address changes at run time; one that is taken is refused and changes nothing"
ctl config set metrics listen 127.0.0.1:9470 >/dev/null
in_ns sw python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9470/metrics", timeout=10).read()' || fail "the new address"
in_ns sw python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=10).read()' 2>/dev/null && fail "the old address still answers"
ctl_refuses 'cannot listen on 192.0.2.1:9469' config set metrics listen 192.0.2.1:9469
in_ns sw python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9470/metrics", timeout=10).read()' || fail "it no longer answers"
spawn "$T/http" ip netns exec "$(ns sw)" python3 -m http.server --bind 127.0.0.1 9471
wait_until 10 in_ns sw python3 -c 'import socket; socket.create_connection(("127.0.0.1", 9471))'
ctl_refuses 'cannot listen on 0.0.0.0:9471: Address already in use' config set metrics listen 0.0.0.0:9471
in_ns sw python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9470/metrics", timeout=10).read()' || fail "it does not answer again"
ctl config set metrics listen 0.0.0.0:9470 >/dev/null || fail "the same port for all addresses"
in_ns sw python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.2:9470/metrics", timeout=10).read()' || fail "all addresses"
ctl config set metrics default >/dev/null
in_ns sw python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9470/metrics", timeout=10).read()' 2>/dev/null && fail "it still answers"

info "an address that is not there when weftd starts does not keep it from starting"
weft_stop
sed -i 's/^metrics:.*/metrics: {listen: 192.0.2.7:9469}/' "$T/weft.yaml"
weft_start
{ ctl -j health || true; } | jq -e 'map(select(.about == "metrics" and .code == "metrics-refused" and .level == "error")) | length == 1' >/dev/null ||
	fail "health does not say it"
grep -q 'error: metrics.listen: cannot listen on 192.0.2.7:9469: .*; trying again' "$T/weftd.log" || fail "it said nothing"
in_ns sw ip addr add 192.0.2.7/32 dev lo
wait_until 10 in_ns sw python3 -c 'import urllib.request; urllib.request.urlopen("http://192.0.2.7:9469/metrics", timeout=5).read()'
check 'map(select(.about == "metrics")) == []' health
exit 0
