"""Starts servers and workers, and speaks to them, with Python's own library alone."""

import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent.parent / "demo"
BINARY = Path(os.environ.get("WAN_ANIMATE_SERVER", HERE.parent / "target/release/wan-animate-server"))
# Small and quick: a second or so of work.
SMALL = {"width": 96, "height": 96, "steps": 2, "max_frames": 5, "segment_frames": 5, "seed": 7}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def need(condition, what):
    if not condition:
        raise SystemExit(f"FAILED: {what}")


def target(value, most, what):
    """A time that a busy machine may miss, which is told; four times as long is a fault."""
    if value > most:
        print(f"  missed: {what}: {value:.2f}, not {most:g}", flush=True)
    need(value <= 4 * most, f"{what}: {value:.2f}, not {most:g}")


def figure(name, value):
    print(f"  {name}: {value}", flush=True)


class Failed(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status, self.body = status, body


class Postgres:
    """A cluster of its own in a folder."""

    def __init__(self):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").exists() else []
        self.bin = found[-1] if found else None
        self.folder = Path(tempfile.mkdtemp(prefix="wan-pg-"))
        self.port = free_port()
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.user:
            subprocess.run(["chown", "postgres", self.folder], check=True)
        self._run("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def _run(self, program, *arguments):
        subprocess.run([*self.user, str(self.bin / program), *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, cwd="/tmp")

    def _ctl(self, *arguments):
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", *arguments)

    def start(self):
        self._ctl("-o", f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1", "start")

    def stop(self, mode="immediate"):
        self._ctl("-m", mode, "stop")

    def restart(self):
        self._ctl("-m", "immediate", "-o", f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1", "restart")

    def sql(self, text, database="postgres"):
        command = [str(self.bin / "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-Atqc", text, database]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def fresh(self):
        name = f"t{random.randrange(10**9)}"
        self.sql(f"CREATE DATABASE {name}")
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"


class Process(subprocess.Popen):
    """A server or a worker: its log, and whether it may end, as it may once a test has stopped it."""

    def __init__(self, command, log, env, may_end):
        self.log, self.may_end = log, may_end
        with open(log, "wb") as out:
            super().__init__(command, stdout=out, stderr=out, env=env)

    def send_signal(self, number):
        self.may_end = self.may_end or number in (signal.SIGKILL, signal.SIGTERM)
        super().send_signal(number)

    def check(self):
        """Nobody waits for what a process that is no more was to do."""
        if not self.may_end and self.poll() is not None:
            raise SystemExit(f"FAILED: `{BINARY.name} {self.args[1]}` ended with exit code {self.returncode}:\n{self.log.read_text()[-2000:]}")


class Site:
    """A database, a store, and processes on them."""

    def __init__(self, database=None, store=None, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="wan-server-"))
        self.database = database or f"sqlite:{self.folder}/server.sqlite"
        # Where other tests say so, all of them are run on another store.
        elsewhere = os.environ.get("WAN_ANIMATE_TEST_STORE")
        self.store = store or (f"{elsewhere}/{random.randrange(10**9)}" if elsewhere else str(self.folder / "files"))
        settings = {"heartbeat_ms": 1000, "checkpoint_ms": 0, "allow_private": True, "rate": 100000, **settings}
        self.config = self.folder / "server.toml"
        self.configure(**settings)
        self.processes = []
        self.key = None

    def configure(self, **settings):
        tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if name not in tables]
        for name, table in tables.items():
            lines += [f"[{name}]"] + [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def start(self, *command, may_end=False):
        name = f"p{len(self.processes)}"
        options = ["--config", self.config, "--database", self.database, "--store", self.store, "--data", self.folder / name]
        environment = {**os.environ, "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", "/tmp"), "RUST_LOG": "warn,wan_animate_server=debug"}
        process = Process([BINARY, *command, *map(str, options)], self.folder / f"{name}.log", environment, may_end)
        self.processes.append(process)
        return process

    def serve(self, *arguments, port=None):
        port = port or free_port()
        if self.key is None:
            options = ["--config", self.config, "--database", self.database, "--data", self.folder / "keys"]
            made = subprocess.run([BINARY, "keys", *map(str, options), "add", "tests", "--admin", "--max-queued", "100000", "--max-priority", "9"], capture_output=True, text=True)
            need(made.returncode == 0, f"a key is made: {made.stderr}")
            self.key = made.stdout.split()[1]
        process = self.start("serve", "--listen", f"127.0.0.1:{port}", *arguments)
        self.url, self.port = f"http://127.0.0.1:{port}", port
        wait_for(self.is_up, 60, process.log.read_text)
        return process

    def worker(self, may_end=False):
        return self.start("worker", may_end=may_end)

    def check(self):
        for process in list(self.processes):
            process.check()

    def is_up(self):
        self.check()
        try:
            return urllib.request.urlopen(f"{self.url}/healthz", timeout=2).status == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, headers=None, raw=False, timeout=320):
        self.check()
        url = path if path.startswith("http") else self.url + path
        headers = {"authorization": f"Bearer {self.key}", **(headers or {})}
        if body is not None and not isinstance(body, (bytes, bytearray)):
            body, headers["content-type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                data = answer.read()
                return data if raw else (json.loads(data) if data else None)
        except urllib.error.HTTPError as error:
            raise Failed(error.code, error.read().decode("utf8", "replace")) from None

    def upload(self, path, more=b""):
        """A file, with more bytes at its end where a test wants that."""
        data = Path(path).read_bytes() + more
        place = self.ask("POST", "/api/v1/uploads", {"filename": Path(path).name, "size": len(data)})
        self.ask("PUT", place["upload_url"], data)
        return place["uri"]

    def inputs(self):
        """The demo's character and driving video, uploaded once."""
        if not hasattr(self, "_inputs"):
            self._inputs = {"image": self.upload(DEMO / "reference.png"), "video": self.upload(DEMO / "driving.mp4")}
        return self._inputs

    def holds(self, file):
        """Whether the store has it."""
        if "://" not in self.store:
            return (Path(self.store) / file).exists()
        url = self.store.replace("s3:/", os.environ["AWS_ENDPOINT"])
        try:
            return urllib.request.urlopen(urllib.request.Request(f"{url}/{file}", method="HEAD")).status == 200
        except urllib.error.HTTPError as error:
            need(error.code == 404, f"{file}: {error}")
            return False

    def submit(self, headers=None, **fields):
        return self.ask("POST", "/api/v1/jobs", {**self.inputs(), **SMALL, **fields}, headers)

    def job(self, id):
        return self.ask("GET", f"/api/v1/jobs/{id}")

    def wait(self, id, seconds=1200):
        end = time.time() + seconds
        while time.time() < end:
            try:
                job = self.job(id)
                if job["state"] in ("completed", "failed", "cancelled", "expired"):
                    return job
            except (OSError, Failed, http.client.HTTPException):
                pass
            time.sleep(0.1)
        raise SystemExit(f"FAILED: job {id} is over within {seconds} s: {self.job(id)}\n{self.logs()}")

    def result(self, job):
        return self.ask("GET", job["outputs"][0]["url"], raw=True)

    def logs(self):
        return "\n".join(f"--- {process.log.name}\n{process.log.read_text()[-3000:]}" for process in self.processes)

    def steps(self, id):
        """Denoising steps of a job that any process ever made."""
        return sum(1 for process in self.processes for line in process.log.read_text().splitlines() if id in line and "made segment" in line)

    def sql(self, text):
        if self.database.startswith("sqlite:"):
            connection = sqlite3.connect(self.database[len("sqlite:"):], timeout=30)
            rows = connection.execute(text).fetchall()
            connection.close()
            return rows
        command = ["psql", self.database, "-At", "-F", "\t", "-c", text]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [tuple(line.split("\t")) for line in out.splitlines()]

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def wait_for(condition, seconds, explain=lambda: ""):
    end = time.time() + seconds
    while time.time() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"FAILED: not within {seconds} s. {explain()}")


def memory(process):
    """Resident bytes."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS"))


def backends():
    """SQLite, and Postgres where it is installed."""
    yield "sqlite", None
    if list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        cluster = Postgres()
        try:
            yield "postgres", cluster
        finally:
            cluster.stop()
    else:
        print("  Postgres: passed over, not installed")


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]
