"""The programs a local cluster is made of: which versions, and where they come from."""
