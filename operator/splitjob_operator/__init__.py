"""Reconciles each SplitJob to its one final event.

core      what is to be done: pure functions and plain values
adapters  the ways out of the process: the Kubernetes API and the bucket
runtime   what brings both together: the watches, the cache, the work queue, deliveries, totals
"""
