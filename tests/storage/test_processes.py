"""Local storage between processes: no lost update, no torn state, no hang after a fork."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from icechunk import StorageError, local_filesystem_storage
from icechunk.core.runtime import map_parallel
from icechunk.storage.base import Storage
from icechunk.storage.names import LOCK_NAME, is_hidden
from tests.core.test_runtime import exit_status_of_child
from tests.storage.contract import keys_below

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
quiet_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

SPAWN = multiprocessing.get_context("spawn")


def increment(root: str, durable: bool, times: int) -> None:
    """Increment a counter a number of times; repeat increments that another process overtook."""
    storage = local_filesystem_storage(root, durable=durable)
    done = 0
    while done < times:
        data, version = storage.get("counter")
        done += storage.replace("counter", b"%d" % (int(data) + 1), version) is not None


def create_all(root: str, name: str, rounds: int, starts: float) -> None:
    """Try to create the same objects as the other processes, and record which were created."""
    storage = local_filesystem_storage(root)
    won = []
    for n in range(rounds):
        while time.time() < starts + n * 0.02:
            time.sleep(0.0005)
        if storage.create(f"refs/{n}", name.encode() * 5000) is not None:
            won.append(str(n))
    storage.put(f"won/{name}", ",".join(won).encode())


def run_all(target: object, arguments: list[tuple[object, ...]]) -> None:
    """Run a function in one process per argument tuple and wait for all."""
    assert callable(target)
    processes = [SPAWN.Process(target=target, args=args) for args in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * len(processes)


@pytest.mark.parametrize("durable", [True, False])
def test_no_update_is_lost_between_processes(tmp_path: Path, durable: bool) -> None:
    storage = local_filesystem_storage(tmp_path / "r", durable=durable)
    storage.create("counter", b"0")
    run_all(increment, [(str(tmp_path / "r"), durable, 50)] * 8)
    assert storage.get("counter").data == b"400"
    assert keys_below(storage) == ["counter"]


def test_one_process_creates(tmp_path: Path) -> None:
    names, rounds = ["a", "b", "c", "d"], 60
    starts = time.time() + 3
    run_all(create_all, [(str(tmp_path), name, rounds, starts) for name in names])
    storage = local_filesystem_storage(tmp_path)
    won = {name: storage.get(f"won/{name}").data.decode().split(",") for name in names}
    everything = [number for numbers in won.values() for number in numbers if number]
    assert sorted(everything) == sorted(map(str, range(rounds)))
    for name, numbers in won.items():
        for number in filter(None, numbers):
            assert storage.get(f"refs/{number}").data == name.encode() * 5000


def write_for_ever(storage: Storage, said: int) -> None:
    """Replace and create without a pause; write each acknowledged number to the pipe."""
    data, version = storage.get("repo")
    number = int(data[:8])
    os.write(said, b"ready\n")
    while True:
        number += 1
        content = b"%08d" % number + bytes([number % 256]) * 300_000
        version = storage.replace("repo", content, version)
        assert version is not None
        storage.create(f"refs/{number}", content)
        os.write(said, b"%d\n" % number)


@needs_fork
@quiet_fork
@pytest.mark.parametrize("durable", [True, False])
def test_a_killed_writer_leaves_the_old_state_or_the_new(tmp_path: Path, durable: bool) -> None:
    storage = local_filesystem_storage(tmp_path / "r", durable=durable)
    storage.create("repo", b"00000000" + bytes(300_000))
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(40):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write_for_ever(storage, writer)
            finally:
                os._exit(1)
        os.close(writer)
        with open(reader, "rb") as saying:
            assert saying.readline() == b"ready\n"
            time.sleep(chance.random() * 0.02)
            os.kill(child, signal.SIGKILL)
            said = [int(line) for line in saying.read().split(b"\n")[:-1]]
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        data, version = storage.get("repo")
        number = int(data[:8])
        assert data[8:] == bytes([number % 256]) * 300_000, f"torn state, seed {seed}"
        if said:
            assert number in (said[-1], said[-1] + 1), f"an acknowledged update is gone, {seed}"
        for info in storage.list("refs"):
            assert info.size == 300_008, f"half an object appeared, seed {seed}"
        assert storage.replace("repo", data, version) is not None, "the lock of the dead is free"


def test_leftovers_of_the_killed_are_invisible(tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from icechunk import local_filesystem_storage
        storage = local_filesystem_storage(sys.argv[1])
        real = os.fsync
        def die(fd):
            real(fd)
            os.kill(os.getpid(), signal.SIGKILL)
        os.fsync = die
        storage.create("repo", b"never seen")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    names = os.listdir(tmp_path)
    assert len(names) == 1
    assert is_hidden(names[0])
    storage = local_filesystem_storage(tmp_path)
    assert keys_below(storage) == []
    assert storage.create("repo", b"seen") is not None


LISTENER = """
    import os, sys, threading
    flushed = []

    def watch(frame, event, arg):
        if event == "c_call" and arg in (os.fsync, os.link, os.replace):
            name = arg.__name__
            if name == "fsync":
                flushed.append("fsync " + os.readlink(f"/proc/self/fd/{frame.f_locals['fd']}"))
            else:
                flushed.append(name)

    sys.setprofile(watch)
    threading.setprofile(watch)
    from icechunk import local_filesystem_storage
    storage = local_filesystem_storage(sys.argv[1], durable=sys.argv[2] == "durable")
    for key in ("chunks/A", "chunks/B", "manifests/C"):
        storage.put(key, b"x")
    print("put", flushed); flushed.clear()
    storage.sync(["chunks/A", "chunks/B", "manifests/C"])
    print("sync", sorted(flushed)); flushed.clear()
    version = storage.create("repo", b"one")
    print("create", flushed); flushed.clear()
    version = storage.replace("repo", b"two", version)
    print("replace", flushed); flushed.clear()
    pack = storage.open_pack("chunks/P")
    pack.append(b"x")
    print("pack", flushed); flushed.clear()
    storage.sync(["chunks/P"])
    print("sync", flushed); flushed.clear()
    storage.delete(["chunks/A", "chunks/B"])
    print("delete", flushed)
"""


def flushes(root: Path, mode: str) -> list[tuple[str, list[str]]]:
    """Every step of a life of objects, with what the interpreter saw it flush and publish."""
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LISTENER), str(root), mode],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    steps = []
    for line in out.splitlines():
        step, _, seen = line.partition(" ")
        names = [name.strip("' ") for name in seen.strip("[]").split(",") if name]
        steps.append((step, [name.replace(str(root.parent), "~") for name in names]))
    return steps


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors have names on Linux")
class TestDurability:
    def test_everything_is_flushed_before_it_counts(self, tmp_path: Path) -> None:
        steps = flushes(tmp_path / "r", "durable")
        temporary = "fsync ~/r/repo#"
        assert steps[0] == ("put", [])
        assert steps[1][0] == "sync"
        assert sorted(steps[1][1]) == [
            "fsync ~",  # the folder r is new, and so are chunks and manifests in it
            "fsync ~/r",
            "fsync ~/r",
            "fsync ~/r/chunks",
            "fsync ~/r/chunks/A",
            "fsync ~/r/chunks/B",
            "fsync ~/r/manifests",
            "fsync ~/r/manifests/C",
        ]
        for step, act in ((2, "link"), (3, "replace")):
            seen = steps[step][1]
            assert len(seen) == 3
            assert seen[0].startswith(temporary), "content before it has its name"
            assert seen[1] == act
            assert seen[2] == "fsync ~/r", "and then the name"
        assert steps[4] == ("pack", [])
        assert steps[5] == ("sync", ["fsync ~/r/chunks/P", "fsync ~/r/chunks"])
        assert steps[6] == ("delete", ["fsync ~/r/chunks"])

    def test_scratch_storage_never_waits(self, tmp_path: Path) -> None:
        for step, seen in flushes(tmp_path / "r", "scratch"):
            assert [name for name in seen if name.startswith("fsync")] == [], step


@pytest.fixture
def busy(tmp_path: Path) -> Storage:
    """A storage in the middle of its life: pools started, files open, lock used."""
    storage = local_filesystem_storage(tmp_path / "r")
    storage.create("repo", b"0")
    for n in range(20):
        storage.put(f"chunks/{n}", bytes([n]) * 100)
    map_parallel(lambda n: storage.read_range(f"chunks/{n}", 50, 50), range(20))
    return storage


@needs_fork
@quiet_fork
class TestFork:
    def test_child_uses_the_parents_storage(self, busy: Storage) -> None:
        def child() -> None:
            got = map_parallel(lambda n: busy.read_range(f"chunks/{n}", 50, 50), range(20))
            assert got == [bytes([n]) * 50 for n in range(20)]
            data, version = busy.get("repo")
            assert busy.replace("repo", data + b"1", version) is not None
            busy.put("chunks/new", b"x")
            busy.sync(["chunks/new"])

        assert exit_status_of_child(child) == 0
        assert busy.get("repo").data == b"01"

    def test_fork_while_threads_work(self, busy: Storage) -> None:
        stop = []

        def work(n: int) -> None:
            if n == 0:
                for _ in range(12):

                    def child() -> None:
                        assert busy.read_range("chunks/7", 50, 50) == bytes([7]) * 50
                        assert busy.create(f"refs/{os.getpid()}", b"x") is not None
                        with busy.lock("repo"):
                            data, version = busy.get("repo")
                            assert busy.replace("repo", data, version) is not None

                    assert exit_status_of_child(child) == 0
                stop.append(1)
            while not stop:
                data, version = busy.get("repo")
                busy.replace("repo", b"%d" % (int(data) + 1), version)
                busy.read_range(f"chunks/{n}", 50, 50)

        map_parallel(work, range(4))

    def test_fork_inside_the_lock(self, busy: Storage) -> None:
        with busy.lock("repo"):
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    with busy.lock("repo"):  # waits for the parent
                        os.write(writer, b"child ")
                    code = 0
                finally:
                    os._exit(code)
            time.sleep(0.2)
            os.write(writer, b"parent ")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert os.read(reader, 100) == b"parent child "
        os.close(reader)
        os.close(writer)

    def test_leaving_the_lock_in_the_child_does_not_free_the_parents(self, busy: Storage) -> None:
        code = """
            import fcntl, os, sys
            fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("taken")
        """
        lock_file = f"{busy.identity.removeprefix('file://')}/{LOCK_NAME}"
        probe = [sys.executable, "-c", textwrap.dedent(code), lock_file]

        def is_taken() -> bool:
            return subprocess.run(probe, check=True, capture_output=True).stdout == b"taken\n"

        assert not is_taken()
        with contextlib.ExitStack() as held:
            held.enter_context(busy.lock("repo"))

            def child() -> None:
                held.close()
                assert is_taken()

            assert exit_status_of_child(child) == 0
            assert is_taken()
        assert not is_taken()

    def test_child_never_appends_to_its_parents_pack(self, busy: Storage) -> None:
        pack = busy.open_pack("chunks/PACK")
        assert pack is not None
        assert pack.append(b"parent") == 0

        def child() -> None:
            with pytest.raises(StorageError, match="forked child"):
                pack.append(b"child")
            pack.close()
            own = busy.open_pack("chunks/CHILD")
            assert own is not None
            assert own.append(b"child") == 0

        assert exit_status_of_child(child) == 0
        assert pack.append(b"again") == 6
        assert busy.get("chunks/PACK").data == b"parentagain"
        assert busy.get("chunks/CHILD").data == b"child"


def test_other_processes_read_an_open_pack(tmp_path: Path) -> None:
    storage = local_filesystem_storage(tmp_path)
    pack = storage.open_pack("chunks/PACK")
    assert pack is not None
    offset = [pack.append(piece) for piece in (b"first", b"second")][1]
    code = """
        import sys
        from icechunk import local_filesystem_storage
        storage = local_filesystem_storage(sys.argv[1])
        print(bytes(storage.read_range("chunks/PACK", int(sys.argv[2]), 6)).decode())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(offset)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "second\n"
