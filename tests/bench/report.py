# SPDX-License-Identifier: BSD-2-Clause
"""Medians, spreads and ratios of benchmark results, as Markdown and as a plot (SVG)."""

import html
import os
import statistics

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
PEERS = (("weft", "weft", "#1b7f5c"), ("testpmd", "testpmd io", "#7f8fa6"),
    ("ovs", "OVS-DPDK", "#c8a45c"), ("floor", "floor", "#d9dde3"))
SLICES = "slice_p90_mpps"  # of a loaded machine: the best round counts
CLASSES = ((True, "near"), (False, "far"))


def one_line(case, r):
    """A result in a few words."""
    where = "near" if r.get("near") else "far"
    if case.kind in ("ping", "first"):
        return f"p50 {r['p50_us']:.2f} us, p99 {r['p99_us']:.2f} us  {where}"
    if case.kind == "idle":
        return f"{r['cpu_percent']:.2f} % of a core"
    if case.kind == "poll_cost":
        return f"{r['cycles_per_port']:.1f} cycles a port"
    text = f"{r['mpps']:.3f} Mpps, {r['gbps']:.2f} Gbit/s, lost {r['lost']}"
    if "slice_p90_mpps" in r:
        text += f", best slices {r['slice_p90_mpps']:.1f} Mpps"
    if "p99_us" in r:
        text += f", p50 {r['p50_us']:.2f} p99 {r['p99_us']:.2f} us"
    if "stall_ms" in r:
        text += f", cores away for {r['stall_ms'][0]:.1f} and {r['stall_ms'][1]:.1f} ms at most"
    if "cycles_per_frame" in r:
        text += f", {r['cycles_per_frame']:.1f} cycles a frame"
    bad = sum(r.get(k, 0) for k in ("doubled", "altered", "late", "bad_header"))
    return text + (f", {bad} WRONG" if bad else "") + f"  {where}"


class Results:
    def __init__(self, data):
        self.all = data["results"]

    def values(self, case, peer, near, key):
        return [r[key] for r in self.all if r["case"] == case and r["peer"] == peer and key in r
            and not r["dropped"] and bool(r.get("near")) == near]

    def median(self, case, peer, near, key):
        v = self.values(case, peer, near, key)
        if v and key == SLICES:
            return max(v)
        return statistics.median(v) if v else None

    def any(self, case, peer, key):
        """Of what is counted once, near or far."""
        v = [r[key] for r in self.all if r["case"] == case and r["peer"] == peer and key in r]
        return statistics.median(v) if v else None

    def cell(self, case, peer, near, key, digits=1):
        v = self.values(case, peer, near, key)
        if not v:
            return ""
        if key == SLICES:
            return f"{max(v):.{digits}f}"
        m = statistics.median(v)
        spread = f" ({min(v):.{digits}f}..{max(v):.{digits}f})" if len(v) > 1 else ""
        return f"{m:.{digits}f}{spread}"

    def ratio(self, case, a, b, near, key):
        x, y = self.median(case, a, near, key), self.median(case, b, near, key)
        return f"{x / y:.2f} x" if x and y else ""

    def rounds(self, case, near):
        n = [len(self.values(case, p, near, "near")) for p, _, _ in PEERS]
        return max(n)


def table(header, rows):
    rows = [r for r in rows if r]
    if not rows:
        return ""
    keep = [i for i in range(len(header)) if i == 0 or any(r[i] for r in rows)]
    lines = ["| " + " | ".join(header[i] for i in keep) + " |", "|" + "---|" * len(keep)]
    lines += ["| " + " | ".join(str(r[i]) for i in keep) + " |" for r in rows]
    return "\n".join(lines) + "\n"


def rate_row(res, data, case, near, key=None):
    title = f"{case.title}: the slower one" if key else case.title
    key = key or ("gbps" if case.group == "tso" else "mpps")
    if data.get("loaded") and key == "mpps":
        key = SLICES
    digits = 1 if key == "gbps" else 2
    cells = [res.cell(case.name, p, near, key, digits) for p, _, _ in PEERS]
    if not any(cells):
        return None
    cycles = None if data.get("loaded") else res.median(case.name, "weft", near, "cycles_per_frame")
    copied = res.median(case.name, "weft", near, "copied_per_frame")
    return [title, *cells, res.ratio(case.name, "weft", "testpmd", near, key),
        res.ratio(case.name, "weft", "ovs", near, key), f"{cycles:.1f}" if cycles else "",
        f"{copied:.0f}" if copied else "", str(res.rounds(case.name, near))]


def uplink_row(res, case, near):
    cells = []
    for peer, _, _ in PEERS[:3]:
        own = res.median(case.name, peer, near, "cycles_per_frame")
        user = res.median(case.name, peer, near, "user_s")
        frames = res.median(case.name, peer, near, "rx_frames")
        calls = res.any(case.name, peer, "syscalls_per_1000")
        ran = user is not None and frames
        hz = res.median(case.name, peer, near, "ticks_hz")
        cells += [f"{own:.0f}" if own else "", f"{user * hz / frames:.0f}" if ran else "",
            f"{calls:.2f}" if ran and calls is not None else ""]
    return [case.title, *cells] if any(cells) else None


def latency_row(res, case, near):
    row = [case.title]
    for peer, _, _ in PEERS:
        p = [res.median(case.name, peer, near, k) for k in ("p50_us", "p99_us", "p999_us")]
        row.append(" / ".join(f"{v:.2f}" for v in p) if None not in p else "")
    lost = []
    for peer, title, _ in PEERS[:3]:
        v = res.values(case.name, peer, near, "lost")
        if v and case.kind in ("paced", "latency"):
            total = sum(res.values(case.name, peer, near, "total_tx"))
            top = res.median(case.name, peer, near, "maximum_mpps")
            share = f" at {100 * res.median(case.name, peer, near, 'tx_mpps') / top:.1f} %" if top else ""
            lost.append(f"{title} {sum(v)} of {total}{share}")
    row.append(", ".join(lost))
    return row if any(row[1:]) else None


def share_row(res, case, near):
    """Many guests against our own two, in the same rounds."""
    names = (case.name, case.beside.name)
    many, two = (res.median(n, "weft", near, "mpps") for n in names)
    if not many or not two:
        return None
    rounds = min(len(res.values(n, "weft", near, "mpps")) for n in names)
    return f"{100 * many / two:.0f} % of our own rate ({many:.2f} of {two:.2f} million, in turns; {rounds} round{'s' * (rounds != 1)})"


def section(res, data, cases, near, word):
    head = ["case", "weft", "testpmd io", "OVS-DPDK NORMAL", "bare floor", "weft / testpmd", "weft / OVS",
        "weft: cycles a frame", "weft: bytes copied a frame", "rounds"]
    parts = []
    for group, title, unit in (("forward", "VM to VM", "million frames a second received"),
            ("uplink", "NIC and VM", "million frames a second received"),
            ("tso", "64 KiB segments", "Gbit/s received"), ("scale", "Scale", "million frames a second received")):
        mine = [c for c in cases if c.group == group]
        rows = []
        for c in mine:
            rows += [rate_row(res, data, c, near)] if c.kind == "rate" else []
            # To send to a NIC costs many times what it takes to receive: what of each?
            rows += [rate_row(res, data, c, near, "least_mpps")] if c.name == "nic-vm-both" else []
        text = table(head, rows)
        if text:
            what = "best slices" if data.get("loaded") else "median and range"
            parts.append(f"**{title}** ({unit}; {what})\n\n{text}")
        rows = [latency_row(res, c, near) for c in mine if c.kind in ("paced", "latency", "ping", "first")]
        text = table(["case, us at 50 / 99 / 99.9 %", "weft", "testpmd io", "OVS-DPDK NORMAL", "bare floor", "lost"], rows)
        if text:
            parts.append(f"**{title}: latency and loss**\n\n{text}")
        if group == "uplink":
            rows = [uplink_row(res, c, near) for c in mine if c.kind == "rate"]
            names = ("weft", "testpmd", "OVS")
            head2 = ["case"] + [f"{n}: {w}" for n in names for w in
                ("busy", "user", "calls")]
            text = table(head2, rows)
            if text:
                parts.append(f"**{title}: what a frame costs** (busy: cycles a frame of passes that had "
                    "frames, by the contestant's own account, system calls included; user: cycles a frame "
                    "of the forwarding thread in user space, empty polls included; calls: system calls "
                    f"per 1000 frames; in ticks of the CPU's counter)\n\n{text}")
    for c in cases:
        share = share_row(res, c, near) if c.beside else None
        if share:
            parts.append(f"{c.title}, against {c.beside.title}: {share}.\n")
    return f"### Cores {word}\n\n" + "\n".join(parts) if parts else ""


def idle_section(res, cases):
    rows = []
    for c in cases:
        if c.kind == "idle":
            v = res.any(c.name, "weft", "cpu_percent")
            rows.append([c.title, f"{v:.2f} % of a core"] if v is not None else None)
        if c.kind == "poll_cost":
            v = res.any(c.name, "weft", "cycles_per_port")
            rows.append([c.title, f"{v:.1f} cycles a port and pass"] if v is not None else None)
    text = table(["idle", "weft"], rows)
    return f"### Idle\n\n{text}" if text else ""


def render(data, cases):
    res = Results(data)
    facts = {**data["machine"], **data["versions"]}
    lines = ["    " + line for line in data["command"].splitlines()] + [""]
    lines += ["; ".join(f"{k}: {v}" for k, v in facts.items()) + ".", ""]
    rounds = "as each command says" if "\n" in data["command"].strip() else \
        f"{data['rounds']}, each of {data['seconds']} s"
    lines.append(f"Rounds: {rounds}, contestants in turns. Near: the "
        "round trip of a cache line between the two cores is under 300 ns before and after the run.")
    if data.get("loaded"):
        lines += ["", "**The machine was loaded by others.** Rates are therefore not those of whole runs, but what "
            "nine of ten slices of a millisecond stay below in the best round: slices in which both cores were left "
            "alone. Of latencies the medians are worth something."]
    n = [r for r in data["results"] if "round" in r]
    bad = sum(bool(r["dropped"]) for r in n)
    wrong = sum(r.get(k, 0) for r in n for k in ("doubled", "altered", "late"))
    lines += ["", f"Runs: {len(n)}, of which {bad} did not count (the cores moved, or the generator was "
        f"disturbed). Frames doubled, reordered or altered: {wrong}.", ""]
    for near, word in CLASSES:
        lines.append(section(res, data, cases, near, word))
    lines.append(idle_section(res, cases))
    return "\n".join(lines).strip("\n") + "\n", plot(res, cases, data.get("loaded"))


def plot(res, cases, loaded):
    """Bars of the rate cases, relative to testpmd where it ran, else to the best."""
    near = any(r.get("near") and "mpps" in r for r in res.all)
    rows = []
    for c in cases:
        if c.kind != "rate" or c.group == "scale":
            continue
        key = "gbps" if c.group == "tso" else SLICES if loaded else "mpps"
        v = {p: res.median(c.name, p, near, key) for p, _, _ in PEERS}
        if any(v.values()):
            rows.append((c.title, "Gbit/s" if key == "gbps" else "Mpps", v))
    left, width, bar, gap = 300, 480, 12, 14
    height = 46 + sum(bar * sum(x is not None for x in v.values()) + gap for _, _, v in rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 110} {height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>']
    x = left
    for _, title, colour in PEERS:
        out.append(f'<rect x="{x}" y="10" width="10" height="10" fill="{colour}"/>'
            f'<text x="{x + 14}" y="19">{html.escape(title)}</text>')
        x += 110
    y = 36
    for title, unit, v in rows:
        top = max(x for x in v.values() if x is not None)
        n = sum(x is not None for x in v.values())
        out.append(f'<text x="{left - 8}" y="{y + n * bar / 2 + 4}" text-anchor="end">{html.escape(title)}</text>')
        for peer, _, colour in PEERS:
            if v[peer] is None:
                continue
            w = max(1, width * v[peer] / top)
            out.append(f'<rect x="{left}" y="{y}" width="{w:.1f}" height="{bar - 2}" fill="{colour}"/>'
                f'<text x="{left + w + 5:.1f}" y="{y + bar - 3}" font-size="10">{v[peer]:.2f} {unit}</text>')
            y += bar
        y += gap
    out.append("</svg>")
    return "\n".join(out) + "\n"


def write_docs(directory, text, svg):
    """Replaces the part of performance.md between the markers; the rest is written by people."""
    path = os.path.join(directory, "performance.md")
    with open(path, encoding="utf-8") as f:
        page = f.read()
    head, rest = page.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    with open(os.path.join(directory, "performance.svg"), "w", encoding="utf-8") as f:
        f.write(svg)
    body = f"\n![Frames forwarded, side by side](performance.svg)\n\n{text}\n"
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + BEGIN + body + END + tail)
