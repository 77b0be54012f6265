"""Objects by namespace and labels: what a selector chooses, without looking at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Labelled(Generic[T]):
    """Objects under each of their label pairs."""

    __slots__ = ("_by_pair",)

    def __init__(self, objects: Iterable[tuple[str, Mapping[str, str], T]]) -> None:
        self._by_pair: dict[tuple[str, str, str], list[tuple[Mapping[str, str], T]]] = defaultdict(list)
        for namespace, labels, each in objects:
            for key, value in labels.items():
                self._by_pair[namespace, key, value].append((labels, each))

    def selected(self, namespace: str, selector: Mapping[str, str]) -> list[T]:
        """Objects of `namespace` that have all labels of `selector`; an empty selector chooses nothing."""
        if not selector:
            return []
        lists = [self._by_pair.get((namespace, key, value), []) for key, value in selector.items()]
        return [each for labels, each in min(lists, key=len) if has_labels(labels, selector)]


def has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())
