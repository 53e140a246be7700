"""What several processes count, added up: each keeps its metrics in files of its own, which outlive it.

The files of the dead are put together, or a scrape would take longer with each worker that ever was.
"""

import fcntl
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from operator import add
from pathlib import Path

import psutil
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

# How a value of a dead process goes together with another's; any other kind of gauge dies with its process.
SURVIVES: dict[str, Callable[[float, float], float]] = {"counter": add, "histogram": add, "gauge_max": max}


def collected(folder: Path) -> Iterable[Metric]:
    """All metrics of the processes that keep them in `folder`, living and dead."""
    with _alone(folder):
        _bury(folder)
        files = [str(file) for file in _files(folder)]
        metrics: Iterable[Metric] = MultiProcessCollector.merge(files)
        return metrics


def bury(folder: Path) -> None:
    """Puts the metrics of processes that are gone together, so that the next scrape need not."""
    with _alone(folder):
        _bury(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The only one that works on these files; what somebody who was killed has left half done is done first."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _finish(folder)
        yield


def _files(folder: Path) -> list[Path]:
    """A process that begins just now may have made its file and written nothing."""
    return [file for file in folder.glob("*.db") if file.stat().st_size]


def _bury(folder: Path) -> None:
    """Writes the new sums beside the old; from the moment that the will stands there, they count."""
    dead = [file for file in _files(folder) if _is_left(file)]
    if not dead:
        return
    for kind in SURVIVES:
        if of_kind := [file for file in dead if _kind(file) == kind]:
            _add_up(kind, of_kind, folder / f"{kind}_dead.db", folder / f"{kind}_dead.next")
    will = folder / "will.new"
    will.write_text("\n".join(file.name for file in dead))
    will.rename(folder / "will")
    _finish(folder)


def _finish(folder: Path) -> None:
    """Carries out the will, if there is one, from wherever its writer got to; sums without one are nothing yet."""
    will, sums = folder / "will", list(folder.glob("*.next"))
    if not will.exists():
        for new in sums:
            new.unlink()
        return
    for name in will.read_text().splitlines():
        (folder / name).unlink(missing_ok=True)
    for new in sums:
        new.rename(new.with_suffix(".db"))
    will.unlink()


def _kind(file: Path) -> str:
    return file.stem.rpartition("_")[0]


def _is_left(file: Path) -> bool:
    owner = file.stem.rpartition("_")[2]
    return owner != "dead" and not lives(int(owner))


def lives(process: int) -> bool:
    """Whether there is a process of that id on this machine, and not just what nobody has buried of one."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _add_up(kind: str, files: list[Path], old: Path, new: Path) -> None:
    values: dict[str, float] = defaultdict(float)
    for file in [*files, old] if old.exists() else files:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
            values[key] = SURVIVES[kind](values[key], value)
    with closing(MmapedDict(str(new))) as sums:
        for key, value in values.items():
            sums.write_value(key, value, 0.0)
