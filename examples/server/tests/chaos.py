"""Line 6: two servers and three workers on Postgres; kills until the end, one immediate restart of the database, and one outage.

A kill every 5 seconds, or where the machine is slow as often as a new worker does a first job: where all are killed before that, no job gets anywhere.

chaos.py [JOBS [OUTAGE_SECONDS]]"""

import random
import subprocess
import sys
import threading
import time

from harness import DEMO, SMALL, Failed, Site, backends, figure, need


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    outage = float(sys.argv[2]) if len(sys.argv) > 2 else 60
    for _, database in backends():
        if database:
            chaos(database, count, outage)


def chaos(database, count, outage):
    with Site(database.fresh()) as site:
        site.serve("--no-worker")
        first = site.url
        site.serve("--no-worker")
        inputs = prepared(site)
        between = max(5, job_seconds(site, inputs))
        workers = [site.worker(may_end=True) for _ in range(3)]
        stop, kills = threading.Event(), [0]

        def submit():
            for n in range(count):
                for _ in range(1000):
                    site.url = random.choice([first, site.url])
                    try:
                        site.ask("POST", "/api/v1/jobs", {**inputs, "seed": n}, {"idempotency-key": f"job {n}"})
                        break
                    except (Failed, OSError):
                        time.sleep(0.3)
                time.sleep(0.1)

        def tend():
            last = time.time()
            while not stop.wait(0.2):
                if time.time() - last > between:
                    last = time.time()
                    random.choice(workers).kill()
                    kills[0] += 1
                # Those that died while the database was away come back, too.
                for n, worker in enumerate(workers):
                    if worker.poll() is not None:
                        workers[n] = site.worker(may_end=True)

        began = time.time()
        threads = [threading.Thread(target=submit), threading.Thread(target=tend)]
        [thread.start() for thread in threads]
        time.sleep(15)
        database.restart()
        time.sleep(20)
        database.stop()
        time.sleep(outage)
        database.start()
        threads[0].join()
        while int(site.sql("SELECT COUNT(*) FROM job WHERE state IN ('completed', 'failed')")[0][0]) <= count:
            site.check()
            need(time.time() - began < 3600, f"in time: {site.sql('SELECT state, COUNT(*) FROM job GROUP BY state')}\n{site.logs()}")
            time.sleep(1)
        stop.set()
        threads[1].join()
        rows = site.sql("SELECT state, history, deaths, error_code FROM job ORDER BY created OFFSET 1")
        once = sum(1 for state, history, _, _ in rows if state == "completed" and history.count("completed@") == 1)
        outputs = tuple(int(number) - 1 for number in site.sql("SELECT COUNT(DISTINCT job_id), COUNT(*) FROM output")[0])
        figure("chaos", f"{len(rows)} jobs, {once} completed once, {kills[0]} kills, one each {between:.0f} s, 1 restart, {outage:.0f} s outage, in {time.time() - began:.0f} s; "
               f"deaths {sum(int(row[2]) for row in rows)}, failed {[row[3] for row in rows if row[0] == 'failed']}")
        need(len(rows) == count and once == count and outputs == (count, count), f"each is completed once: {outputs}")


def prepared(site):
    """A job of a second of work: small, and with a driving video that was prepared before."""
    inputs = {**SMALL, "width": 32, "height": 32, "image": site.inputs()["image"]}
    for name in ("pose", "face"):
        file = site.folder / f"{name}.mp4"
        subprocess.run(["ffmpeg", "-loglevel", "error", "-i", DEMO / name / "%03d.png", "-frames:v", "5", "-pix_fmt", "yuv420p", file], check=True)
        inputs[name] = site.upload(file)
    return inputs


def job_seconds(site, inputs):
    """How long a job takes, on a worker alone that has just been started."""
    began, worker = time.time(), site.worker()
    job = site.wait(site.ask("POST", "/api/v1/jobs", inputs)["id"])
    need(job["state"] == "completed", f"{job['error']}")
    worker.kill()
    worker.wait()
    return time.time() - began


if __name__ == "__main__":
    main()
