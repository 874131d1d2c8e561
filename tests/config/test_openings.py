"""How often a configuration is resolved when a repository is opened."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import icechunk
from icechunk.config.resolve import resolve


def calls_of(function: Callable[..., Any], action: Callable[[], object]) -> int:
    """Count the calls of a function while an action runs."""
    code, seen = function.__code__, 0

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal seen
        seen += event == "call" and frame.f_code is code

    sys.setprofile(look)
    try:
        action()
    finally:
        sys.setprofile(None)
    return seen


@pytest.fixture
def storage(tmp_path: Path) -> icechunk.Storage:
    return icechunk.local_filesystem_storage(str(tmp_path), durable=False)


def test_settings_are_resolved_once_when_a_repository_is_created_or_opened(storage) -> None:
    assert calls_of(resolve, lambda: icechunk.Repository.create(storage)) == 1
    assert calls_of(resolve, lambda: icechunk.Repository.open(storage)) == 1
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=1)
    assert calls_of(resolve, lambda: icechunk.Repository.open(storage, config)) == 1


def test_a_stored_configuration_is_resolved_after_the_first_read(storage) -> None:
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=7)
    icechunk.Repository.create(storage, config)
    assert calls_of(resolve, lambda: icechunk.Repository.open(storage)) == 2
    assert icechunk.Repository.open(storage).config.inline_chunk_threshold_bytes == 7


def test_a_fork_resolves_once_in_another_process(storage) -> None:
    repo = icechunk.Repository.create(storage)
    fork = pickle.dumps(repo.writable_session("main").fork())
    del repo
    assert calls_of(resolve, lambda: pickle.loads(fork)) <= 1
