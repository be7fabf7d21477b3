"""Finding the directory of programs that replaces an image, with a kubelet's errors."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from splitjob_kubelet.containers.restarts import BackOff, NotStartableError
from splitjob_kubelet.node.records import Reason
from splitjob_kubelet.objects import Json
from splitjob_kubelet.settings import ImageEnvironment

_REFERENCE = re.compile(
    r"[a-z0-9]+([._:/-]+[a-z0-9]+)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?", re.ASCII
)
_FAILURE_SHOWN_SECONDS = 1.0


def is_valid_image(image: str) -> bool:
    """Whether this is a valid image reference."""
    return _REFERENCE.fullmatch(image) is not None


def find_environment(
    image: str, environments: Sequence[ImageEnvironment]
) -> ImageEnvironment | None:
    """The first environment whose pattern matches, or None."""
    return next((one for one in environments if fnmatchcase(image, one.pattern)), None)


class ImagePull:
    """Finds the image of one container; failures have a kubelet's reasons and back-off."""

    def __init__(
        self, container: Json, environments: Sequence[ImageEnvironment], back_off: BackOff
    ) -> None:
        self._image: str = container["image"]
        self._policy = container.get("imagePullPolicy")
        self._environments = environments
        self._back_off = back_off
        self._failed = False

    def find(self) -> ImageEnvironment:
        """The environment of the image.

        Raises:
            NotStartableError: there is none (ErrImagePull and ImagePullBackOff in turn), or the
                reference is invalid.
        """
        image = self._image
        if not is_valid_image(image):
            message = f'Failed to apply default image tag "{image}": invalid reference format'
            raise NotStartableError(Reason.INVALID_IMAGE_NAME, message, self._back_off.next())
        found = find_environment(image, self._environments)
        if found is not None:
            return found
        if self._policy == "Never":
            message = f'Container image "{image}" is not present with pull policy of Never'
            raise NotStartableError(Reason.ERR_IMAGE_NEVER_PULL, message, self._back_off.next())
        problem = f'no --environment of this node is for the image "{image}": not found'
        self._failed = not self._failed
        if self._failed:
            raise NotStartableError(Reason.ERR_IMAGE_PULL, problem, _FAILURE_SHOWN_SECONDS)
        message = f'Back-off pulling image "{image}": ErrImagePull: {problem}'
        raise NotStartableError(Reason.IMAGE_PULL_BACK_OFF, message, self._back_off.next())
