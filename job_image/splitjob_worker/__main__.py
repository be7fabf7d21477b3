"""`python -m splitjob_worker`: one job, in a process of its own (`splitjob_worker.run`)."""

import logging
import os
import sys
import time

from splitjob_worker.stopping import Stop

if __name__ == "__main__":
    began = time.monotonic()
    stop = Stop()
    # Before all that takes its time to import: the first process of a container has no default
    # handlers, and a signal that comes before there is one is lost.
    stop.listen()
    from splitjob_worker.run import main

    status = main(stop, began)
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    # Not sys.exit: it would wait for threads that still load a model or end an upload.
    os._exit(status)
