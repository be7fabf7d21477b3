"""The node: its registration, its addresses and GPUs, and its records of pods."""
