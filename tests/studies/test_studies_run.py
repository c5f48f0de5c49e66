"""Running a study: what is run, what is found, and that trouble in one cell costs that cell alone."""

from __future__ import annotations

import fcntl
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from study_samples import STUDY, FakeExecutor, Silent, record_of, sample

from suite.errors import StudyError
from suite.records import Status, Store
from suite.studies import expand
from suite.studies.journal import LOOK_SECONDS, Journal, Line, Start, is_held, locked
from suite.studies.needs import Given, Met
from suite.studies.run import run_study, why_no_record
from suite.studies.states import CellResult, Conditions, State, counts, folder_of, key_of, known_results, with_running


def score_of(card: Any) -> float:
    return 0.85 if card.values["weight_range"] == "mse" else 0.7


class Room:
    """A study in a folder, to be run again and again."""

    def __init__(self, runs: Path, text: str = STUDY) -> None:
        self.study = sample(text)
        self.cells = expand(self.study, "smoke")
        self.conditions = Conditions(runs)
        self.folder = folder_of(runs, self.study.id, "smoke")
        self.display = Silent()
        self.executor = FakeExecutor(runs, score_of)

    def run(self, answer: Any = score_of, **more: Any) -> tuple[CellResult, ...]:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.executor = FakeExecutor(self.conditions.runs, answer)
        self.display = Silent()
        return run_study(self.study, "smoke", self.cells, self.conditions, self.executor, self.display, **more)

    @property
    def submitted(self) -> list[str]:
        return [job.id for job in self.executor.submitted]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "runs")


def test_every_cell_is_run_once_and_never_again(room: Room):
    results = room.run()
    assert [result.state for result in results] == [State.COMPLETED] * 6
    assert sorted(room.submitted) == sorted(cell.id for cell in room.cells)
    assert room.executor.most_at_once == 2
    assert [result.cell.id for result in room.display.told] == room.submitted
    again = room.run()
    assert room.submitted == []
    assert [result.record for result in again] == [result.record for result in results]


def test_a_job_is_an_evaluation_of_a_complete_card_with_its_threads(room: Room):
    room.conditions = Conditions(
        room.conditions.runs,
        Met((Given("digits-resnet", "mine.pt", Path("mine.pt"), "a" * 64),)),
        Path("data"),
        threads=3,
    )
    room.run()
    job = room.executor.submitted[0]
    card = room.folder / "cards" / f"{job.id}.yaml"
    assert list(job.arguments) == [
        *("evaluate", "--card", str(card), "--threads", "3", "--device", "cpu"),
        *("--weights", "mine.pt", "--data", "data", "--runs", str(room.conditions.runs), "--json"),
    ]
    assert job.environment["OMP_NUM_THREADS"] == "3"
    assert card.is_file()


def test_a_cell_that_fails_costs_itself_alone_and_is_tried_again(room: Room):
    def trouble(card: Any) -> Any:
        if card.seed == 1:
            return {"status": Status.FAILED, "message": "no good", "float_score": None}
        return score_of(card)

    results = {result.cell.id: result for result in room.run(trouble)}
    assert counts(results.values())[State.FAILED] == 2
    assert counts(results.values())[State.COMPLETED] == 4
    assert results["main.good.2.s1"].message == "no good"
    room.run()
    assert sorted(room.submitted) == ["main.bad.2.s1", "main.good.2.s1"]


def test_a_diverged_cell_is_a_result_and_is_not_repeated(room: Room):
    def diverging(card: Any) -> Any:
        return {"status": Status.DIVERGED, "message": "the loss is not finite"} if card.seed == 1 else score_of(card)

    results = room.run(diverging)
    assert counts(results)[State.DIVERGED] == 2
    room.run()
    assert room.submitted == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (-9, "the process was ended by SIGKILL; is there enough memory?"),
        (-11, "the process was ended by SIGSEGV"),
        (
            {"says": "suite: rtn does not support that (do this)\n", "exit_code": 2},
            "rtn does not support that (do this)",
        ),
        (
            {"says": "Traceback\nValueError: oh\n", "exit_code": 1},
            "the process ended with code 1 and left no record: ValueError: oh",
        ),
        (0, "the process ended with code 0 and left no record"),
    ],
)
def test_a_process_without_a_record_is_told_by_its_last_words(room: Room, answer: Any, message: str):
    def trouble(card: Any) -> Any:
        kept = dict(answer) if isinstance(answer, dict) else answer
        return kept if card.values["weight_bits"] == 4 else score_of(card)

    results = [result for result in room.run(trouble) if result.cell.levels["bits"] == "4"]
    assert {(result.state, result.message) for result in results} == {(State.FAILED, message)}


def test_last_words_are_one_clean_bounded_line(tmp_path: Path):
    log = tmp_path / "log"
    log.write_bytes(b"suite: \x1b[31m" + b"x" * 9000 + b"\n\n")
    said = why_no_record(2, log)
    assert "\x1b" not in said
    assert len(said) <= 500


def test_an_interrupt_stops_the_jobs_and_what_finished_stays(room: Room):
    class Interrupted(FakeExecutor):
        def ended(self, timeout_seconds: float) -> Any:
            if len(self.submitted) > 3:
                raise KeyboardInterrupt
            return super().ended(timeout_seconds)

    room.folder.mkdir(parents=True)
    executor = Interrupted(room.conditions.runs, score_of)
    with pytest.raises(KeyboardInterrupt):
        run_study(room.study, "smoke", room.cells, room.conditions, executor, Silent())
    assert executor.stopped == 1
    done = len(list(Store(room.conditions.runs).run_ids()))
    assert done == 2
    assert counts(room.run())[State.COMPLETED] == 6
    assert len(room.submitted) == 4


def test_a_record_of_other_code_is_measured_again(room: Room):
    def old(card: Any) -> Any:
        return {"score": 0.5, "version": "old", "identity": {**record_of(card, 0.5)[0].identity, "torch": "1.0"}}

    room.run(old)
    known = known_results(
        room.cells, Journal(room.folder), Store(room.conditions.runs), room.conditions, lambda cell: {}
    )
    assert {result.state for result in known.values()} == {State.COMPLETED}
    assert all("torch: 1.0 →" in result.stale for result in known.values())
    results = room.run()
    assert len(room.submitted) == 6
    assert {result.stale for result in results} == {""}


def test_a_record_that_is_lost_or_corrupt_is_measured_again(room: Room):
    first = room.run()
    runs = room.conditions.runs
    lost, corrupt = first[0].record, first[1].record
    assert lost is not None
    assert corrupt is not None
    (runs / lost.run_id).rename(runs / "elsewhere")
    (runs / corrupt.run_id / "record.json").write_text("{")
    known = known_results(room.cells, Journal(room.folder), Store(runs), room.conditions, lambda cell: {})
    assert known[first[1].cell.id].state is State.WAITING
    assert "record.json" in known[first[1].cell.id].message
    room.run()
    assert room.submitted == [first[0].cell.id, first[1].cell.id]


def test_other_conditions_are_other_runs(room: Room):
    room.run()
    room.conditions = Conditions(room.conditions.runs, threads=2)
    room.run()
    assert len(room.submitted) == 6


def test_cells_that_are_one_run_are_not_computed_beside_each_other(tmp_path: Path):
    room = Room(tmp_path / "runs", STUDY.replace("axes: {weight_range: mse}}", "axes: {weight_range: min-max}}"))

    class Watching(FakeExecutor):
        def submit(self, job: Any) -> None:
            cards = [job.arguments[2], *(other.arguments[2] for other in self.waiting)]
            digests = [next(cell.digest for cell in room.cells if Path(card).stem == cell.id) for card in cards]
            assert len(set(digests)) == len(digests)
            super().submit(job)

    room.folder.mkdir(parents=True)
    executor = Watching(room.conditions.runs, score_of)
    results = run_study(room.study, "smoke", room.cells, room.conditions, executor, Silent())
    assert counts(results)[State.COMPLETED] == 6
    assert len(list(Store(room.conditions.runs).run_ids())) == 3


def test_an_answer_that_is_no_answer_is_no_record(room: Room):
    def nonsense(card: Any) -> Any:
        return 0

    room.run(nonsense)
    for text in ("[1]", '{"run_id": 3}', "not json", '{"run_id": "../../etc"}'):

        class Speaking(FakeExecutor):
            def _carry_out(self, job: Any, text: str = text) -> int:
                job.output.parent.mkdir(parents=True, exist_ok=True)
                job.output.write_text(text)
                return 0

        executor = Speaking(room.conditions.runs, nonsense)
        results = run_study(room.study, "smoke", room.cells, room.conditions, executor, Silent())
        assert counts(results)[State.FAILED] == 6


def test_the_journal_forgets_a_torn_line_and_nothing_else(tmp_path: Path):
    journal = Journal(tmp_path)
    journal.append(Line("ended", "a", "1", outcome="completed", run_id="r"))
    with journal.path.open("ab") as file:
        file.write(b'{"event": "ended", "cell": "b", "ke')
    assert [line.cell for line in journal.lines()] == ["a"]
    journal.append(Line("ended", "c", "3", outcome="failed", message="why – so"))
    assert [(line.cell, line.message) for line in journal.lines()] == [("a", ""), ("c", "why – so")]
    assert list(journal.last_ended()) == ["1", "3"]


def running(room: Room) -> list[str]:
    known = known_results(
        room.cells, Journal(room.folder), Store(room.conditions.runs), room.conditions, lambda cell: {}
    )
    found = with_running(known, room.folder, Journal(room.folder), room.conditions)
    assert {id: held for id, held in found.items() if held.state is not State.RUNNING}.items() <= known.items()
    return [id for id, held in found.items() if held.state is State.RUNNING]


def test_a_cell_is_running_while_the_process_that_began_it_lives(room: Room):
    class Looking(FakeExecutor):
        def ended(self, timeout_seconds: float) -> Any:
            assert running(room) == [job.id for job in self.waiting]
            return super().ended(timeout_seconds)

    with locked(room.folder, "sample"):
        assert not running(room)
        run_study(room.study, "smoke", room.cells, room.conditions, Looking(room.conditions.runs, score_of), Silent())
        assert not running(room)


def test_what_a_killed_process_left_open_is_not_running(room: Room):
    room.folder.mkdir(parents=True)
    journal, first = Journal(room.folder), room.cells[0]
    journal.begin(Start())
    journal.append(Line("started", first.id, key_of(first, room.conditions)))
    assert not running(room)
    with locked(room.folder, "sample"):
        assert running(room) == [first.id]
        room.conditions = Conditions(room.conditions.runs, threads=2)
        assert not running(room)  # that would be another run of the cell
        room.conditions = Conditions(room.conditions.runs)
        journal.begin(Start())
        assert not running(room)


def test_who_looks_whether_a_study_runs_does_not_keep_it_from_starting(tmp_path: Path):
    assert not is_held(tmp_path)
    with locked(tmp_path, "sample"):
        assert is_held(tmp_path)
        with (
            pytest.raises(StudyError, match="another process is running the study 'sample' here"),
            locked(tmp_path, "sample"),
        ):
            pass
    assert not is_held(tmp_path)
    look = (tmp_path / "lock").open("rb")
    fcntl.flock(look, fcntl.LOCK_SH)
    threading.Timer(LOOK_SECONDS / 4, look.close).start()
    with locked(tmp_path, "sample"):
        assert is_held(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "null",
        "[]",
        '{"event": 1}',
        '{"event": "begun", "data": {"t": 1}}',
        '{"event": "begun", "weights": ""}',
        '{"unknown": "x"}',
        '{"event":"ended"}',
        "{" * 5000,
        "\xff",
    ],
)
def test_the_journal_passes_over_what_is_not_its_own(tmp_path: Path, line: str):
    journal = Journal(tmp_path)
    journal.path.write_bytes(line.encode("latin-1") + b"\n")
    journal.append(Line("started", "a", "1"))
    assert [held.cell for held in journal.lines()] == ["a"]
    assert journal.last_start() == Start()


def test_the_journal_says_what_happened_in_order(room: Room):
    room.run()
    lines = [json.loads(text) for text in (room.folder / "journal.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines[:4]] == ["begun", "started", "started", "ended"]
    assert len(lines) == 13
    assert all(line["seconds"] == 1.5 and line["run_id"] for line in lines if line["event"] == "ended")
