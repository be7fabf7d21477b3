"""The commands `track-tree-audio separate` and `models`, which need the worker's packages."""
