"""The life of one container: image, program, start, probes, end, restart."""
