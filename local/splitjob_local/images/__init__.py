"""Building, measuring and releasing the project's container images with the installed engine.

The interface for other parts of the project:

    from splitjob_local.images import TARGETS, Build, Engine, build, changed_layers, describe

    engine = Engine.find()                            buildah, podman or docker, else ImageError
    build(engine, TARGETS["api"], "localhost/api:x")  Build(...) holds base, arguments, options
    describe(engine, "localhost/api:x")               layers, labels, user, environment, ...
    changed_layers(engine, before, after)             what a node pulls for an upgrade

By hand: `python -m splitjob_local.images --help`, or `make images`.
"""

from splitjob_local.images.engine import (
    TARGETS,
    Build,
    Engine,
    Image,
    ImageError,
    Target,
    build,
    describe,
)
from splitjob_local.images.layers import Layer, changed_layers, layer_sizes

__all__ = [
    "TARGETS",
    "Build",
    "Engine",
    "Image",
    "ImageError",
    "Layer",
    "Target",
    "build",
    "changed_layers",
    "describe",
    "layer_sizes",
]
