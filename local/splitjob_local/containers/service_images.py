"""The project's images in the node's store: built when their inputs change, imported when new.

An image's tag is a hash of its inputs, so that an image whose inputs did not change is neither
built nor imported again. Of a changed image only the changed steps and layers are.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.console import Say
from splitjob_local.containers.archive import import_image
from splitjob_local.containers.base import find_base
from splitjob_local.containers.builder import Builder
from splitjob_local.containers.containerd import Containerd
from splitjob_local.images.engine import TARGETS, Build
from splitjob_local.images.inputs import ImageSource, inputs_hash
from splitjob_local.paths import REPOSITORY

PREFIX = "docker.io/track-tree-audio"


# No weights: not every machine can download them, and the demo model is part of the code.
SOURCES = (
    ImageSource(TARGETS["api"]),
    ImageSource(TARGETS["operator"]),
    ImageSource(TARGETS["worker"], {"MODELS": ""}),
)


@dataclass(frozen=True)
class ServiceImages:
    """Builds images and imports them into the store of a node.

    Attributes:
        containerd: the node's runtime.
        cache: folder on the store's file system, for files on their way there.
        say: told about steps that take a while.
        repository: the checkout to build from.
    """

    containerd: Containerd
    cache: Path
    say: Say
    repository: Path = REPOSITORY

    def provide(self, sources: Iterable[ImageSource] = SOURCES) -> dict[str, str]:
        """Make sure that the images are in the node's store.

        Returns:
            The tag of each, by its source's name.

        Raises:
            RequirementError: no engine can build them.
            ImageError: a build failed.
            ProcessError: an import failed.
        """
        builder = Builder.find(self.cache)
        base = find_base(builder, self.say)
        there = self.containerd.images()
        tags = {}
        for source in sources:
            tag = inputs_hash(self.repository, source, base, builder.image_id(base) or "")
            tags[source.target.name] = tag
            name = f"{PREFIX}/{source.target.name}:{tag}"
            if name not in there:
                self._build(builder, source, name, base)
                self._import(builder, source, name)
        return tags

    def _build(self, builder: Builder, source: ImageSource, name: str, base: str) -> None:
        if not builder.image_id(name):
            self.say(f"building the image {source.target.name}")
            how = Build(base=base, arguments=source.arguments, root=self.repository)
            builder.build(source.target, name, how)

    def _import(self, builder: Builder, source: ImageSource, name: str) -> None:
        self.say(f"importing the image {source.target.name}")
        with tempfile.TemporaryDirectory(dir=self.cache) as folder:
            manifest = builder.export(name, Path(folder)).read_bytes()
            import_image(self.containerd, manifest, Path(folder), name)
