"""The container runtime: processes of this machine with files and users of their own.

It knows specs and directories, and nothing of the API server.
"""
