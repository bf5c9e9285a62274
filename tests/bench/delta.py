"""Measures tools that make deltas, for tests/bench/delta: runs each on each pair, applies what it made, compares, and reports.

A tool is a row of TOOLS: how its patch is made and how it is applied, each as one command. CPU is the user time of that command
and its children, the mean of several runs where it is short; memory is the greatest resident size of the largest of them. The
peers from PyPI run inside Python, which is in their memory (about 10 MB) and, for short runs, in their time.
"""

import argparse
import datetime
import email.utils
import filecmp
import hashlib
import http.server
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve()
# What the pairs are, in the order of the table. A pair that isn't here comes after them, by its name.
PAIRS = {
    "mpy": "MicroPython, Cortex-M3",
    "uboot-arm": "U-Boot, ARM",
    "uboot-arm64": "U-Boot, AArch64",
    "uboot-riscv": "U-Boot, RISC-V",
    "ubootmaj-arm": "U-Boot, ARM, two years apart",
    "opensbi": "OpenSBI, RISC-V, another compiler",
    "mbit": "micro:bit, another toolchain",
    "mpyelf": "MicroPython as ELF",
    "nginx": "nginx",
    "libc": "libc",
    "libcrypto": "libcrypto",
    "python": "python3.11",
    "libnode": "libnode",
    "vmlinux": "vmlinux",
    "vmlinuz": "vmlinuz, compressed",
    "modules-tar": "kernel modules as tar",
    "rootfs-tar": "root file system, tar",
    "rootfs-ext4": "root file system, ext4",
    "rootfs-sqnone": "root file system, squashfs, uncompressed",
    "rootfs-erofs": "root file system, erofs, uncompressed",
    "rootfs-sqzstd": "root file system, squashfs, zstd",
    "rootfs-sqgzip": "root file system, squashfs, gzip",
}
CODE = ["mpy", "uboot-arm", "nginx", "libc", "libcrypto", "python", "libnode"]
NOT_COUNTED = {"microbit"}  # text: the same firmware as mbit
PEERS_OF_SIZE = ["bsdiff", "xdelta3", "zstd-19", "zstd-22", "hdiff", "hdiff-zstd"]


class Skip(Exception):
    """This tool can't be had, or can't do this pair."""


class Pair:
    def __init__(self, name, old, new):
        self.name, self.old, self.new = name, old, new
        self.title = PAIRS.get(name, name)
        self.old_length, self.new_length = old.stat().st_size, new.stat().st_size
        digests = [digest_of(path) for path in (old, new)]
        self.digest = hashlib.sha256("".join(digests).encode()).hexdigest()[:24]


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- running

def measured(command, work):
    """User CPU seconds and peak resident bytes of a command that must succeed."""
    # A child's peak counts from before exec: GNU time is small, this interpreter isn't, so time starts it and tells the memory.
    note = work / "memory"
    started = subprocess.Popen(
        ["/usr/bin/time", "--quiet", "-f", "%M", "-o", note, *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(work / "said", "wb"),
    )
    _, status, usage = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode != 0:
        said = (work / "said").read_text(errors="replace").strip().splitlines()
        raise RuntimeError(f"{command[0]} ended with {started.returncode}: {said[-1] if said else 'it said nothing'}")
    return usage.ru_utime, int(note.read_text().split()[-1]) * 1024


def repeated(command, work, before=None, often=True):
    """The mean user time of as many runs as make half a second, twenty at most, and the greatest memory."""
    times, memory = [], 0
    while not times or (often and sum(times) < 0.5 and len(times) < 20):
        if before:
            before()
        seconds, peak = measured(command, work)
        times.append(seconds)
        memory = max(memory, peak)
    return sum(times) / len(times), memory


# ---- the tools

class Tool:
    """What makes a patch, and what applies it: OLD, NEW, PATCH and OUT in a command stand for the files."""

    def __init__(self, name, title, version, make, apply, above=None):
        self.name, self.title, self.version, self.make, self.apply, self.above = name, title, version, make, apply, above

    def measure(self, pair, work, smoke):
        if self.above and pair.new_length > self.above[0]:
            raise Skip(self.above[1])
        patch, out = work / "patch", work / "out"
        names = {"OLD": pair.old, "NEW": pair.new, "PATCH": patch, "OUT": out}

        def filled(command):
            parts = command(pair) if callable(command) else command
            return [str(names.get(part, part)) for part in parts]

        def clean(path):
            path.unlink(missing_ok=True)

        make_cpu, make_memory = repeated(filled(self.make), work, lambda: clean(patch), often=not smoke)
        apply_cpu, apply_memory = repeated(filled(self.apply), work, lambda: clean(out), often=not smoke)
        if not filecmp.cmp(pair.new, out, shallow=False):
            raise RuntimeError(f"{self.name} gave another file back for {pair.name}")
        return {
            "bytes": patch.stat().st_size,
            "make_cpu": make_cpu, "make_memory": make_memory,
            "apply_cpu": apply_cpu, "apply_memory": apply_memory,
        }


class Ours(Tool):
    """Ours, with the memory that the delta says a device needs."""

    def __init__(self, profile, signer):
        base = [str(signer), "delta"]
        super().__init__(
            f"ours-{profile}", f"**ours, {profile}**", "sha256 " + digest_of(signer),
            [*base, "make", "OLD", "NEW", "PATCH", "--profile", profile],
            [*base, "apply", "OLD", "PATCH", "OUT"],
            above=(16 << 20, "is meant for microcontrollers") if profile == "mcu" else None,
        )
        self.signer = signer

    def measure(self, pair, work, smoke):
        row = super().measure(pair, work, smoke)
        said = subprocess.run([self.signer, "delta", "inspect", work / "patch", "--json"], check=True, capture_output=True)
        row["device_memory"] = json.loads(said.stdout)["memory"]
        return row


class Zchunk(Tool):
    """No patch: what a client that has the old file fetches of the new one, by its chunks, over HTTP with ranges."""

    def __init__(self, version):
        super().__init__("zchunk", "zchunk (bytes fetched)", version, [], [])

    def measure(self, pair, work, smoke):
        old, new = work / "old.zck", work / "served" / "new.zck"
        new.parent.mkdir(exist_ok=True)
        measured(["zck", "-o", str(old), str(pair.old)], work)
        make_cpu, make_memory = repeated(["zck", "-o", str(new), str(pair.new)], work, lambda: new.unlink(missing_ok=True), not smoke)
        fetched = work / "fetched"
        fetched.mkdir(exist_ok=True)
        for left in fetched.iterdir():
            left.unlink()
        with Ranges(new.parent) as server:
            here = os.getcwd()
            os.chdir(fetched)
            try:
                cpu, memory = measured(["zckdl", "-s", str(old), f"{server.address}/new.zck"], work)
            finally:
                os.chdir(here)
            sent = server.sent
        (fetched / "new").unlink(missing_ok=True)
        os.chdir(fetched)
        try:
            unpack_cpu, unpack_memory = measured(["unzck", "new.zck"], work)
        finally:
            os.chdir(here)
        if not filecmp.cmp(pair.new, fetched / "new", shallow=False):
            raise RuntimeError(f"zchunk gave another file back for {pair.name}")
        return {
            "bytes": sent, "make_cpu": make_cpu, "make_memory": make_memory,
            "apply_cpu": cpu + unpack_cpu, "apply_memory": max(memory, unpack_memory),
        }


class Ranges:
    """A loopback HTTP server of one folder that understands several ranges in one request, and counts the bytes of bodies."""

    def __init__(self, folder):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.answer(False)

            def do_GET(self):
                self.answer(True)

            def answer(self, with_body):
                path = folder / pathlib.PurePosixPath(self.path).name
                if not path.is_file():
                    self.send_error(404)
                    return
                data = path.read_bytes()
                asked = [
                    (int(a), min(int(b) if b else len(data) - 1, len(data) - 1))
                    for a, b in re.findall(r"(\d+)-(\d*)", self.headers.get("Range", ""))
                ]
                status, kind, body = 200, "application/octet-stream", data
                extra = {}
                if len(asked) == 1:
                    (first, last), status = asked[0], 206
                    body = data[first : last + 1]
                    extra["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
                elif asked:
                    status, edge = 206, "perennial-bench-edge"
                    kind = f"multipart/byteranges; boundary={edge}"
                    parts = [
                        f"\r\n--{edge}\r\nContent-Type: application/octet-stream\r\n"
                        f"Content-Range: bytes {first}-{last}/{len(data)}\r\n\r\n".encode() + data[first : last + 1]
                        for first, last in asked
                    ]
                    body = b"".join(parts) + f"\r\n--{edge}--\r\n".encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Last-Modified", email.utils.formatdate(path.stat().st_mtime, usegmt=True))
                for name, value in extra.items():
                    self.send_header(name, value)
                self.end_headers()
                if with_body:
                    outer.sent += len(body)
                    self.wfile.write(body)

        self.sent = 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def debian(package):
    return "Debian " + subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], check=True, capture_output=True, text=True
    ).stdout


def pypi(package):
    import importlib.metadata
    return f"PyPI {package} {importlib.metadata.version(package)}"


def window(pair):
    """xdelta3's source window: the whole old file, 64 MiB at least."""
    return str(max(64 << 20, pair.old_length))


def long_window(pair):
    """zstd's window, as a power of two that holds both files."""
    return f"--long={min(31, max(27, (pair.old_length + pair.new_length).bit_length()))}"


def shell(text):
    """A command with a redirection; $1 and so on are the words after it."""
    return ["sh", "-c", text, "sh"]


def tools(signer):
    python = [sys.executable, str(HERE), "peer"]
    slow = (256 << 20, "would take hours at this size")
    zstd = [
        Tool(
            f"zstd-{level}", f"zstd -{level} --patch-from", debian("zstd"),
            lambda pair, level=level: ["zstd", "-q", "-T1", *(["--ultra"] if level > 19 else []), f"-{level}",
                                       long_window(pair), "--patch-from", "OLD", "NEW", "-o", "PATCH"],
            lambda pair: ["zstd", "-q", "-d", long_window(pair), "--patch-from", "OLD", "PATCH", "-o", "OUT"],
            above=slow,
        )
        for level in (19, 22)
    ]
    ours = [Ours(profile, signer) for profile in ("linux", "mcu")] if signer else []
    return [
        *ours,
        Tool("bsdiff", "bsdiff", debian("bsdiff"), ["bsdiff", "OLD", "NEW", "PATCH"], ["bspatch", "OLD", "OUT", "PATCH"],
             above=slow),
        Tool("xdelta3", "xdelta3 -9 -S lzma", debian("xdelta3"),
             lambda pair: ["xdelta3", "-e", "-9", "-S", "lzma", "-B", window(pair), "-s", "OLD", "NEW", "PATCH"],
             lambda pair: ["xdelta3", "-d", "-B", window(pair), "-s", "OLD", "PATCH", "OUT"]),
        *zstd,
        Tool("hdiff", "HDiffPatch, lzma2", pypi("hdiffpatch"),
             [*python, "hdiff-lzma2", "OLD", "NEW", "PATCH"], [*python, "hpatch", "OLD", "PATCH", "OUT"]),
        Tool("hdiff-zstd", "HDiffPatch, zstd", pypi("hdiffpatch"),
             [*python, "hdiff-zstd", "OLD", "NEW", "PATCH"], [*python, "hpatch", "OLD", "PATCH", "OUT"]),
        Tool("detools", "detools, lzma", pypi("detools"),
             [*python, "detools-lzma", "OLD", "NEW", "PATCH"], [*python, "detools-apply", "OLD", "PATCH", "OUT"], above=slow),
        Tool("detools-heatshrink", "detools, heatshrink", pypi("detools"),
             [*python, "detools-heatshrink", "OLD", "NEW", "PATCH"], [*python, "detools-apply", "OLD", "PATCH", "OUT"],
             above=(2 << 20, "is meant for microcontrollers")),
        Zchunk(debian("zchunk")),
        Tool("xz", "xz -9e of the whole file", debian("xz-utils"),
             [*shell('exec xz -9e -T1 -k -c "$1" > "$2"'), "NEW", "PATCH"],
             [*shell('exec xz -dc "$1" > "$2"'), "PATCH", "OUT"], above=slow),
    ]


def peer(what, old, one, two):
    """The peers that are Python packages, one operation in a process of its own."""
    read = lambda path: pathlib.Path(path).read_bytes()  # noqa: E731
    if what.startswith("detools"):
        import detools
        if what == "detools-apply":
            detools.apply_patch_filenames(old, one, two)
        else:
            detools.create_patch_filenames(old, one, two, compression=what.removeprefix("detools-"))
        return
    import hdiffpatch
    if what == "hpatch":
        pathlib.Path(two).write_bytes(hdiffpatch.apply(read(old), read(one)))
        return
    compression = {"hdiff-lzma2": lzma2, "hdiff-zstd": zstd_22}[what]
    pathlib.Path(two).write_bytes(hdiffpatch.diff(read(old), read(one), compression=compression(hdiffpatch), validate=False))


def lzma2(hdiffpatch):
    return hdiffpatch.Lzma2Config(level=9)


def zstd_22(hdiffpatch):
    return hdiffpatch.ZStdConfig(level=22)


# ---- the run

def pairs_of(corpus):
    found = []
    for old in sorted(corpus.glob("*-old*")):
        stem, ending = old.name.split("-old", 1)
        new = old.with_name(f"{stem}-new{ending}")
        name = (stem + ending.replace(".", "-")).lower()
        if old.is_file() and new.is_file() and name not in NOT_COUNTED:
            found.append((name, old, new))
    order = list(PAIRS)
    return sorted(found, key=lambda row: (order.index(row[0]) if row[0] in order else len(order), row[0]))


def smoke_pair(work):
    """Half a megabyte of a program, and the same with a few places changed and something put in."""
    old = pathlib.Path(sys.executable).resolve().read_bytes()[:500_000]
    new = bytearray(old)
    for at in range(10_000, len(new), 50_000):
        new[at : at + 4] = b"4321"
    new[200_000:200_000] = b"something that was not there before " * 20
    (work / "smoke-old").write_bytes(old)
    (work / "smoke-new").write_bytes(new)
    return [("smoke", work / "smoke-old", work / "smoke-new")]


def remembered(home, tool, pair):
    version = hashlib.sha256(tool.version.encode()).hexdigest()[:12]
    return home / "cache" / f"{tool.name}-{pair.digest}-{version}.json"


def row_of(tool, pair, options):
    """The row of a tool and a pair: from the cache, or measured now."""
    note = remembered(options.home, tool, pair)
    if note.exists() and not options.forget and not options.smoke:
        return json.loads(note.read_text())
    for left in options.work.glob("*"):
        if left.is_file() and not left.name.startswith("smoke-"):
            left.unlink()
    row = tool.measure(pair, options.work, options.smoke)
    row["measured"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
    if not options.smoke:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(row))
    return row


def geometric(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def text_row(tool, row):
    return (f"  {tool.name:<19} {row['bytes']:>11,}  {row['make_cpu']:>8.2f} s {row['make_memory'] / 2**20:>7.0f} MiB"
            f"  {row['apply_cpu']:>7.3f} s {row['apply_memory'] / 2**20:>6.1f} MiB"
            + (f"   device {row['device_memory'] / 1024:.1f} KiB" if "device_memory" in row else ""))


def run(options):
    chosen_tools = tools(options.signer)
    by_name = {tool.name: tool for tool in chosen_tools}
    pairs = smoke_pair(options.work) if options.smoke else pairs_of(options.corpus)
    if options.list:
        print("pairs:", *(name for name, _, _ in pairs))
        print("tools:", *by_name)
        return
    for kind, named, there in (("pair", options.pair, [name for name, _, _ in pairs]), ("tool", options.tool, list(by_name))):
        for name in named:
            if name not in there:
                sys.exit(f"error: there is no {kind} {name}\nhint: there are {', '.join(there)}")
    table = {}
    for name, old, new in pairs:
        if options.pair and name not in options.pair:
            continue
        pair = Pair(name, old, new)
        print(f"{pair.title} ({name}): {pair.old_length:,} to {pair.new_length:,} bytes", flush=True)
        rows = {}
        for tool in chosen_tools:
            if options.tool and tool.name not in options.tool:
                continue
            try:
                rows[tool.name] = row_of(tool, pair, options)
            except Skip as reason:
                print(f"  {tool.name:<19} skipped: {reason}")
            except RuntimeError as error:
                if tool.name.startswith("ours"):
                    raise
                print(f"  {tool.name:<19} failed: {error}")
            else:
                print(text_row(tool, rows[tool.name]), flush=True)
        table[name] = (pair, rows)
    (options.home / "table.md").write_text(markdown(table, by_name))
    print(f"\nThe table is in {options.home / 'table.md'}\n")
    print(book(table))
    figures(table)


# Columns of the book's tables: the tools whose sizes stand there.
COLUMNS = {
    "ours-linux": "ours", "ours-mcu": "mcu", "bsdiff": "bsdiff", "hdiff": "HDiffPatch", "zstd-22": "zstd -22", "xdelta3": "xdelta3",
    "detools": "detools", "xz": "xz, whole",
}


def book(table):
    """The tables of docs/deltas.md: bytes, then processor time where it is no instant."""
    def line(cells):
        return "| " + " | ".join(cells) + " |"

    lines = [line(["pair", *COLUMNS.values()]), line(["---"] + ["---:"] * len(COLUMNS))]
    for pair, rows in table.values():
        lines.append(line([pair.title] + [f"{rows[name]['bytes']:,}" if name in rows else "–" for name in COLUMNS]))
    lines += ["", line(["pair", "ours, make", "bsdiff, make", "ours, apply", "bspatch, apply"]), line(["---"] + ["---:"] * 4)]
    for pair, rows in table.values():
        ours, theirs = rows.get("ours-linux"), rows.get("bsdiff")
        if ours and theirs and max(ours["make_cpu"], theirs["make_cpu"]) >= 0.5:
            times = [row[f"{what}_cpu"] for what in ("make", "apply") for row in (ours, theirs)]
            lines.append(line([pair.title] + [f"{time:.2f}" for time in times[:2]] + [f"{time:.3f}" for time in times[2:]]))
    return "\n".join(lines) + "\n"


def markdown(table, by_name):
    """The table for the book: a block of rows for each pair."""
    lines = [
        "| pair | tool | bytes | to make: CPU s | MiB | to apply: CPU s | MiB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for pair, rows in table.values():
        title = f"{pair.title} ({pair.new_length:,} bytes)"
        for name, row in sorted(rows.items(), key=lambda item: item[1]["bytes"]):
            lines.append(
                f"| {title} | {by_name[name].title} | {row['bytes']:,} | {row['make_cpu']:.2f} | {row['make_memory'] / 2**20:.0f} "
                f"| {row['apply_cpu']:.3f} | {row['apply_memory'] / 2**20:.1f} |"
            )
            title = ""
    return "\n".join(lines) + "\n"


def figures(table):
    """The lines that are judged: a figure for each pair and tool, then the ratios. A ratio of sizes is theirs by ours: more is better."""
    for name, (_, rows) in table.items():
        for tool, row in rows.items():
            print(f"figure delta-{name}-{tool} {row['bytes']} bytes")
            if "device_memory" in row:
                print(f"figure delta-{name}-{tool}-device-memory {row['device_memory']} bytes")
    ours = {name: rows["ours-linux"] for name, (_, rows) in table.items() if "ours-linux" in rows}
    for name, mine in ours.items():
        sizes = [table[name][1][peer]["bytes"] for peer in PEERS_OF_SIZE if peer in table[name][1]]
        if sizes:
            print(f"ratio delta-{name}-to-smallest-peer {min(sizes) / mine['bytes']:.3f}")
    for peer in ("bsdiff", "hdiff", "hdiff-zstd"):
        both = [(table[name][1][peer], ours[name]) for name in CODE if name in ours and peer in table[name][1]]
        if both:
            mean = geometric([theirs["bytes"] / mine["bytes"] for theirs, mine in both])
            print(f"ratio delta-code-{len(both)}-pairs-to-{peer} {mean:.2f}")
    for what, word in (("make_cpu", "making"), ("apply_cpu", "applying")):
        both = [(name, table[name][1]["bsdiff"], mine) for name, mine in ours.items() if "bsdiff" in table[name][1]]
        for name, theirs, mine in both:
            print(f"ratio delta-{name}-{word}-cpu-to-bsdiff {mine[what] / max(theirs[what], 1e-6):.3f}")
        if both:
            mean = geometric([max(mine[what], 1e-6) / max(theirs[what], 1e-6) for _, theirs, mine in both])
            print(f"ratio delta-{word}-cpu-to-bsdiff {mean:.3f}")


def main():
    if sys.argv[1:2] == ["peer"]:
        return peer(*sys.argv[2:6])
    parser = argparse.ArgumentParser(prog="tests/bench/delta")
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--home", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--signer", type=pathlib.Path)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--pair", action="append", default=[], help="a pair; may be repeated")
    parser.add_argument("--tool", action="append", default=[], help="a tool; may be repeated")
    parser.add_argument("--forget", action="store_true", help="measure peers again that are remembered")
    parser.add_argument("--peers-only", action="store_true", help="leave ours out")
    parser.add_argument("--list", action="store_true", help="list pairs and tools, and measure nothing")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
