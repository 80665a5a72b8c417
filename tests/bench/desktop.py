"""The desktop: launch to the first frame, input to its picture, animation, idle windows, memory.

The desktop is a real SDL2 window under Xvfb where frames and processor time are compared with a
plain SDL2 program's of the same scene; headless where no screen matters.
"""
import glob
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time


class Lines:
    """A Unix socket with one JSON object a line."""

    def __init__(self, path, seconds=10):
        end = time.monotonic() + seconds
        while True:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                self.sock.connect(path)
                break
            except OSError:
                self.sock.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        self.data = b""
        self.id = 0

    def ask(self, timeout=60, **fields):
        self.id += 1
        fields["id"] = self.id
        self.sock.sendall(json.dumps(fields).encode() + b"\n")
        self.sock.settimeout(timeout)
        while True:
            while b"\n" not in self.data:
                got = self.sock.recv(65536)
                if not got:
                    raise RuntimeError(f"hung up on {fields}")
                self.data += got
            line, _, self.data = self.data.partition(b"\n")
            answer = json.loads(line)
            if answer.get("id") == self.id:
                if not answer.get("ok"):
                    raise RuntimeError(f"{fields}: {answer.get('error')}")
                return answer


class Xvfb:
    """An X server of our own number: two that look for a free one at once can find the same."""

    def __init__(self, width, height):
        self.name = f":{1000 + os.getpid() % 50000}"
        self.process = subprocess.Popen(
            ["Xvfb", self.name, "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset"],
            stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not os.path.exists("/tmp/.X11-unix/X" + self.name[1:]):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("Xvfb did not start")
            time.sleep(0.05)
        self.env = dict(os.environ, DISPLAY=self.name, SDL_VIDEODRIVER="x11",
                        SDL_RENDER_DRIVER="software", SDL_AUDIODRIVER="dummy")
        self.env.pop("WAYLAND_DISPLAY", None)

    def close(self):
        self.process.terminate()
        self.process.wait()


class Desk:
    """A session and a desktop; headless, or in the window of an X server."""

    def __init__(self, b, width=1280, height=800, screen=None):
        self.b = b
        self.dir = tempfile.mkdtemp(prefix="exo-desk.", dir=b.tmp)
        os.chmod(self.dir, 0o700)
        env = dict(screen.env if screen else os.environ, EXO_SESSION=self.dir,
                   EXO_PATH=os.path.join(b.build, "guests"))
        self.session = subprocess.Popen([b.bin("exo"), "session"], env=env,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.control = Lines(os.path.join(self.dir, "control"))
        self.desktop = subprocess.Popen(
            [b.bin("exo"), "desktop", "--size", f"{width}x{height}"] + ([] if screen else ["--headless"]),
            env=env, stdout=subprocess.DEVNULL)
        self.ui = Lines(os.path.join(self.dir, "desktop.sock"))
        self.n = 0

    def start(self, program, args=(), width=640, height=480, **more):
        self.n += 1
        name = f"{program}-{self.n}"
        fields = {"op": "start", "name": name, "args": list(args),
                  "manifest": os.path.join(self.b.build, "guests", program + ".exo"),
                  "display": {"width": width, "height": height}}
        fields.update(more)
        self.control.ask(**fields)
        return name

    def output(self, name):
        with open(os.path.join(self.dir, "log", name + ".log")) as f:
            return f.read()

    def wait_output(self, name, pattern, seconds=120, meanwhile=lambda: None):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            meanwhile()
            try:
                found = re.search(pattern, self.output(name))
            except OSError:
                found = None
            if found:
                return found
            time.sleep(0.05)
        raise RuntimeError(f"{name}: no {pattern} in its output")

    def stop(self, name):
        self.control.ask(op="kill", guest=name)

    def pids(self):
        """(name of the program, pid) of this desktop's processes."""
        found = []
        for path in glob.glob("/proc/[0-9]*"):
            try:
                with open(path + "/environ", "rb") as f:
                    ours = f"EXO_SESSION={self.dir}".encode() in f.read()
                with open(path + "/comm") as f:
                    comm = f.read().strip()
                with open(path + "/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
            if ours or (comm.startswith("exo-vmm") and parent == self.session.pid):
                found.append((comm, int(path[6:])))
        return found

    def close(self):
        for p in (self.desktop, self.session):
            p.terminate()
        for p in (self.desktop, self.session):
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def ticks(pid):
    """Processor time, s; -1: there is no such process any more."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return -1
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def switches(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        try:
            with open(path) as f:
                total += sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
        except OSError:
            pass
    return total


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))


def p99(values):
    return sorted(values)[min(len(values) - 1, len(values) * 99 // 100)]


def launches(b, runs):
    """From the request to start a program to its first frame in the composed screen."""
    d = Desk(b)
    first, bare = [], []
    try:
        for _ in range(runs):
            start = time.monotonic()
            name = d.start("calc")
            d.ui.ask(op="wait-frame", guest=name)
            first.append(time.monotonic() - start)
            d.stop(name)
            start = time.monotonic()
            d.control.ask(op="hello")
            d.ui.ask(op="state")
            bare.append(time.monotonic() - start)
    finally:
        d.close()
    ms = [1e3 * s for s in first]
    print(f"  launch of a windowed guest to its first visible frame: {statistics.median(ms):.1f} ms "
          f"(p99 {p99(ms):.1f}; asking alone: {1e3 * statistics.median(bare):.2f} ms)", flush=True)
    return {"p50_ms": statistics.median(ms), "p99_ms": p99(ms), "asking_ms": 1e3 * statistics.median(bare)}


def inputs(b, count):
    """Pointer motion to the guest and to the frame that answers it."""
    d = Desk(b)
    result = {}
    try:
        for path, args in (("shared", []), ("copy", ["--copy"])):
            name = d.start("meter", args + ["--inputs", str(count)])
            frame = d.ui.ask(op="wait-frame", guest=name)
            whole = []
            try:
                for i in range(3 * count):
                    # Not in step with the frames before: a person is not, either.
                    time.sleep(0.02 + i % 37 / 1000)
                    start = time.monotonic()
                    d.ui.ask(op="pointer", x=20 + i % 100, y=30 + i % 90, guest=name)
                    frame = d.ui.ask(op="wait-frame", guest=name, sequence=frame["sequence"] + 1)
                    whole.append(time.monotonic() - start)
            except RuntimeError:
                pass  # it has what it needs, and has ended
            line = d.wait_output(name, r"p50_us=(\d+) p90_us=\d+ p99_us=(\d+)")
            result[path] = {"p50_us": int(line.group(1)), "p99_us": int(line.group(2)),
                            "script_p50_us": 1e6 * statistics.median(whole), "script_p99_us": 1e6 * p99(whole)}
            print(f"  input in the guest to its presented frame, {path}: p50 {int(line.group(1)) / 1e3:.1f} ms, "
                  f"p99 {int(line.group(2)) / 1e3:.1f} ms; from the shell to the shell's frame: "
                  f"p50 {1e3 * statistics.median(whole):.1f} ms, p99 {1e3 * p99(whole):.1f} ms", flush=True)
    finally:
        d.close()
    return result


def animation(b, width, height, frames):
    """Frames a second and processor time of one full-screen animation."""
    result = {}
    screen = Xvfb(width, height)
    strip = 24
    try:
        for paced in (1, 0):
            before = ticks(screen.process.pid)
            out = subprocess.run([b.helper("sdlscene"), str(frames), str(width), str(height - strip), str(paced)],
                                 env=screen.env, capture_output=True, text=True, timeout=300, check=True).stdout
            m = re.search(r"fps=([\d.]+) cpu_ms=([\d.]+)", out)
            result["sdl paced" if paced else "sdl free"] = {
                "fps": float(m.group(1)), "cpu_ms_frame": float(m.group(2)) / frames,
                "x_ms_frame": 1e3 * (ticks(screen.process.pid) - before) / frames}
        d = Desk(b, width, height, screen)
        try:
            for path, args in (("shared", []), ("copy", ["--copy"])):
                name = d.start("meter", args + ["--frames", str(frames)], width, height - strip,
                               **({"memory": 256 << 20} if width > 2000 else {}))
                d.ui.ask(op="wait-frame", guest=name)
                d.ui.ask(op="fullscreen", guest=name)
                pids = d.pids() + [("X", screen.process.pid)]
                before = {p: ticks(p) for _, p in pids}
                first = time.monotonic()
                cpu, last = {}, first

                def sample():
                    nonlocal last
                    now = {p: ticks(p) for _, p in pids}
                    if min(now.values()) >= 0:  # none has ended
                        last = time.monotonic()
                        cpu.update({comm: now[p] - before[p] for comm, p in pids})

                line = d.wait_output(name, r"frames=(\d+) .*fps=([\d.]+) width=(\d+) height=(\d+)", 300, sample)
                fps = float(line.group(2))
                done = max(fps * (last - first), 1)  # frames while it was sampled
                result[path] = {"fps": fps, "width": int(line.group(3)), "height": int(line.group(4)),
                                "cpu_ms_frame": {c: 1e3 * t / done for c, t in cpu.items() if c != "X"},
                                "x_ms_frame": 1e3 * cpu.get("X", 0) / done}
        finally:
            d.close()
    finally:
        screen.close()
    plain = result["sdl paced"]["fps"]
    for name, r in result.items():
        cpu = r["cpu_ms_frame"]
        words = f"{cpu:.1f}" if isinstance(cpu, float) else ", ".join(f"{c} {t:.1f}" for c, t in sorted(cpu.items()))
        print(f"  {width}x{height} {name:10} {r['fps']:6.1f} frames/s ({r['fps'] / plain:.2f} of plain SDL2's paced), "
              f"CPU ms a frame: {words}, X {r['x_ms_frame']:.1f}", flush=True)
    return result


def idle(b, windows=20, seconds=10):
    """Wake-ups and processor time of a desktop on which nothing moves; memory a window."""
    d = Desk(b, 1920, 1080)
    try:
        desktop = next(p for c, p in d.pids() if c == "exo-desktop")
        before = pss(desktop)
        for _ in range(windows):
            d.ui.ask(op="wait-frame", guest=d.start("calc"))
        time.sleep(40)  # the VMMs' watchdogs look less and less often
        pids = d.pids()
        a = {p: (switches(p), ticks(p)) for _, p in pids}
        time.sleep(seconds)
        result = {"windows": windows, "switches_s": {}, "cpu": {}}
        for comm, p in pids:
            result["switches_s"][comm] = result["switches_s"].get(comm, 0) + (switches(p) - a[p][0]) / seconds
            result["cpu"][comm] = result["cpu"].get(comm, 0) + (ticks(p) - a[p][1]) / seconds
        vmms = [pss(p) for c, p in pids if c == "exo-vmm"]
        result["vmm_pss_kib"] = statistics.median(vmms) if vmms else 0
        result["desktop_pss_kib_window"] = (pss(desktop) - before) / windows
    finally:
        d.close()
    print(f"  idle with {windows} windows: switches a second "
          + ", ".join(f"{c} {n:.1f}" for c, n in sorted(result["switches_s"].items()))
          + f"; CPU {sum(result['cpu'].values()):.3f}", flush=True)
    print(f"  memory a window (PSS, 400 x 560): its VMM with guest RAM {result['vmm_pss_kib']:.0f} KiB, "
          f"the desktop {result['desktop_pss_kib_window']:.0f} KiB", flush=True)
    return result


def qemu(b, frames):
    """The same guest and scene under QEMU's virtio-gpu, whose frames nobody looks at."""
    result = {}
    for accel in (["-accel", "kvm", "-cpu", "qemu64"], ["-accel", "tcg", "-cpu", "max"]):
        slots = " ".join(f"virtio_mmio.device=512@{0xfeb00000 + 512 * n:#x}:{5 + n}" for n in range(8))
        command = ["qemu-system-x86_64", "-M",
                   "microvm,acpi=off,rtc=on,pit=off,pic=off,x-option-roms=off,auto-kernel-cmdline=off", *accel, "-m", "256M", "-nodefaults", "-no-reboot",
                   "-display", "none", "-global", "virtio-mmio.force-legacy=false",
                   "-device", "isa-debug-exit,iobase=0x501,iosize=4", "-chardev", "stdio,id=c0",
                   "-device", "virtio-serial-device,max_ports=4", "-device", "virtconsole,chardev=c0,nr=0",
                   "-device", "virtio-gpu-device,xres=1920,yres=1056", "-device", "virtio-keyboard-device",
                   "-kernel", b.guest("meter"), "-append", f"{slots} exo.exit=0x501 -- --frames {frames}"]
        try:
            out = subprocess.run(command, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL).stdout
        except subprocess.TimeoutExpired as e:
            out = (e.stdout or b"").decode(errors="replace")
        m = re.search(r"fps=([\d.]+) width=(\d+) height=(\d+)", out)
        if m:
            result[accel[1]] = {"fps": float(m.group(1)), "width": int(m.group(2)), "height": int(m.group(3))}
            print(f"  QEMU microvm ({accel[1]}), display none, {m.group(2)}x{m.group(3)}: {float(m.group(1)):.1f} frames/s",
                  flush=True)
        else:
            print(f"  QEMU microvm ({accel[1]}): no frames: {out.strip()[-200:]!r}", flush=True)
    return result


def section(b, quick=False):
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    frames = 60 if quick else 300
    return {
        "launch": launches(b, 10 if quick else 101),
        "input": inputs(b, 30 if quick else 300),
        "1080p": animation(b, 1920, 1080, frames),
        "4k": animation(b, 3840, 2160, frames // 2),
        "qemu": qemu(b, 60),
        "idle": idle(b, 5 if quick else 20, 5 if quick else 10),
    }
