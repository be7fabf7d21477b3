"""The processes of a cluster, the ports they listen on, and the locks on both."""
