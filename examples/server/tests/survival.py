"""What jobs survive: kills, sleeps, stops, clients that hang up, poison, lost devices, outages, duplicates, cancels. On SQLite, and on Postgres where it is installed.

survival.py [KILLS [TEST ...]]"""

import hashlib
import json
import random
import signal
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path

from harness import DEMO, SMALL, Failed, Site, backends, figure, need, target, wait_for

# A job of two segments, of some seconds.
LONG = {**SMALL, "steps": 4, "max_frames": 33, "segment_frames": 17}


def sites(database):
    return Site(database.fresh() if database else None)


def digest(site, job):
    need(job["state"] == "completed", f"the job is completed: {job['error']}\n{site.logs()}")
    return hashlib.sha256(site.result(job)).hexdigest()


def transitions(job, state):
    return sum(1 for moment in job["history"] if moment["state"] == state)


def kills(database, count):
    """Line 2: kill -9 at random moments; the bytes are those of a run that nobody disturbed."""
    with sites(database) as site:
        site.serve("--no-worker")
        worker = site.worker()
        wanted = digest(site, site.wait(site.submit(**LONG)["id"]))
        started = time.time()
        site.wait(site.submit(**LONG)["id"])
        length = time.time() - started
        takeovers, again = [], []
        other = site.worker()
        steps = 4 * 2
        for _ in range(count):
            wait_for(lambda: len(site.ask("GET", "/api/v1/capabilities")["workers"]) >= 2, 60)
            job = site.submit(**LONG)
            running = wait_for(lambda: (found := site.job(job["id"]))["state"] != "queued" and found, 30)
            # By what is done, as a busy machine is not always as slow: before a step, in it or after it.
            moment = random.random() - 1 / steps
            wait_for(lambda: (found := site.job(job["id"]))["progress"] >= moment or found["state"] == "completed", 300, site.logs)
            time.sleep(random.random() * length / steps)
            before = site.job(job["id"])
            owner = site.sql(f"SELECT worker FROM job WHERE id = '{job['id']}'")[0][0].split("-")[0]
            victim = worker if str(worker.pid) == owner else other
            victim.kill()
            victim.wait()
            killed = time.time()
            if site.job(job["id"])["state"] != "completed":
                leases = transitions(before, "preparing")
                taken = wait_for(lambda: (found := site.job(job["id"])) and (transitions(found, "preparing") > leases or found["state"] == "completed") and time.time(), 60, site.logs)
                takeovers.append(taken - killed)
            if victim is worker:
                worker = site.worker()
            else:
                other = site.worker()
            ended = site.wait(job["id"])
            need(digest(site, ended) == wanted, f"the bytes are the same: {ended}")
            need(transitions(ended, "completed") == 1, "it is completed once")
            again.append(site.steps(job["id"]) - steps)
        figure("kill -9", f"{count} moments, {len(takeovers)} before the end, all byte-equal; taken over in {max(takeovers, default=0):.1f} s at most; steps made again at most {max(again)}")
        target(max(takeovers, default=0), 5, "seconds until another worker goes on")
        need(max(again) <= 1, f"no more steps are made again than those since the last checkpoint, and one: {again}")


def sleeper(database):
    """Line 3: a worker that is stopped for longer than its lease writes nothing when it wakes."""
    with sites(database) as site:
        site.serve("--no-worker")
        first = site.worker()
        job = site.submit(**LONG)
        wait_for(lambda: site.job(job["id"])["step"] >= 1, 60)
        stop_between_writes(site, first)
        site.worker()
        ended = site.wait(job["id"])
        need(ended["state"] == "completed", str(ended["error"]))
        first.send_signal(signal.SIGCONT)
        time.sleep(3)
        later = site.job(job["id"])
        need(later["version"] == ended["version"] and later["outputs"] == ended["outputs"], "the sleeper wrote nothing")
        found = site.store.startswith("s3://") and ["not looked at"] or [path.relative_to(site.store).as_posix() for path in (site.folder / "files/jobs" / job["id"]).rglob("*") if path.is_file()]
        need(len(found) == 1, f"one file is left: {found}")
        figure("SIGSTOP past the lease", "one result, one file, nothing written by the sleeper")


def stop_between_writes(site, process):
    """A process that is stopped in the middle of a write holds all of SQLite up, which no server can help."""
    for _ in range(50):
        process.send_signal(signal.SIGSTOP)
        if not site.database.startswith("sqlite:"):
            return
        connection = sqlite3.connect(site.database[len("sqlite:"):], timeout=1, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        finally:
            connection.close()
    need(False, "it is stopped between two writes")


def rolling(database):
    """Line 4: SIGTERM gives the job back; ten restarts in a row lose nothing."""
    with sites(database) as site:
        site.serve("--no-worker")
        worker = site.worker()
        wanted = digest(site, site.wait(site.submit(**LONG)["id"]))
        jobs = [site.submit(**LONG)["id"] for _ in range(3)]
        gone = []
        for _ in range(10):
            time.sleep(1 + random.random() * 2)
            worker.terminate()
            began = time.time()
            worker.wait(timeout=40)
            gone.append(time.time() - began)
            worker = site.worker()
        for id in jobs:
            ended = site.wait(id)
            need(digest(site, ended) == wanted, "the bytes are the same")
            need(ended["deaths"] == 0, "a planned stop is no death")
        figure("SIGTERM", f"10 restarts, gone within {max(gone):.2f} s, nothing lost, no deaths")
        target(max(gone), 3.5, "seconds until it is gone, a step and some")


def hasty(database):
    """Line 4, for steps that are longer than there is time: the job is given back in the middle of one, as it was at its last checkpoint."""
    with Site(database.fresh() if database else None, grace_ms=0) as site:
        site.serve("--no-worker")
        worker = site.worker()
        wanted = digest(site, site.wait(site.submit(**LONG)["id"]))
        job, gone = site.submit(**LONG)["id"], []
        for step in (1, 3, 5):
            wait_for(lambda: site.job(job)["progress"] >= 0.99 * step / 8, 300, site.logs)
            worker.terminate()
            began = time.time()
            worker.wait(timeout=40)
            gone.append(time.time() - began)
            need(site.job(job)["state"] == "queued", "it is given back")
            worker = site.worker()
        ended = site.wait(job)
        need(digest(site, ended) == wanted and ended["deaths"] == 0, f"the same bytes, no deaths: {ended['deaths']}")
        figure("SIGTERM without time for a step", f"3 restarts, gone within {max(gone):.2f} s, byte-equal, no deaths, {site.steps(job) - 8} steps made again")
        target(max(gone), 1, "seconds until it is gone")


def hangups(database):
    """Clients that hang up in the middle of a submission leave no transaction open, which would swallow what others write."""
    if not database:
        return
    with sites(database) as site:
        site.serve("--no-worker")
        inputs = {**site.inputs(), **SMALL}
        log = database.folder / "log"
        before = log.read_text().count("already a transaction")

        def hang_up(times):
            for _ in range(times):
                body = json.dumps(inputs).encode()
                with socket.create_connection(("127.0.0.1", site.port)) as client:
                    head = f"POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {site.key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                    client.sendall(head.encode() + body)
                    time.sleep(random.random() * 0.03)

        threads = [threading.Thread(target=hang_up, args=(500,)) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        open_ones = log.read_text().count("already a transaction") - before
        need(open_ones == 0, f"{open_ones} connections were taken into use in the middle of a transaction")
        figure("2000 clients that hang up", "no connection is left in a transaction")


def poison(database):
    """Line 5: a job that kills its workers is given up, beside jobs that do not; a lost device moves on."""
    with sites(database) as site:
        site.serve("--no-worker")
        stop = threading.Event()

        def supervise():
            worker = site.worker(may_end=True)
            while not stop.wait(0.2):
                if worker.poll() is not None:
                    worker = site.worker(may_end=True)

        thread = threading.Thread(target=supervise)
        thread.start()
        # Two that kill, so that each sees workers die of another.
        bad = [site.submit(prompt="abort the process")["id"] for _ in range(2)]
        good = [site.submit(seed=seed)["id"] for seed in range(5)]
        lost = site.submit(prompt="lose the device once")["id"]
        store = site.submit(prompt="fail five times")["id"]
        starts = []
        for id in bad:
            ended = site.wait(id, 180)
            need(ended["state"] == "failed" and ended["error"]["code"] == "worker_died", str(ended["error"]))
            starts.append(ended["deaths"])
        for id in [*good, lost, store]:
            job = site.wait(id, 120)
            need(job["state"] == "completed", f"{job['error']}")
        stop.set()
        thread.join()
        figure("poison", f"two failed worker_died after {starts} starts; 5 others, a lost device and 5 failures of the store completed")
        need(starts == [3, 3], "three starts")


def unlucky(database):
    """Line 5, the other way round: a job whose workers are killed from outside is not given up, where other jobs lose theirs as well."""
    with sites(database) as site:
        site.serve("--no-worker")
        workers = {process.pid: process for process in (site.worker(), site.worker())}

        def kill_owner_of(id):
            wait_for(lambda: site.job(id)["state"] in ("preparing", "running"), 60, site.logs)
            victim = workers.pop(int(site.sql(f"SELECT worker FROM job WHERE id = '{id}'")[0][0].split("-")[0]), None)
            if victim:
                victim.kill()
                victim.wait()
                worker = site.worker()
                workers[worker.pid] = worker

        job, other = site.submit(**LONG)["id"], site.submit(**LONG)["id"]
        kill_owner_of(other)
        # Each time before there is a checkpoint.
        began = time.time()
        while (found := site.job(job))["deaths"] < 5 and found["state"] not in ("failed", "completed") and time.time() < began + 90:
            kill_owner_of(job)
        ended = site.wait(job)
        need(ended["state"] == "completed" and ended["deaths"] >= 4, f"{ended['deaths']} deaths, {ended['error']}")
        figure("workers killed from outside", f"a job with {ended['deaths']} deaths before its first checkpoint, max_deaths is 3, is completed")


def outage(database):
    """The store is away for a while in the middle of a job: that is no failure of the job, which goes on with the same bytes."""
    with sites(database) as site:
        site.serve("--no-worker")
        worker = site.worker()
        wanted = digest(site, site.wait(site.submit(**LONG)["id"]))
        job = site.submit(**LONG)["id"]
        wait_for(lambda: site.job(job)["step"] >= 1, 60, site.logs)
        files, away = Path(site.store), site.folder / "away"
        # Or it would make the folder anew, between the two.
        worker.send_signal(signal.SIGSTOP)
        files.rename(away)
        files.touch()
        worker.send_signal(signal.SIGCONT)
        time.sleep(15)
        need(site.job(job)["state"] not in ("completed", "failed"), "it waits")
        files.unlink()
        away.rename(files)
        ended = site.wait(job)
        need(digest(site, ended) == wanted, "the bytes are the same")
        failures = int(site.sql(f"SELECT failures FROM job WHERE id = '{job}'")[0][0])
        # One, where the store came back between a failure and the look.
        need(failures <= 1 and ended["deaths"] == 0, f"{failures} failures, {ended['deaths']} deaths")
        figure("the store away for 15 s", f"{failures} failures, no deaths, byte-equal, {site.steps(job) - 4 * 2} steps made again")


def decoders(database):
    """Untrusted files are decoded in a process of their own: what kills it costs its own job and no worker."""
    with Site(database.fresh() if database else None, decode_seconds=2, decode_memory=1 << 30) as site:
        site.serve("--no-worker")
        worker = site.worker()
        codes = []
        for accident in ("abort the decoder", "fill the memory", "never end"):
            job = site.wait(site.submit(video=site.upload(DEMO / "driving.mp4", accident.encode()))["id"])
            need(job["state"] == "failed" and job["error"]["code"] == "unsupported_media" and "video" in job["error"]["message"], str(job["error"]))
            need(job["deaths"] == 0, "no worker died")
            codes.append(job["error"]["message"].split("(")[1].split(")")[0])
        data = (DEMO / "driving.mp4").read_bytes()
        for length in (20, 1000, len(data) // 2, len(data) - 9):
            broken = site.folder / "broken.mp4"
            broken.write_bytes(data[:length])
            job = site.wait(site.submit(video=site.upload(broken))["id"])
            need(job["state"] == "failed" or length > 1000, f"{length} bytes: {job['state']}")
        need(site.wait(site.submit()["id"])["state"] == "completed" and worker.poll() is None, "the worker lives")
        figure("files that kill their decoder", f"{codes}: failed unsupported_media, 0 deaths")


def duplicates(database):
    """Line 7: fifty of the same at once are one job."""
    with sites(database) as site:
        site.serve("--no-worker")
        site.inputs()
        ids, errors = set(), []

        def submit(n):
            try:
                ids.add(site.submit(headers={"idempotency-key": "one"})["id"])
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=submit, args=(n,)) for n in range(50)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        need(not errors and len(ids) == 1, f"one job: {ids} {errors[:1]}")
        need(int(site.sql("SELECT COUNT(*) FROM job")[0][0]) == 1, "one row")
        try:
            site.submit(headers={"idempotency-key": "one"}, steps=3)
            need(False, "another body is refused")
        except Failed as error:
            need(error.status == 409, str(error))
        figure("50 duplicates at once", "1 job; another body: 409")
        task = {"taskType": "videoInference", "taskUUID": "7c1e8a54-8f05-4a4a-9f2a-4dbd1a4a0b11", "model": "runware:200@8", "positivePrompt": "x",
                "inputs": {"referenceImages": [site.inputs()["image"]], "referenceVideos": [site.inputs()["video"]]}}
        threads = [threading.Thread(target=lambda: site.ask("POST", "/v1", [task])) for _ in range(50)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        need(int(site.sql("SELECT COUNT(*) FROM job")[0][0]) == 2, "one job of one taskUUID")
        figure("one taskUUID 50 times", "1 job")


def cancels(database):
    """Line 8: a queued job at once, one that runs within a second and a submission; the GPU is free."""
    with sites(database) as site:
        site.serve()
        site.wait(site.submit()["id"])
        long = site.submit(**{**LONG, "steps": 50})["id"]
        queued = site.submit()["id"]
        after = site.submit()["id"]
        wait_for(lambda: site.job(long)["step"] >= 1, 60)
        began = time.time()
        job = site.ask("POST", f"/api/v1/jobs/{queued}/cancel")
        at_once = time.time() - began
        need(job["state"] == "cancelled", job["state"])
        began = time.time()
        site.ask("POST", f"/api/v1/jobs/{long}/cancel")
        job = site.wait(long)
        running = time.time() - began
        need(job["state"] == "cancelled", job["state"])
        need(site.wait(after)["state"] == "completed", "the next job runs")
        figure("cancel", f"queued {at_once * 1000:.0f} ms, running {running:.2f} s")
        target(at_once, 0.25, "seconds until a queued job is cancelled")
        target(running, 2, "seconds until a running job is cancelled")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    tests = {"kills": lambda database: kills(database, count), "sleeper": sleeper, "rolling": rolling, "hasty": hasty, "hangups": hangups, "poison": poison, "unlucky": unlucky, "outage": outage, "decoders": decoders, "duplicates": duplicates, "cancels": cancels}
    wanted = sys.argv[2:] or list(tests)
    only = [name for name in wanted if name in ("sqlite", "postgres")]
    wanted = [name for name in wanted if name in tests] or list(tests)
    for backend, database in backends():
        if only and backend not in only:
            continue
        print(backend, flush=True)
        for name in wanted:
            tests[name](database)


if __name__ == "__main__":
    main()
