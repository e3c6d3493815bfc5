#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""1,000 silent clients, and rude ones; the daemon must go on answering everybody else.

    tests/lib/crowd.py SOCKET SECONDS
"""
import json, os, resource, socket, sys, time

path, seconds = sys.argv[1], float(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))

def dial():
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(10)
    return s

def ask(s, method, params={}):
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
    line = s.makefile("rb").readline()
    return json.loads(line)["result"]

silent = [dial() for _ in range(1000)]
until = time.monotonic() + seconds
answers = garbage = 0
while time.monotonic() < until:
    # Garbage of every kind, from a client of its own each time.
    for junk in (os.urandom(65536), b"[" * 100000 + b"\n", b"{}\n" * 50, b"x" * 1500000, b"\n" * 10000):
        s = dial()
        try:
            s.sendall(junk)
            garbage += 1
        except OSError:
            pass
        s.close()
    # One that asks for much and reads nothing.
    deaf = dial()
    deaf.setblocking(False)
    try:
        for _ in range(1000):
            deaf.send(b'{"jsonrpc":"2.0","id":1,"method":"api.show"}\n')
    except OSError:
        pass
    s = dial()
    assert len(ask(s, "port.show")) >= 2
    answers += 1
    s.close()
    deaf.close()
assert answers >= 3 and garbage >= 15, (answers, garbage)
print(f"{answers} answers among {garbage} floods of garbage")
