"""The HTTP servers of storms."""

from splitjob_local.processes.http_server import BackgroundServer

__all__ = ["QuietServer"]


class QuietServer(BackgroundServer):
    """Does not complain of those who hang up."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of who has hung up meanwhile: that is what storms are made of."""
