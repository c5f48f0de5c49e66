"""Ground floor: files that come with the suite and lie outside of the package, in a checkout or an installation."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import suite

DISTRIBUTION = "quantization-suite"


def shipped_files(pattern: str) -> list[Path]:
    """The files of one pattern, such as `baselines/*/baseline.yaml`: of the checkout, else of the installation."""
    beside = Path(suite.__file__).resolve().parent.parent
    # The second place is where `pip install --target` puts data, though its list of files says otherwise.
    for folder in (beside, beside / "share" / DISTRIBUTION):
        if files := sorted(folder.glob(pattern)):
            return files
    try:
        installed = metadata.distribution(DISTRIBUTION).files or []
    except metadata.PackageNotFoundError:
        return []
    # Wherever pip put the data (a virtual environment, --user, --prefix): the installation's own list of files knows.
    return sorted(
        file for entry in installed if entry.match(pattern) and (file := Path(str(entry.locate())).resolve()).is_file()
    )
