"""A cluster on this machine: control plane, bucket, and the service installed on it."""
