"""What the worker says of a job: progress lines, the termination message, webhooks."""
