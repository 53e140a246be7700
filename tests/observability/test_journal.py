"""What happens is in a file before anything else is done, and is handed on once, whoever dies in between."""

import fcntl
import json
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jwtpizza.observability import journal
from jwtpizza.observability.journal import Journal

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(settings, tmp_path):
    settings.RUN_DIR = tmp_path
    return journal._folder()


def told(batch):
    return [(line.kind, line.what) for line in batch.lines()]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_noted_is_told_once():
    mine = Journal()
    mine.note("refused", outcome="open", items=(1, 2))
    mine.note("circuit", outcome="open", was="closed")

    assert told(mine.own()) == [
        ("refused", {"outcome": "open", "items": [1, 2]}),
        ("circuit", {"outcome": "open", "was": "closed"}),
    ]
    mine.kept()
    assert mine.own() is None


def test_it_is_in_the_file_before_anybody_takes_it(folder):
    Journal().note("refused", outcome="open")

    (path,) = folder.iterdir()
    assert json.loads(path.read_text())["outcome"] == "open"


def test_it_knows_when_it_was(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    mine = Journal()
    mine.note("refused")

    assert [line.at for line in mine.own().lines()] == [1234.5]


def test_a_batch_that_could_not_be_kept_is_the_same_the_next_time():
    mine = Journal()
    mine.note("refused", outcome="open")
    names = [line.name for line in mine.own().lines()]
    mine.note("refused", outcome="bulkhead")

    assert [line.name for line in mine.own().lines()] == names
    mine.kept()
    assert told(mine.own()) == [("refused", {"outcome": "bulkhead"})]


def test_no_two_lines_have_the_same_name():
    names = []
    for mine in (Journal(), Journal()):
        for _ in range(3):
            mine.note("refused")
            mine.note("refused")
            names += [line.name for line in mine.own().lines()]
            mine.kept()

    assert len(names) == len(set(names)) == 12


def test_what_is_kept_leaves_no_file(folder):
    mine = Journal()
    mine.note("refused")
    mine.own()
    mine.kept()

    assert files(folder) == []


def test_nobody_takes_what_a_living_process_has_noted():
    mine = Journal()
    mine.note("refused")
    mine.own()
    mine.note("refused")

    assert list(journal.left()) == []


def killed_in_the_middle_of_a_line(folder):
    mine = Journal()
    mine.note("refused", outcome="open")
    os.write(mine._open[1], b'{"kind": "refu')
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_has_left_is_taken_over(folder):
    process = multiprocessing.get_context("fork").Process(target=killed_in_the_middle_of_a_line, args=[folder])
    process.start()
    process.join(20)

    (batch,) = journal.left()
    assert told(batch) == [("refused", {"outcome": "open"})]
    batch.done()
    assert files(folder) == []


def test_of_two_who_take_over_one_does(folder):
    process = multiprocessing.get_context("fork").Process(target=killed_in_the_middle_of_a_line, args=[folder])
    process.start()
    process.join(20)

    (batch,) = journal.left()
    assert list(journal.left()) == []
    batch.leave()
    (again,) = journal.left()
    again.done()


def test_many_threads_write_whole_lines():
    mine = Journal()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: mine.note("refused", diner=number, filler="x" * 200), range(800)))

    assert sorted(what["diner"] for _, what in told(mine.own())) == list(range(800))


CANT = "the journal can't be written: what happens now is counted, and not kept"


def test_while_nobody_takes_it_it_stays_within_its_bounds_and_tells_of_what_is_missing(monkeypatch, caplog):
    monkeypatch.setattr(journal, "MOST_BYTES", 200)
    mine = Journal()
    for _ in range(10):
        mine.note("refused", outcome="open")

    kept = len(told(mine.own()))
    assert 1 < kept < 10
    assert [record.message for record in caplog.records] == [CANT]
    mine.kept()
    mine.note("refused", outcome="bulkhead")
    assert told(mine.own()) == [
        ("dropped", {"outcome": "", "count": 10 - kept}),
        ("refused", {"outcome": "bulkhead"}),
    ]


def test_to_have_kept_nothing_makes_no_room_and_takes_none():
    mine = Journal()
    mine.note("refused")
    for _ in range(3):
        mine.own()
        mine.kept()

    assert mine._bytes == 0


def test_whoever_notes_something_is_told_of_no_trouble_and_the_log_once(settings, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    settings.RUN_DIR = tmp_path / "file"
    mine = Journal()
    mine.note("refused")
    mine.note("refused")

    assert [record.message for record in caplog.records] == [CANT]


def test_a_line_that_was_cut_off_for_want_of_room_spoils_no_other(monkeypatch):
    mine, write = Journal(), os.write
    mine.note("refused", outcome="a")
    with monkeypatch.context() as full:
        full.setattr(journal.os, "write", lambda descriptor, text: write(descriptor, text[:9]))
        mine.note("refused", outcome="b")
    mine.note("refused", outcome="c")

    assert told(mine.own()) == [("dropped", {"outcome": "", "count": 1}), ("refused", {"outcome": "c"})]
    assert [told(batch) for batch in journal.left()] == [[("refused", {"outcome": "a"})]]


NONSENSE = ["{}", "5", "[]", "null", "x", '{"kind": "refused", "at": "soon"}', '{"kind": "refused"}', '{"at": 1.0}']


@pytest.mark.parametrize("text", NONSENSE)
def test_a_line_that_makes_no_sense_is_left_out(folder, text):
    folder.mkdir(parents=True)
    (folder / "dead-1.journal").write_text(f'{text}\n{{"kind": "promised", "at": 1.0}}\n')

    assert [kinds([batch]) for batch in journal.left()] == [["promised"]]


def test_what_nobody_may_open_is_in_nobodys_way(folder, monkeypatch):
    folder.mkdir(parents=True)
    for name in ("1-1", "2-1"):
        (folder / f"{name}.journal").write_text('{"kind": "promised", "at": 1.0}\n')
    opened = os.open

    def denied(path, *flags):
        if "1-1" in str(path):
            raise PermissionError
        return opened(path, *flags)

    monkeypatch.setattr(journal.os, "open", denied)

    assert [kinds([batch]) for batch in journal.left()] == [["promised"]]


def test_where_files_can_t_be_locked_none_is_taken_and_none_stays_open(folder, monkeypatch):
    folder.mkdir(parents=True)
    (folder / "1-1.journal").write_text('{"kind": "promised", "at": 1.0}\n')

    def unable(*_):
        raise OSError("bad descriptor")

    monkeypatch.setattr(journal.fcntl, "flock", unable)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        assert list(journal.left()) == []

    assert len(os.listdir("/proc/self/fd")) == before


def test_what_a_service_with_another_database_has_left_is_not_ours(settings, monkeypatch):
    theirs = Journal()
    theirs.note("promised")
    os.close(theirs._open[1])
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", "another")

    assert list(journal.left()) == []


def kinds(batches):
    return [kind for batch in batches for kind, _ in told(batch)]


def meanwhile(monkeypatch, act):
    """Somebody does this between our opening of a file and our lock on it, once."""
    lock, left = fcntl.flock, [act]

    def flock(descriptor, how):
        if left:
            left.pop()()
        lock(descriptor, how)

    monkeypatch.setattr(journal.fcntl, "flock", flock)


def test_a_file_that_its_owner_is_done_with_as_another_opens_it_is_nobodys(monkeypatch):
    mine = Journal()
    mine.note("canary", outcome="ok")
    mine.own()
    meanwhile(monkeypatch, mine.kept)

    assert kinds(journal.left()) == []


def test_a_file_that_is_taken_for_a_dead_ones_before_it_is_locked_loses_nothing(monkeypatch, folder):
    mine = Journal()
    meanwhile(monkeypatch, lambda: [batch.done() for batch in journal.left()])

    mine.note("canary", outcome="ok")

    assert kinds([mine.own()]) == ["canary"]
    mine.kept()
    assert files(folder) == []


def test_a_file_that_another_holds_makes_nobody_wait(monkeypatch):
    mine, held = Journal(), []
    meanwhile(monkeypatch, lambda: held.extend(journal.left()))

    mine.note("canary", outcome="ok")

    assert [kinds(held), kinds([mine.own()])] == [[], ["canary"]]
