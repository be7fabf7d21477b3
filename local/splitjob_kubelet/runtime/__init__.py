"""The container runtime: processes of this machine with files and users of their own.

It reads specs and writes directories, and knows nothing of the API server.
"""
