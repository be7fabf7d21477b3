"""What the worker reports of a job: progress lines, the termination message, webhooks."""
