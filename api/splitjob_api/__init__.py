"""Signed requests in, SplitJobs out."""
