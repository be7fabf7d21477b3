"""Demucs' own source of weights: its repositories on the Hugging Face hub."""

from pathlib import Path

from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
from huggingface_hub import hf_hub_download

from splitjob.models import ModelRecord
from splitjob_worker.engine.weights import DownloadError


def download(record: ModelRecord, name: str) -> Path:
    """Download one file of a model into the hub client's own cache.

    Args:
        record: the model's registry record.
        name: of the file.

    Returns:
        Where the client put it.

    Raises:
        DownloadError: it could not be downloaded.
    """
    repository = f"{DEFAULT_NAMESPACE}/{hf_repo_name(record.name)}"
    print(f"{name} from {repository} on the Hugging Face hub ...", flush=True)
    try:
        return Path(hf_hub_download(repository, name))
    except Exception as error:
        raise DownloadError(
            f"{name} cannot be fetched from {repository} on the Hugging Face hub "
            f"({type(error).__name__})"
        ) from error
