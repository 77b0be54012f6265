"""Which files a configuration consists of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meshproxy.control.sources.files import load
from meshproxy.control.sources.listing import listing


def _config_map(directory: Path, version: int, text: str) -> None:
    """As the kubelet updates a mounted ConfigMap."""
    fresh = directory / f"..{version}"
    fresh.mkdir()
    (fresh / "a.yaml").write_text(text)
    (directory / "..data_tmp").symlink_to(fresh.name)
    (directory / "..data_tmp").rename(directory / "..data")
    if not (directory / "a.yaml").is_symlink():
        (directory / "a.yaml").symlink_to("..data/a.yaml")


def _paths(tmp_path: Path, *names: str) -> tuple[str, ...]:
    return tuple(str(tmp_path / name) for name in names)


def test_a_directory_is_read_recursively_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.yaml", "a.yml", "sub/c.yaml", "note.txt", "sub/d.json"):
        (tmp_path / name).write_text("x")
    listed = listing([str(tmp_path)])
    assert listed.files == _paths(tmp_path, "a.yml", "b.yaml", "sub/c.yaml")
    assert listed.directories == (str(tmp_path), str(tmp_path / "sub"))


def test_kubernetes_plumbing_is_skipped_and_its_links_are_followed(tmp_path: Path) -> None:
    _config_map(tmp_path, 1, "one")
    assert listing([str(tmp_path)]).files == _paths(tmp_path, "a.yaml")


def test_a_config_map_swap_changes_the_signature(tmp_path: Path) -> None:
    _config_map(tmp_path, 1, "one")
    before = listing([str(tmp_path)]).signature()
    assert listing([str(tmp_path)]).signature() == before
    _config_map(tmp_path, 2, "two")
    assert listing([str(tmp_path)]).signature() != before


def test_a_file_is_watched_through_its_directory_and_that_of_what_it_links_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_text("x")
    (tmp_path / "a.yaml").symlink_to("real/a.yaml")
    assert listing([str(tmp_path / "a.yaml")]).directories == (str(tmp_path), str(tmp_path / "real"))


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    (tmp_path / "again").symlink_to(tmp_path)
    assert listing([str(tmp_path)]).files == _paths(tmp_path, "a.yaml")


def test_a_missing_path_is_an_error_and_its_nearest_directory_is_watched(tmp_path: Path) -> None:
    listed = listing([str(tmp_path / "no" / "such")])
    assert listed.errors == ((str(tmp_path / "no" / "such"), "No such file or directory"),)
    assert listed.directories == (str(tmp_path),)


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    assert [message for _, message in listing([str(tmp_path)]).errors] == ["no *.yaml or *.yml file in this directory"]


@pytest.mark.parametrize("change", ["write", "replace", "remove", "add"])
def test_the_signature_sees_every_change(tmp_path: Path, change: str) -> None:
    (tmp_path / "a.yaml").write_text("x")
    (tmp_path / "b.yaml").write_text("x")
    before = listing([str(tmp_path)]).signature()
    if change == "write":
        (tmp_path / "a.yaml").write_text("y")
        os.utime(tmp_path / "a.yaml", ns=(1, 1))
    elif change == "replace":
        (tmp_path / "new").write_text("x")
        (tmp_path / "new").rename(tmp_path / "a.yaml")
    elif change == "remove":
        (tmp_path / "a.yaml").unlink()
    else:
        (tmp_path / "c.yaml").write_text("x")
    assert listing([str(tmp_path)]).signature() != before


def test_what_is_loaded_has_the_users_names_and_a_digest_of_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    one = load((str(tmp_path), "-"), {"-": b"given"})
    assert [(source.name, source.text) for source in one.sources] == [
        ("-", b"given"),
        (str(tmp_path / "a.yaml"), b"x"),
    ]
    os.utime(tmp_path / "a.yaml", ns=(1, 1))
    assert load((str(tmp_path), "-"), {"-": b"given"}).digest == one.digest
    (tmp_path / "a.yaml").write_text("y")
    assert load((str(tmp_path), "-"), {"-": b"given"}).digest != one.digest


def test_what_cannot_be_read_is_a_problem_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nowhere")
    problems = load((str(tmp_path), str(tmp_path / "none")), {}).problems
    assert [str(problem) for problem in problems] == [
        f"{tmp_path}/none:1:1: No such file or directory",
        f"{tmp_path}/a.yaml:1:1: No such file or directory",
    ]
