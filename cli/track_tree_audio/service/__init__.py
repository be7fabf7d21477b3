"""The commands that call a service: each a thin page over `splitjob_client`."""
