"""Line 6: two servers and three workers on Postgres; a kill every 5 seconds, one immediate restart of the database, and one outage.

chaos.py [JOBS [OUTAGE_SECONDS]]"""

import random
import sys
import threading
import time

from harness import SMALL, Failed, Postgres, Site, backends, figure, need


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
        workers = [site.worker(may_end=True) for _ in range(3)]
        ids, stop, kills = [], threading.Event(), [0]

        def submit():
            for n in range(count):
                for _ in range(1000):
                    site.url = random.choice([first, site.url])
                    try:
                        ids.append(site.submit(headers={"idempotency-key": f"job {n}"})["id"])
                        break
                    except (Failed, OSError):
                        time.sleep(0.3)
                time.sleep(0.1)

        def kill():
            while not stop.wait(5):
                n = random.randrange(3)
                workers[n].kill()
                workers[n].wait()
                kills[0] += 1
                workers[n] = site.worker(may_end=True)

        site.inputs()
        began = time.time()
        threads = [threading.Thread(target=submit), threading.Thread(target=kill)]
        [thread.start() for thread in threads]
        time.sleep(15)
        database.restart()
        time.sleep(20)
        database.stop()
        time.sleep(outage)
        database.start()
        threads[0].join()
        time.sleep(20)
        stop.set()
        threads[1].join()
        # Those that died while the database was away come back.
        while int(site.sql("SELECT COUNT(*) FROM job WHERE state IN ('completed', 'failed')")[0][0]) < count:
            site.check()
            need(time.time() - began < 3600, f"in time: {site.sql('SELECT state, COUNT(*) FROM job GROUP BY state')}\n{site.logs()}")
            for n, worker in enumerate(workers):
                if worker.poll() is not None:
                    workers[n] = site.worker(may_end=True)
            time.sleep(1)
        rows = site.sql("SELECT state, history, deaths, error_code FROM job")
        once = sum(1 for state, history, _, _ in rows if state == "completed" and history.count("completed@") == 1)
        outputs = int(site.sql("SELECT COUNT(DISTINCT job_id) FROM output")[0][0]), int(site.sql("SELECT COUNT(*) FROM output")[0][0])
        figure("chaos", f"{len(rows)} jobs, {once} completed once, {kills[0]} kills, 1 restart, {outage:.0f} s outage, in {time.time() - began:.0f} s; "
               f"deaths {sum(int(row[2]) for row in rows)}, failed {[row[3] for row in rows if row[0] == 'failed']}")
        need(len(rows) == count and once == count and outputs == (count, count), f"each is completed once: {outputs}")


if __name__ == "__main__":
    main()
