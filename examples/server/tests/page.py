"""Lines 13 and 17: starts a server with a fresh database, and drives its page in Chromium by page.mjs.

page.py NODE_FOLDER [FOLDER_OF_SCREENSHOTS]"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness import DEMO, HERE, Site, free_port, need, wait_for


def main():
    node = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium or not (node / "node_modules/playwright-core").exists():
        print("  page: passed over, Chromium or playwright-core is not installed")
        return
    with Site() as site:
        site.configure(heartbeat_ms=1000, checkpoint_ms=0)
        port = free_port()
        # As a stranger starts it: the first key is in the address that is printed.
        process = site.start("serve", "--listen", f"127.0.0.1:{port}")
        page = wait_for(lambda: process.check() or re.search(r"Open (\S+)", process.log.read_text()), 60, process.log.read_text).group(1)
        shots = Path(sys.argv[2] if len(sys.argv) > 2 else site.folder)
        script = node / "page.mjs"
        script.write_text((HERE / "page.mjs").read_text())
        environment = {**os.environ, "PAGE": page, "IMAGE": str(DEMO / "reference.png"), "VIDEO": str(DEMO / "driving.mp4"), "SHOTS": str(shots), "CHROMIUM": chromium}
        done = subprocess.run(["node", script], env=environment, timeout=400)
        need(done.returncode == 0, f"the page works\n{site.logs()}")


if __name__ == "__main__":
    main()
