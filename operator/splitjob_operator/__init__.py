"""Reconciles each SplitJob to its one final event."""
