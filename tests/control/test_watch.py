"""Noticing changes on a real file system."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from meshproxy.control.sources.watch import Watch

_PATIENCE = 20.0


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _swap(directory: Path) -> None:
    fresh = directory / "..2"
    fresh.mkdir()
    (fresh / "a.yaml").write_text("two")
    (directory / "..tmp").symlink_to(fresh.name)
    (directory / "..tmp").rename(directory / "..data")


async def _told(watched: Path, *changes: Callable[[], object]) -> int:
    """How many of the changes, one after the other, were told."""
    told = asyncio.Event()
    watch = Watch((str(watched),), (), told.set)
    watch.start()
    count = 0
    try:
        for change in changes:
            told.clear()
            change()
            await asyncio.wait_for(told.wait(), _PATIENCE)
            count += 1
    finally:
        watch.stop()
    return count


def test_files_written_added_and_removed_are_told(tmp_path: Path) -> None:
    _write(tmp_path / "a.yaml", "one")
    changes = (
        lambda: _write(tmp_path / "a.yaml", "more"),
        lambda: _write(tmp_path / "sub" / "b.yaml", "new"),
        lambda: _write(tmp_path / "sub" / "b.yaml", "newer"),
        lambda: (tmp_path / "sub" / "b.yaml").unlink(),
    )
    assert asyncio.run(_told(tmp_path, *changes)) == len(changes)


def test_a_deleted_directory_is_told_and_so_is_its_return(tmp_path: Path) -> None:
    directory = tmp_path / "config"
    _write(directory / "a.yaml", "one")
    changes = (
        lambda: shutil.rmtree(directory),
        lambda: _write(directory / "a.yaml", "back"),
        lambda: _write(directory / "a.yaml", "and changed"),
    )
    assert asyncio.run(_told(directory, *changes)) == len(changes)


@pytest.mark.parametrize("name", ["", "a.yaml"])
def test_a_config_map_swap_is_told(tmp_path: Path, name: str) -> None:
    _write(tmp_path / "..1" / "a.yaml", "one")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert asyncio.run(_told(tmp_path / name, lambda: _swap(tmp_path))) == 1


def test_a_neighbour_of_a_watched_file_is_not_told(tmp_path: Path) -> None:
    _write(tmp_path / "a.yaml", "one")
    counted: list[None] = []

    async def neighbour_then_file() -> None:
        told = asyncio.Event()

        def changed() -> None:
            counted.append(None)
            told.set()

        watch = Watch((str(tmp_path / "a.yaml"),), (), changed)
        watch.start()
        _write(tmp_path / "b.yaml", "other")
        _write(tmp_path / "a.yaml", "two!")
        await asyncio.wait_for(told.wait(), _PATIENCE)
        watch.stop()

    asyncio.run(neighbour_then_file())
    assert len(counted) == 1
