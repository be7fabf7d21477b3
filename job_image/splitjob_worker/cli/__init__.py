"""The commands of `track-tree-audio` that run the worker's parts on this machine."""
