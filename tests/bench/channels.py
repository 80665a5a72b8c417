"""Channels between guests of a session, beside what processes of the host have.

Used by tests/bench/run, section "channels". Every figure is taken interleaved with
its reference: `rounds` times each, medians of the medians.
"""
import json
import os
import re
import socket
import statistics
import subprocess
import time

SIZES = (4096, 65536, 1 << 20)
PING = re.compile(r"ping \d+ rounds p50 (\d+) p99 (\d+)(?: p999 (\d+))?(?: p9999 (\d+))?")
BULK = re.compile(r"bulk (\d+) in (\d+) ns")


class Session:
    """An exo session in a directory of its own. quick: a tenth of everything."""

    def __init__(self, b, name, quick=False):
        self.b = b
        self.less = 10 if quick else 1
        self.dir = os.path.join(b.tmp, name)
        os.mkdir(self.dir, 0o700)
        self.env = dict(os.environ, EXO_SESSION=self.dir)
        self.log = open(os.path.join(b.tmp, name + ".log"), "wb")
        self.process = subprocess.Popen([b.bin("exo"), "session"], env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        for _ in range(500):
            if os.path.exists(os.path.join(self.dir, "control")):
                break
            time.sleep(0.01)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(os.path.join(self.dir, "control"))
        self.lines = self.sock.makefile("r")
        self.count = 0

    def ask(self, op, **fields):
        self.count += 1
        self.sock.sendall((json.dumps(dict(fields, op=op, id=self.count)) + "\n").encode())
        for line in self.lines:
            answer = json.loads(line)
            if answer.get("id") == self.count:
                if not answer["ok"]:
                    raise SystemExit(f"bench: {op}: {answer['error']['message']}")
                return answer
        raise SystemExit("bench: the session hung up")

    def manifest(self, name, text):
        path = os.path.join(self.dir, name + ".exo")
        with open(path, "w") as f:
            f.write(text)
        return path

    def exo(self, *args, timeout=120):
        return subprocess.run([self.b.bin("exo"), *args], env=self.env, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)

    def close(self):
        self.sock.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def server(s, name, kind, args, service=None):
    service = service or name
    path = s.manifest(name, f"""[program]
file = {s.b.test_guest("chan")}
args = serve {service} {kind} {args}
[provides]
{service} = 100 {kind if kind == "stream" else "seqpacket"}
[lifecycle]
restart = no
""")
    s.ask("start", manifest=path)
    s.ask("wait", guest=name, **{"for": "ready"}, timeout_ms=10000)


def client_manifest(s, name, service, kind, args, switched):
    limit = " rate=100G" if switched else ""
    return s.manifest(name, f"""[program]
file = {s.b.test_guest("chan")}
args = connect {service} {kind} {args}
[uses]
{service} ={limit}
""")


def run_client(s, name, service, kind, args, switched=False):
    path = client_manifest(s, name, service, kind, args, switched)
    done = s.exo("run", path)
    if done.returncode:
        raise SystemExit(f"bench: client {args}: {done.stdout} {done.stderr}")
    return done.stdout


def ipc(b, *args):
    out = subprocess.run([b.helper("ipc"), *map(str, args)], stdout=subprocess.PIPE, check=True,
                         timeout=120)
    return json.loads(out.stdout)


def med(rows, key):
    return statistics.median(r[key] for r in rows)


# ---- round trips ----------------------------------------------------------------------

def guest_ping(s, number, kind, switched, spin, rounds):
    name = f"ping{number}"
    option = "" if spin is None else f"spin={spin} "
    server(s, name, kind, f"{option}count=0 quiet echo")
    out = run_client(s, f"asker{number}", name, kind, f"{option}ping {rounds} 8", switched)
    s.ask("kill", guest=name)
    m = PING.search(out)
    return {"p50": int(m[1]), "p99": int(m[2]), "p9999": int(m[4] or m[3] or 0)}


def round_trips(b, s, repeat):
    many, some = 20000 // s.less, 5000 // s.less
    cases = [
        ("Unix stream socket pair", lambda n: ipc(b, "rtt", "stream", many)),
        ("the same, on two CPUs", lambda n: ipc(b, "rtt", "stream2", many)),
        ("Unix seqpacket socket pair", lambda n: ipc(b, "rtt", "seq", many)),
        ("pipe", lambda n: ipc(b, "rtt", "pipe", many)),
        ("eventfd", lambda n: ipc(b, "rtt", "eventfd", many)),
        ("shared memory, both look", lambda n: ipc(b, "rtt", "spin", many)),
        ("direct stream", lambda n: guest_ping(s, n, "stream", False, None, many)),
        ("direct seqpacket", lambda n: guest_ping(s, n, "seq", False, None, many)),
        ("direct stream, both sleep", lambda n: guest_ping(s, n, "stream", False, 0, some)),
        ("direct stream, both look", lambda n: guest_ping(s, n, "stream", False, 1000000, many)),
        ("switched stream", lambda n: guest_ping(s, n, "stream", True, None, some)),
        ("switched seqpacket", lambda n: guest_ping(s, n, "seq", True, None, some)),
    ]
    if os.cpu_count() == 1:  # nobody who only looks ever lets the other one run
        cases = [c for c in cases if "look" not in c[0] and "two CPUs" not in c[0]]
    rows = {name: [] for name, _ in cases}
    number = 0
    for _ in range(repeat):
        for name, measure in cases:
            number += 1
            rows[name].append(measure(number))
    base = med(rows["Unix stream socket pair"], "p50")
    print(f"| round trip of 8 bytes | p50 | p99 | p99.99 | to a socket pair |\n|---|---|---|---|---|")
    result = {}
    for name, r in rows.items():
        result[name] = {k: med(r, k) for k in ("p50", "p99", "p9999")}
        v = result[name]
        print(f"| {name} | {v['p50'] / 1e3:.2f} us | {v['p99'] / 1e3:.1f} us | "
              f"{v['p9999'] / 1e3:.0f} us | {v['p50'] / base:.2f} |")
    return result


# ---- throughput -------------------------------------------------------------------------

def guest_bulk(s, number, kind, switched, total, chunk):
    name = f"sink{number}"
    server(s, name, kind, f"chunk={chunk} count=0 quiet sum")
    out = run_client(s, f"sender{number}", name, kind, f"chunk={chunk} bulk {total}", switched)
    s.ask("kill", guest=name)
    m = BULK.search(out)
    return {"mb_per_s": int(m[1]) * 1e3 / int(m[2])}


def throughput(b, s, repeat):
    result = {}
    number = 0
    print("\n| one way, MB/s, by size of a write | 4 KiB | 64 KiB | 1 MiB |\n|---|---|---|---|")
    sizes = SIZES
    host, total = 512 // s.less, (512 << 20) // s.less
    cases = [
        ("memcpy", lambda n, c: ipc(b, "bulk", "memcpy", 2 * host, c)),
        ("Unix stream socket pair", lambda n, c: ipc(b, "bulk", "stream", host, c)),
        ("Unix seqpacket socket pair", lambda n, c: ipc(b, "bulk", "seq", host, min(c, 65536))),
        ("pipe", lambda n, c: ipc(b, "bulk", "pipe", host, c)),
        ("direct stream", lambda n, c: guest_bulk(s, n, "stream", False, total, c)),
        ("direct seqpacket", lambda n, c: guest_bulk(s, n, "seq", False, total, min(c, 65536))),
        ("switched stream", lambda n, c: guest_bulk(s, n, "stream", True, total // 2, c)),
        ("switched seqpacket", lambda n, c: guest_bulk(s, n, "seq", True, total // 2, min(c, 32768))),
    ]
    rows = {name: {size: [] for size in sizes} for name, _ in cases}
    for _ in range(repeat):
        for size in sizes:
            for name, measure in cases:
                number += 1
                rows[name][size].append(measure(number, size))
    for name, by_size in rows.items():
        result[name] = {size: med(r, "mb_per_s") for size, r in by_size.items()}
        print(f"| {name} | " + " | ".join(f"{result[name][size]:.0f}" for size in sizes) + " |")
    return result


# ---- many pairs --------------------------------------------------------------------------

def pairs(b, s, counts=(1, 10, 100)):
    """All pairs at once: round trips a second of all together."""
    result = {}
    print("\n| pairs at once | direct, round trips a second | socket pairs | ratio |\n|---|---|---|---|")
    for count in counts:
        rounds = max(200, 20000 // count) // s.less
        for i in range(count):
            server(s, f"many{count}-{i}", "stream", "count=0 quiet echo")
        paths = [client_manifest(s, f"crowd{count}-{i}", f"many{count}-{i}", "stream",
                                 f"quiet ping {rounds} 8", False) for i in range(count)]
        start = time.monotonic()
        clients = [subprocess.Popen([b.bin("exo"), "run", p], env=s.env, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL) for p in paths]
        bad = sum(p.wait(300) != 0 for p in clients)
        guests = count * rounds / (time.monotonic() - start)
        start = time.monotonic()
        hosts = [subprocess.Popen([b.helper("ipc"), "rtt", "stream", str(rounds)],
                                  stdout=subprocess.DEVNULL) for _ in range(count)]
        bad += sum(p.wait(300) != 0 for p in hosts)
        host = count * rounds / (time.monotonic() - start)
        for i in range(count):
            s.ask("kill", guest=f"many{count}-{i}")
        result[count] = {"direct": guests, "host": host, "failed": bad}
        print(f"| {count} | {guests:.0f} | {host:.0f} | {guests / host:.2f} |"
              + (f" {bad} failed" if bad else ""))
    print("# the time of launching the clients is in both")
    return result


# ---- set-up, grants -------------------------------------------------------------------------

def set_up(b, s):
    server(s, "door", "stream", "count=0 quiet echo")
    rows = []
    for i in range(3):
        out = run_client(s, f"knock{i}", "door", "stream", f"knock {1000 // s.less}")
        m = re.search(r"knock (\d+) in (\d+) ns, connect p50 (\d+) p99 (\d+)", out)
        rows.append({"all": int(m[2]) / int(m[1]), "p50": int(m[3]), "p99": int(m[4])})
    s.ask("kill", guest="door")
    result = {k: med(rows, k) / 1e3 for k in ("all", "p50", "p99")}
    print(f"\nConnect: p50 {result['p50']:.0f} us, p99 {result['p99']:.0f} us; with a byte each way "
          f"and the close: {result['all']:.0f} us")
    return result


def grants(b, s, counts=(10, 10000)):
    """Over the control socket: what a person's grant and revocation take."""
    result = {}
    server(s, "vault", "stream", "count=0 quiet echo")
    print("\n| grants there are | grant | revoke |\n|---|---|---|")
    made = 0
    for count in counts:
        while made < count:
            s.ask("grant", guest=f"holder{made}", service="vault", rights=["connect"])
            made += 1
        grant, revoke = [], []
        for i in range(300):
            start = time.monotonic()
            answer = s.ask("grant", guest=f"visitor{i}", service="vault", rights=["connect"])
            middle = time.monotonic()
            s.ask("revoke", grant=answer["grant"])
            revoke.append(time.monotonic() - middle)
            grant.append(middle - start)
        result[count] = {"grant_us": statistics.median(grant) * 1e6,
                         "revoke_us": statistics.median(revoke) * 1e6}
        print(f"| {count} | {result[count]['grant_us']:.0f} us | {result[count]['revoke_us']:.0f} us |")
    s.ask("kill", guest="vault")
    return result


# ---- memory, files ------------------------------------------------------------------------------

def frames(b, s, size=64 << 20):
    """Frames of 64 MiB that the producer fills in place and the consumer checks in place."""
    count = 200 // s.less
    limits = "[limits]\ngrants = 160M\nwindow = 192M\n"
    program = f"[program]\nfile = {b.test_guest('frames')}\n"
    rows = []
    for i in range(3):
        producer = s.manifest(f"film{i}", f"{program}args = produce film{i} {count} {size}\n"
                              f"[provides]\nfilm{i} = 9 seqpacket\n{limits}")
        consumer = s.manifest(f"viewer{i}", f"{program}args = consume film{i}\n"
                              f"[uses]\nfilm{i} =\n{limits}")
        s.ask("start", manifest=producer)
        s.ask("wait", guest=f"film{i}", **{"for": "ready"}, timeout_ms=10000)
        done = s.exo("run", consumer)
        if "ok" not in done.stdout:
            raise SystemExit(f"bench: frames: {done.stdout} {done.stderr}")
        s.ask("wait", guest=f"film{i}", **{"for": "ended"}, timeout_ms=30000)
        m = re.search(r": (\d+) MB/s, memcpy (\d+) MB/s", s.exo("log", f"film{i}").stdout)
        rows.append({"mb_per_s": int(m[1]), "memcpy": int(m[2])})
    result = {k: med(rows, k) for k in ("mb_per_s", "memcpy")}
    result["ratio"] = statistics.median(r["mb_per_s"] / r["memcpy"] for r in rows)
    print(f"\n64 MiB frames by memory grant: {result['mb_per_s']:.0f} MB/s; memcpy of one in the same "
          f"guest {result['memcpy']:.0f} MB/s: {result['ratio']:.2f}")
    return result


def files(b, s, size=64 << 20):
    """A file of a host folder over 9P, beside the same program on the host."""
    folder = os.path.join(b.tmp, "folder")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "file")
    with open(path, "wb") as f:
        for _ in range(size >> 20):
            f.write(os.urandom(1 << 20))
    cases = {"read, 128 KiB": ("read", 131072, 4), "random 4 KiB": ("random", 4096, 2000)}
    rows = {name: [] for name in cases}
    for i in range(3):
        for name, (mode, piece, count) in cases.items():
            args = [mode, str(piece), str(max(1, count // s.less))]
            done = s.exo("run", "--name", f"reader{i}", "--mount", f"{folder}:/mnt:ro",
                         b.guest("fsread"), "/mnt/file", *args)
            if done.returncode:
                raise SystemExit(f"bench: fsread: {done.stdout} {done.stderr}")
            host = subprocess.run([b.helper("fsread"), path, *args], stdout=subprocess.PIPE, check=True)
            rows[name].append([r["bytes"] / r["us"] for r in (json.loads(done.stdout),
                                                              json.loads(host.stdout))])
    result = {}
    print("\n| a file over 9P, MB/s | guest | the same on the host, page cache | ratio |\n|---|---|---|---|")
    for name, pairs_of in rows.items():
        guest, host = (statistics.median(p[i] for p in pairs_of) for i in (0, 1))
        result[name] = {"guest": guest, "host": host, "ratio": guest / host}
        print(f"| {name} | {guest:.0f} | {host:.0f} | {guest / host:.2f} |")
    return result


# ---- floods ----------------------------------------------------------------------------------

FLOODS = "connect half tiny bells ask rude delegate memory".split()


def flood(b, s, repeat):
    """A pair that sleeps between its messages, while another guest floods whom it can reach."""
    result, number = {}, 0
    server(s, "near", "stream", "spin=0 count=0 quiet echo")
    server(s, "door", "stream", "count=0 threads quiet echo")

    def measure():
        nonlocal number
        number += 1
        m = PING.search(run_client(s, f"watcher{number}", "near", "stream", f"spin=0 ping {3000 // s.less} 8", False))
        return {"p50": int(m[1]), "p99": int(m[2])}

    quiet = [measure() for _ in range(repeat)]
    print("\n| flood by one guest | a neighbour's p50 | p99 | p99 to none |\n|---|---|---|---|")
    for name, kinds in [("none", [])] + [(k, [k]) for k in FLOODS] + [("all at once", FLOODS)]:
        rows = quiet
        if kinds:
            path = s.manifest("flood", f"[program]\nfile = {b.test_guest('flood')}\n"
                              f"args = door 60 {' '.join(kinds)}\n[uses]\ndoor = delegate\n"
                              "[limits]\ngrants = 8M\n")
            s.ask("start", manifest=path)
            rows = [measure() for _ in range(repeat)]
            s.ask("kill", guest="flood")
        r = result[name] = {k: med(rows, k) for k in ("p50", "p99")}
        r["ratio"] = r["p99"] / med(quiet, "p99")
        print(f"| {name} | {r['p50'] / 1e3:.1f} us | {r['p99'] / 1e3:.0f} us | {r['ratio']:.2f} |")
    for name in ("near", "door"):
        s.ask("kill", guest=name)
    return result


def section(b, repeat=5, quick=False):
    s = Session(b, "session", quick)
    try:
        return {
            "round_trips": round_trips(b, s, repeat),
            "throughput": throughput(b, s, max(1, repeat // 2)),
            "pairs": pairs(b, s, (1, 10) if quick else (1, 10, 100)),
            "set_up": set_up(b, s),
            "frames": frames(b, s),
            "flood": flood(b, s, repeat),
            "files": files(b, s),
            "grants": grants(b, s, (10, 1000) if quick else (10, 10000)),
        }
    finally:
        s.close()
