#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A stand-in for the service manager, as far as it keeps a service's descriptors.

fd_store.py keep DIR           serves DIR/notify (what NOTIFY_SOCKET names) and DIR/control
fd_store.py run DIR COMMAND... becomes COMMAND, with what is kept and the environment that says so
fd_store.py list DIR           prints the names of what is kept, sorted
fd_store.py lose DIR PATTERN   forgets what has a name of this pattern; says how many
fd_store.py peek DIR TEXT OFFSET       prints the 64-bit number there in the session that has TEXT in it
fd_store.py poke DIR TEXT OFFSET BYTE  changes a byte there
"""
import os, socket, sys  # what only some need is imported there: it delays the start of weftd

KCMP, FDS_MAX = {"x86_64": 312, "aarch64": 272}[os.uname().machine], 250


def is_same(a, b):
    import ctypes
    libc, me = ctypes.CDLL(None, use_errno=True), os.getpid()
    return libc.syscall(KCMP, me, me, 0, a, b) == 0


def notified(kept, text, fds):
    """One datagram of the service: a file that is there already is not taken under a second name."""
    words = dict(line.split("=", 1) for line in text.decode().splitlines() if "=" in line)
    name = words.get("FDNAME", "stored")
    if words.get("FDSTOREREMOVE") == "1":
        for fd in [fd for fd, its in kept.items() if its == name]:
            del kept[fd]
            os.close(fd)
    for fd in fds:
        if words.get("FDSTORE") == "1" and not any(is_same(fd, old) for old in kept):
            kept[fd] = name
        else:
            os.close(fd)


def asked(kept, connection):
    import fnmatch
    with connection:
        word, _, pattern = connection.recv(4096).decode().partition(" ")
        chosen = [fd for fd, name in kept.items() if fnmatch.fnmatch(name, pattern)]
        answer = "\n".join([str(len(chosen))] + [kept[fd] for fd in chosen]).encode()
        if word == "lose":
            for fd in chosen:
                del kept[fd]
                os.close(fd)
        socket.send_fds(connection, [answer], chosen if word == "give" else [])


def keep(folder):
    import selectors
    kept, selector = {}, selectors.DefaultSelector()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    notify.bind(folder + "/notify")
    control.bind(folder + "/control")
    control.listen()
    for s in (notify, control):
        selector.register(s, selectors.EVENT_READ)
    while True:
        # What the service said comes first, as with systemd.
        ready = [key.fileobj for key, _ in selector.select()]
        if notify in ready:
            text, fds, _, _ = socket.recv_fds(notify, 4096, FDS_MAX)
            notified(kept, text, fds)
        else:
            asked(kept, control.accept()[0])


def ask(folder, words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(folder + "/control")
        s.send(words.encode())
        text, fds, _, _ = socket.recv_fds(s, 65536, FDS_MAX)
    return text.decode().split("\n")[1:], list(fds)


def run(folder, command):
    names, fds = ask(folder, "give *")
    high = [os.dup2(fd, 1000 + i) for i, fd in enumerate(fds)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i, inheritable=True)
    os.closerange(3 + len(high), 2000)
    env = dict(os.environ, NOTIFY_SOCKET=folder + "/notify", FDSTORE="1024")
    if names:
        env.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
    os.execvpe(command[0], command, env)


what, folder = sys.argv[1:3]
if what == "keep":
    keep(folder)
elif what == "run":
    run(folder, sys.argv[3:])
elif what == "list":
    print("\n".join(sorted(ask(folder, "list *")[0])))
elif what == "lose":
    print(len(ask(folder, "lose " + sys.argv[3])[0]))
else:
    states = [fd for fd in ask(folder, "give state.*")[1] if sys.argv[3].encode() in os.pread(fd, 4096, 0)]
    for fd in states:
        if what == "peek":
            print(int.from_bytes(os.pread(fd, 8, int(sys.argv[4])), sys.byteorder))
        else:
            os.pwrite(fd, bytes([int(sys.argv[5])]), int(sys.argv[4]))
