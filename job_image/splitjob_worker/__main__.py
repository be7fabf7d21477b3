"""`python -m splitjob_worker`: one job in one process (`splitjob_worker.run`)."""

import logging
import os
import sys
import time

from splitjob_worker.cancellation import CancelToken

if __name__ == "__main__":
    began = time.monotonic()
    cancel = CancelToken()
    # Before the imports below, which take time: PID 1 of a container has no default signal
    # handlers, so a SIGTERM that comes before ours is installed is lost.
    cancel.listen_for_signals()
    from splitjob_worker.run import main

    status = main(cancel, began)
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    # Not sys.exit, which would wait for threads that still load a model or finish an upload.
    os._exit(status)
