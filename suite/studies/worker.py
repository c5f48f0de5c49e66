"""Studies: the process of one job. It runs one command of the suite, and ends when whoever started it is gone.

A study that is killed cannot end its jobs any more. Each of them therefore watches its standard input, a pipe that the
study holds open: the system closes it when the study dies, whatever it died of, and the job follows. Without this, jobs
would live on, and a study that is started again would compute the same cells beside them.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Run `suite` with the arguments of this process."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    runpy.run_module("suite", run_name="__main__", alter_sys=True)


def _follow_parent() -> None:
    descriptor = sys.stdin.fileno()
    while os.read(descriptor, 4096):
        pass
    if os.getpgrp() == os.getpid():  # a group of its own: the job's children go with it
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
