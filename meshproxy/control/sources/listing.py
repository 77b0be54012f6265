"""Which files a configuration consists of, and whether any of them has changed, without reading them.

Entries that begin with `..` are Kubernetes' plumbing: a ConfigMap is `reviews.yaml -> ..data/reviews.yaml`, and an
update swaps the link `..data`. So links are followed, and what is watched are directories, never files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Listing:
    """`files` as the user named them, in order; `directories` to watch; `errors` as (path, what is wrong)."""

    files: tuple[str, ...]
    directories: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]

    def signature(self) -> int:
        """Differs when a file was added, removed, written or replaced. Means nothing in another process."""
        return hash((self.errors, tuple((name, _identity(name)) for name in self.files)))


def listing(paths: Collection[str], given: Collection[str] = ()) -> Listing:
    """What `paths` stand for now; those in `given` were read already."""
    files: dict[str, None] = {}
    directories: dict[str, None] = {}
    errors: list[tuple[str, str]] = []
    for path in paths:
        if path in given:
            continue
        try:
            if stat.S_ISDIR(Path(path).stat().st_mode):
                _list_directory(path, files, directories, errors)
            else:
                files[path] = None
                directories.update(dict.fromkeys(_parents(path)))
        except OSError as error:
            errors.append((path, error.strerror or str(error)))
            directories[_nearest(path)] = None
    return Listing(tuple(files), tuple(directories), tuple(errors))


def _list_directory(
    top: str, files: dict[str, None], directories: dict[str, None], errors: list[tuple[str, str]]
) -> None:
    found = len(files)
    for name, is_directory in _walk(top, set()):
        (directories if is_directory else files)[name] = None
    if len(files) == found:
        errors.append((top, "no *.yaml or *.yml file in this directory"))


def _walk(directory: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """Files and directories (True), sorted; a directory reached twice through links is listed once."""
    about = Path(directory).stat()
    identity = about.st_dev, about.st_ino
    if identity in seen:
        return
    seen.add(identity)
    yield directory, True
    with os.scandir(directory) as entries:
        names = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".."))
    for name, is_directory in names:
        path = os.path.join(directory, name)  # noqa: PTH118 - as the user named it: Path would drop a leading ./
        if is_directory:
            yield from _walk(path, seen)
        elif name.endswith(_SUFFIXES):
            yield path, False


def _parents(path: str) -> Iterator[str]:
    """Where a file stands, by its name and by what its links lead to."""
    yield str(Path(path).parent)
    yield str(Path(path).resolve().parent)


def _nearest(path: str) -> str:
    """The nearest directory there is: something may come to be in it."""
    return str(next((parent for parent in Path(path).absolute().parents if parent.is_dir()), Path("/")))


def _identity(path: str) -> tuple[int, ...] | None:
    try:
        about = Path(path).stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
