# SPDX-License-Identifier: BSD-2-Clause
"""The contestants of tests/bench/run: weft, testpmd, OVS-DPDK, and the bare floor.

Each is started once for a setup (ports, options), frozen with SIGSTOP, and thawed for its turns, so
that all have the same core to themselves when it is theirs. Nothing outlives the benchmark.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HUGE_PAGES = 1536  # of 2 MiB: testpmd 300 MB, OVS 512 MB, guests
PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """Something that ends a case, with a sentence for the user."""


def build_dir():
    return os.environ.get("WEFT_BUILD", os.path.join(ROOT, "build"))


def die_with_parent():
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def install_packages():
    script = (f". {ROOT}/tests/lib/base.sh; . {ROOT}/tests/lib/packages.sh; packages_install bench")
    subprocess.run(["bash", "-c", script], check=True, timeout=900)


def raise_huge_pages(n=HUGE_PAGES):
    path = "/proc/sys/vm/nr_hugepages"
    with open(path, encoding="ascii") as f:
        have = int(f.read())
    if have < n:
        with open(path, "w", encoding="ascii") as f:
            f.write(str(n))


def wait_for(what, seconds, true):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise BenchError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def cycles_per_frame(before, after):
    """Of a contestant's own account of the time in which it had frames."""
    cycles, frames = (after[k] - before[k] if before and after else 0 for k in ("busy_cycles", "frames"))
    return {"cycles_per_frame": cycles / frames} if frames else {}


class Setup:
    """What a case asks of a contestant."""

    def __init__(self, ports=2, poll=False, tso=False, uplink=False, workers=(1,), addresses=0, mtu=1500,
            wakeup_us=None, rx_ring=None):
        self.ports, self.poll, self.tso, self.uplink = ports, poll, tso, uplink
        self.workers, self.addresses, self.mtu, self.wakeup_us = tuple(workers), addresses, mtu, wakeup_us
        self.rx_ring = rx_ring  # of weft's NIC; the others have no such setting

    def key(self):
        return tuple(vars(self).values())


class Uplink:
    """A veth pair: `gen` in a namespace for the generator, `nic` in one for the contestant."""

    def __init__(self, name):
        self.gen_ns, self.nic_ns = f"weft-{os.getpid()}-{name}g", f"weft-{os.getpid()}-{name}n"
        self.device = "nic"
        self.up = False

    def start(self):
        def ip(*words):
            subprocess.run(["ip", *words], check=True, timeout=20)

        self.up = True
        for ns in (self.gen_ns, self.nic_ns):
            ip("netns", "add", ns)
        ip("-n", self.gen_ns, "link", "add", "gen", "type", "veth", "peer", "name", self.device,
            "netns", self.nic_ns)
        for ns, device in ((self.gen_ns, "gen"), (self.nic_ns, self.device)):
            for where in ("all", "default"):
                subprocess.run(["ip", "netns", "exec", ns, "sysctl", "-qw",
                    f"net.ipv6.conf.{where}.disable_ipv6=1"], check=False, timeout=20)
            ip("-n", ns, "link", "set", "dev", device, "up", "promisc", "on")

    def stop(self):
        if self.up:
            for ns in (self.gen_ns, self.nic_ns):
                subprocess.run(["ip", "netns", "del", ns], check=False, timeout=20,
                    stderr=subprocess.DEVNULL)
        self.up = False


class Peer:
    """A contestant. Subclasses say how it starts and what it can tell about itself."""

    name = "?"
    title = "?"
    listens = True  # on its sockets; otherwise the generator does

    count = 0

    def __init__(self, directory, setup):
        Peer.count += 1
        self.dir = os.path.join(directory, f"{self.name}{Peer.count}")
        os.makedirs(self.dir)
        self.setup = setup
        self.procs = []
        self.uplink = Uplink(f"{self.name[0]}{Peer.count}") if setup.uplink else None

    def socket(self, i):
        return os.path.join(self.dir, f"vm{i}.sock")

    def sockets(self):
        vms = [self.socket(i) for i in range(self.setup.ports)]
        return vms

    def spawn(self, *command, env=None, stdin=subprocess.DEVNULL):
        if self.uplink:
            command = ("ip", "netns", "exec", self.uplink.nic_ns) + command
        else:
            # Devices that it makes and leaves behind (OVS its bridge's) go with it.
            command = ("unshare", "--net") + command
        with open(os.path.join(self.dir, f"log{len(self.procs)}"), "w", encoding="utf-8") as log:
            p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=stdin,
                env=env, preexec_fn=die_with_parent)
        self.procs.append(p)
        return p

    def log(self):
        text = ""
        for i in range(len(self.procs)):
            with open(os.path.join(self.dir, f"log{i}"), encoding="utf-8", errors="replace") as f:
                text += "".join(f.readlines()[-15:])
        return text

    def check(self):
        for p in self.procs:
            if p.poll() is not None:
                raise BenchError(f"{self.title} ended ({p.returncode}):\n{self.log()}")

    def start(self):
        if self.uplink:
            self.uplink.start()
        self.launch()
        self.check()

    def launch(self):
        raise NotImplementedError

    def signal(self, number):
        for p in self.procs:
            if p.poll() is None:
                os.kill(p.pid, number)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.check()
        self.signal(signal.SIGCONT)

    def stop(self):
        self.signal(signal.SIGCONT)
        for p in reversed(self.procs):
            if p.poll() is None:
                p.terminate()
        for p in reversed(self.procs):
            try:
                p.wait(3)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait(5)
            if p.stdin:
                p.stdin.close()
        self.procs = []
        if self.uplink:
            self.uplink.stop()

    def pid(self):
        """The process that forwards, whose threads' times count."""
        return self.procs[-1].pid

    def counters(self):
        """What it counts about itself, as numbers to be subtracted: before and after a run."""
        return {}

    def figures(self, before, after):
        """Figures of a run from two counters()."""
        return {}


class Weft(Peer):
    name = "weft"
    title = "weft"

    def launch(self):
        lines = ["workers:"] + [f"  - core: {c}" for c in self.setup.workers]
        lines += [f"idle: {'poll' if self.setup.poll else 'sleep'}"]
        if self.setup.wakeup_us is not None:
            # Of the whole host, as long as this weftd lives: no other case may share its setup.
            lines += [f"wakeup-us: {self.setup.wakeup_us}"]
        lines += [f"api: {{socket: {self.dir}/api.sock}}", "ports:"]
        for i in range(self.setup.ports):
            mtu = f", mtu: {self.setup.mtu}" if self.setup.mtu != 1500 else ""
            lines.append(f"  - {{name: vm{i}, type: vhost-user, socket: {self.socket(i)}, mode: server{mtu}}}")
        if self.uplink:
            ring = f", rx-ring: {self.setup.rx_ring}" if self.setup.rx_ring else ""
            lines.append(f"  - {{name: uplink, type: af-xdp, device: {self.uplink.device}, share: exclusive{ring}}}")
        config = os.path.join(self.dir, "weft.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        self.spawn(os.path.join(build_dir(), "control/weftd"), "-c", config, "-s",
            f"{self.dir}/api.sock", "--foreground")

        def answers():
            self.check()
            return self.ask("version") is not None

        wait_for("weftd answers", 20, answers)

    def ask(self, *words):
        command = [os.path.join(build_dir(), "cli/weftctl"), "-s", f"{self.dir}/api.sock", "-j", *words]
        r = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return json.loads(r.stdout) if r.returncode == 0 else None

    def counters(self):
        c = {"frames": 0, "busy_cycles": 0, "idle_cycles": 0, "passes": 0, "cpu_ns": 0, "sleeps": 0,
            "tx_frames": 0, "copied": 0, "dropped": 0, "notified": 0, "suppressed": 0}
        for w in self.ask("worker", "show") or []:
            for key in ("frames", "busy_cycles", "idle_cycles", "passes", "cpu_ns", "sleeps"):
                c[key] += w.get(key, 0)
        for s in self.ask("stats", "show") or []:
            for key in ("tx_frames", "copied", "dropped", "notified", "suppressed"):
                c[key] += s.get(key, 0)
        return c

    def figures(self, before, after):
        d = {k: after[k] - before[k] for k in after}
        f = {"worker": d, **cycles_per_frame(before, after)}
        if d["tx_frames"]:
            f["copied_per_frame"] = d["copied"] / d["tx_frames"]
        return f


class Testpmd(Peer):
    name = "testpmd"
    title = "testpmd io"

    def launch(self):
        extra = ",tso=1,legacy-ol-flags=1" if self.setup.tso else ""
        command = ["dpdk-testpmd", "--lcores", "0@0,1@1", "--no-pci", "--in-memory",
            "--single-file-segments", "-m", "300"]
        if self.uplink:
            command += ["--vdev", f"net_af_xdp0,iface={self.uplink.device}"]
        for i in range(self.setup.ports):
            command += ["--vdev", f"net_vhost{i},iface={self.socket(i)}{extra}"]
        command += ["--", "--forward-mode=io", "--total-num-mbufs=30000"]
        # Asked for its cycles it reads the clock twice a burst: only where that is nothing.
        command += ["-i"] if self.uplink else ["--auto-start"]
        if self.setup.mtu > 1500:
            command += [f"--max-pkt-len={self.setup.mtu + 18}", "--tx-offloads=0x8000"]
        # It ends when its standard input does.
        self.spawn("stdbuf", "-oL", *command, stdin=subprocess.PIPE)
        if self.uplink:
            self.say("set record-core-cycles on", "start")
        wait_for("testpmd listens", 20, lambda: self.check() or os.path.exists(self.socket(self.setup.ports - 1)))
        time.sleep(1)

    def say(self, *lines):
        self.procs[0].stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.procs[0].stdin.flush()

    def counters(self):
        if not self.uplink:
            return {}
        end = "+" * 76  # of what it prints

        def reports():
            with open(os.path.join(self.dir, "log0"), encoding="utf-8", errors="replace") as log:
                return log.read().split("Accumulated forward statistics")[1:]

        n = len(reports())
        self.say("show fwd stats all")
        wait_for("testpmd's statistics", 10, lambda: len(r := reports()) > n and end in r[-1])
        time.sleep(0.05)
        m = re.search(r"total cycles=(\d+) / total \w+ packets=(\d+)", reports()[-1])
        # Before the first frame it says nothing.
        return {"busy_cycles": int(m[1]) if m else 0, "frames": int(m[2]) if m else 0}

    def figures(self, before, after):
        return cycles_per_frame(before, after)


class Ovs(Peer):
    name = "ovs"
    title = "OVS-DPDK NORMAL"
    listens = False

    def launch(self):
        self.env = dict(os.environ, OVS_RUNDIR=self.dir, OVS_DBDIR=self.dir, OVS_LOGDIR=self.dir)
        db, sock = f"{self.dir}/conf.db", f"{self.dir}/db.sock"
        subprocess.run(["ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema"],
            check=True, timeout=20, env=self.env)
        self.spawn("ovsdb-server", db, f"--remote=punix:{sock}", f"--unixctl={self.dir}/ovsdb.ctl", env=self.env)
        wait_for("ovsdb-server listens", 10, lambda: os.path.exists(sock))
        self.vsctl("--no-wait", "init")
        settings = ["dpdk-init=true", "pmd-cpu-mask=2", "dpdk-lcore-mask=1", "dpdk-socket-mem=512",
            'dpdk-extra="--no-pci --in-memory"']
        if self.setup.tso:
            settings.append("userspace-tso-enable=true")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *[f"other_config:{s}" for s in settings])
        self.spawn("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", f"unix:{sock}",
            f"--unixctl={self.dir}/vswitchd.ctl", "--log-file=/dev/null", env=self.env)
        self.vsctl("add-br", "br", "--", "set", "bridge", "br", "datapath_type=netdev",
            "other_config:mac-table-size=20000")
        for i in range(self.setup.ports):
            more = [f"mtu_request={self.setup.mtu}"] if self.setup.mtu != 1500 else []
            self.vsctl("add-port", "br", f"vm{i}", "--", "set", "Interface", f"vm{i}",
                "type=dpdkvhostuserclient", f"options:vhost-server-path={self.socket(i)}", *more)
        if self.uplink:
            self.vsctl("add-port", "br", self.uplink.device, "--", "set", "Interface",
                self.uplink.device, "type=afxdp", "options:n_rxq=1")

    def counters(self):
        r = subprocess.run(["ovs-appctl", "-t", f"{self.dir}/vswitchd.ctl", "dpif-netdev/pmd-stats-show"],
            capture_output=True, text=True, env=self.env, timeout=20, check=False)
        text = r.stdout.partition("pmd thread")[2].partition("main thread")[0]
        names = {"frames": "packets received", "busy_cycles": "processing cycles"}
        found = {k: re.search(rf"{name}: (\d+)", text) for k, name in names.items()}
        return {k: int(m[1]) if m else 0 for k, m in found.items()}

    def figures(self, before, after):
        return cycles_per_frame(before, after)

    def vsctl(self, *words):
        r = subprocess.run(["ovs-vsctl", f"--db=unix:{self.dir}/db.sock", "--timeout=30", *words],
            capture_output=True, text=True, env=self.env, timeout=40, check=False)
        if r.returncode:
            raise BenchError(f"ovs-vsctl {' '.join(words)}: {r.stderr}\n{self.log()}")
        return r.stdout


class Floor(Peer):
    name = "floor"
    title = "bare floor"

    def launch(self):
        pass

    def check(self):
        pass

    def pid(self):
        return 0


KINDS = {p.name: p for p in (Weft, Testpmd, Ovs, Floor)}


def versions():
    """Names and versions of all that is compared."""
    def first_line(*command):
        try:
            r = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            return (r.stdout or r.stderr).splitlines()[0].strip()
        except (OSError, IndexError, subprocess.TimeoutExpired):
            return "?"

    def package(name):
        return first_line("dpkg-query", "-W", "-f", "${Version}", name)

    commit = first_line("git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "rev-parse", "--short", "HEAD")
    weftd = os.path.join(build_dir(), "control/weftd")
    have = first_line(weftd, "--version") if os.path.exists(weftd) else "not built"
    return {"weft": f"{have} ({commit})", "DPDK": package("dpdk"), "Open vSwitch": package("openvswitch-switch-dpdk")}


def machine():
    """Facts of the machine, none of which is a date or a name."""
    model, cores = "?", os.cpu_count()
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
            if line.startswith("flags") and "avx512f" in line:
                model += ", AVX-512"
                break
    return {"CPU": f"{model}, {cores} cores", "Linux": os.uname().release}


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
