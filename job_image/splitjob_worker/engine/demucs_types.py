"""Names for what Demucs gives, which has no types that mypy could check."""

from typing import Any, TypeAlias

DemucsModel: TypeAlias = Any  # HTDemucs, HDemucs, Demucs, or a module of one
JsonValue: TypeAlias = Any  # a constructor's argument, as Demucs writes it into its files
