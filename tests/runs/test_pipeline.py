"""The straight line of a run on the toy generator: what is recorded, resumed, repeated, refused."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gdbench import (
    Checkpoint,
    Column,
    GdbenchError,
    LinearDirections,
    MethodSpec,
    MetricSpec,
    Scores,
    UsageError,
    Void,
    normal,
    tensors,
    train,
)
from gdbench.context import SILENT, Context, Reporter, Stopped, Task
from gdbench.record import RunRecord, Score
from gdbench.registry import Offer, Registry, load_registry
from gdbench.runs.pipeline import execute, remeasure
from gdbench.runs.planning import plan
from gdbench.runs.recorded import is_complete
from gdbench.runs.request import RunRequest
from gdbench.runs.store import RunFolder
from gdbench.specs import resolve


@pytest.fixture
def restored() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def with_method(registry: Registry, discover: Callable[..., Any], **fields: Any) -> Registry:
    offer = Offer(MethodSpec("mine", "a test", discover, **fields), registry.method("random").provider)
    return replace(registry, methods={**registry.methods, "mine": offer})


def with_metric(registry: Registry, measure: Callable[..., Any], **fields: Any) -> Registry:
    spec = MetricSpec("mine", "a test", measure, (Column("a", ""), Column("b", "")), **fields)
    return replace(registry, metrics={**registry.metrics, "mine": Offer(spec, registry.metric("cost").provider)})


def request(out: Path, method: str = "random", **fields: Any) -> RunRequest:
    return RunRequest("toy", method, k=4, tier="smoke", out=out, **{"metrics": ("cost", "diversity"), **fields})


def run(out: Path, registry: Registry, method: str = "random", **fields: Any) -> tuple[RunRecord, RunFolder]:
    return execute(plan(request(out, method, **fields), registry), registry, SILENT)


def good(generator: Any, params: Any, context: Context) -> LinearDirections:
    generator.render(generator.sample(5, "z", context.stream("discover").at()))
    return LinearDirections(normal(context.stream("discover").at(1), context.k, 64), context.space)


def test_a_run_records_scores_costs_versions_and_hashes(tmp_path: Path, registry: Registry) -> None:
    record, folder = run(tmp_path, with_method(registry, good, version=7), "mine")
    assert record.status == "done"
    assert record.costs["discover"].images == 5
    assert record.versions["method"] == 7
    assert {"calibration", "cost", "diversity"} == set(record.scores)
    assert {"directions.safetensors", "calibration.safetensors", "discovery.json"} <= set(record.files)
    assert folder.read(verify=True) == record
    assert record.domain == "toy"


def test_the_same_request_twice_computes_once(tmp_path: Path, registry: Registry) -> None:
    calls = []

    def counted(*arguments: Any) -> LinearDirections:
        calls.append(1)
        return good(*arguments)

    mine = with_method(registry, counted)
    first, _ = run(tmp_path, mine, "mine")
    assert is_complete(plan(request(tmp_path, "mine"), mine))
    second, _ = run(tmp_path, mine, "mine")
    assert first == second
    assert len(calls) == 1
    run(tmp_path, mine, "mine", fresh=True)
    assert len(calls) == 2


def test_numbers_repeat_and_depend_on_the_seed(tmp_path: Path, registry: Registry) -> None:
    same = [run(tmp_path / name, registry)[0].scores for name in ("a", "b")]
    assert same[0]["diversity"] == same[1]["diversity"]
    assert same[0]["calibration"] == same[1]["calibration"]
    assert run(tmp_path / "c", registry, seed=1)[0].scores["calibration"] != same[0]["calibration"]


def test_a_new_metric_scores_an_old_run_without_discovery(tmp_path: Path, registry: Registry) -> None:
    mine = with_method(registry, good)
    first, folder = run(tmp_path, mine, "mine", metrics=("cost",))

    def never(*_: Any) -> None:
        raise AssertionError("discovered anew")

    record = remeasure(folder, ["diversity"], with_method(registry, never), SILENT)
    assert set(record.scores) == {"calibration", "cost", "diversity"}
    assert record.costs["calibrate"].images > 0
    assert {**record.costs, **first.costs} == record.costs


def test_a_record_says_what_the_card_knew_when_it_was_measured_last(tmp_path: Path, registry: Registry) -> None:
    first, after = (plan(request(tmp_path, metrics=names), registry) for names in (("cost",), ("cost", "diversity")))
    before, _ = execute(first, registry, SILENT)
    card = Checkpoint("none", "toy", "none", status="preview", card={"rare": {"shape": ["plus"]}})
    record, _ = execute(replace(after, checkpoint=replace(after.checkpoint, checkpoint=card)), registry, SILENT)
    assert (before.checkpoint_status, before.checkpoint_lacks) == ("ready", "")
    assert (record.checkpoint_status, record.checkpoint_lacks) == ("preview", "shape plus")


def test_a_run_of_another_evaluation_keeps_its_directions_and_is_measured_anew(
    tmp_path: Path, registry: Registry
) -> None:
    """Nothing is discovered again: the bytes of the directions stay, and so do date and cost; all scores are new."""
    made = plan(request(tmp_path), registry)
    first, folder = execute(made, registry, SILENT)
    directions = (folder.path / "directions.safetensors").read_bytes()
    other = {**first.versions, "evaluation": first.versions["evaluation"] - 1}
    wrong = {"old": {"column": Score(1.0)}}
    folder.write(replace(first, versions=other, scores=wrong, date="2001-01-01", migrated_from="earlier"))
    assert not is_complete(made)
    again, _ = execute(made, registry, SILENT)
    assert {metric: again.scores[metric] for metric in ("calibration", "diversity")} == {
        metric: first.scores[metric] for metric in ("calibration", "diversity")
    }
    assert set(again.scores) == set(first.scores)
    assert again.versions == first.versions
    assert (again.date, again.migrated_from) == ("2001-01-01", "earlier")
    assert again.costs["discover"] == first.costs["discover"]
    assert (folder.path / "directions.safetensors").read_bytes() == directions


def test_what_a_method_raises_is_a_record(tmp_path: Path, registry: Registry) -> None:
    def bad(*_: Any) -> None:
        raise RuntimeError("boom\nsecond line")

    record, folder = run(tmp_path, with_method(registry, bad), "mine")
    assert record.status == "failed"
    assert record.reason == "RuntimeError: boom (method mine, plugin 'controls' of gdbench 0.1.0)"
    assert "second line" in (folder.path / "traceback.txt").read_text()
    assert folder.done


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (LinearDirections(torch.eye(64)[:3], "z"), "returned 3 directions in 'z', asked for 4 in 'z'"),
        (LinearDirections(torch.eye(64)[:4], "w"), "returned 4 directions in 'w'"),
        (None, "returned no Directions"),
    ],
)
def test_wrong_directions_are_refused(tmp_path: Path, registry: Registry, returned: Any, reason: str) -> None:
    record, _ = run(tmp_path, with_method(registry, lambda *_: returned), "mine")
    assert record.status == "failed"
    assert reason in record.reason


def test_a_missing_capability_is_incompatible_before_anything_is_loaded(tmp_path: Path, registry: Registry) -> None:
    record, folder = run(tmp_path, with_method(registry, good, needs=("mapping",)), "mine")
    assert (record.status, record.reason) == ("incompatible", "mine needs mapping, which toy does not provide")
    assert not (folder.path / "directions.json").exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda generator, domain: "", ""),
        (lambda generator, domain: f"{generator.name} shows {domain.name},\nno faces", "mine: toy shows toy, no faces"),
        (
            lambda generator, domain: 1 / 0,
            "compatible of method mine, plugin 'controls' of gdbench 0.1.0: raised ZeroDiv",
        ),
        (lambda generator, domain: None, "must give text, got NoneType"),
        (lambda generator, domain: True, "must give text, got bool"),
    ],
)
def test_a_method_may_say_itself_what_it_is_compatible_with(
    tmp_path: Path, registry: Registry, answer: Callable[..., Any], reason: str
) -> None:
    made = plan(request(tmp_path, "mine"), with_method(registry, good, compatible=answer))
    assert reason in made.incompatible
    assert bool(made.incompatible) == bool(reason)


def test_what_a_method_is_not_compatible_with_is_recorded_before_anything_is_loaded(
    tmp_path: Path, registry: Registry
) -> None:
    record, folder = run(tmp_path, with_method(registry, good, compatible=lambda *_: "not here"), "mine")
    assert (record.status, record.reason) == ("incompatible", "mine: not here")
    assert not (folder.path / "directions.json").exists()


def test_a_space_in_which_the_method_does_not_work_is_incompatible(tmp_path: Path, registry: Registry) -> None:
    record, _ = run(tmp_path, with_method(registry, good, spaces=("w", "s")), "mine")
    assert (record.status, record.reason) == ("incompatible", "mine works in w and s, not in z")


def test_a_metric_that_raises_voids_its_columns_and_spares_the_others(tmp_path: Path, registry: Registry) -> None:
    def bad(*_: Any) -> Scores:
        raise ZeroDivisionError("no")

    record, _ = run(tmp_path, with_metric(registry, bad), metrics=("mine", "diversity"))
    assert record.status == "failed"
    assert {score.value for score in record.scores["mine"].values()} == {None}
    assert record.scores["diversity"]["rank_latent"].value == pytest.approx(4)


def test_a_domain_without_images_voids_only_what_needs_them(tmp_path: Path, registry: Registry) -> None:
    """As photographs: a distance and features, and nothing else."""
    toy = registry.domain("toy")
    bare = replace(registry, domains={**registry.domains, "toy": Offer(replace(toy.spec, offers=()), toy.provider)})
    record, _ = run(tmp_path, bare, metrics=("diversity", "path", "factors", "naturalness"))
    assert record.status == "done"
    assert record.scores["diversity"]["rank_image"].value is not None
    assert record.scores["path"]["straightness"].value is not None
    assert record.scores["factors"]["disentanglement"].void == "this domain has no factors"
    assert record.scores["naturalness"]["naturalness"].void == "this domain has no images"


@pytest.mark.parametrize(
    ("needs", "void"),
    [
        (("features", "modulation"), None),
        (("mapping",), "this generator has no mapping"),
        (("mapping", "features"), "this generator has no mapping"),
    ],
)
def test_a_metric_may_need_a_capability_of_the_generator(
    tmp_path: Path, registry: Registry, needs: tuple[str, ...], void: str | None
) -> None:
    mine = with_metric(registry, lambda *_: Scores({"a": 1.0, "b": 2.0}), needs=needs)
    record, _ = run(tmp_path, mine, metrics=("mine",))
    assert record.status == "done"
    numbers = (None, None) if void else (1.0, 2.0)
    assert [(score.value, score.void) for score in record.scores["mine"].values()] == [(one, void) for one in numbers]


@pytest.mark.parametrize("gone", [("images",), ("images", "truth")])
def test_a_domain_with_factors_and_without_images_fails_no_run(
    tmp_path: Path, registry: Registry, gone: tuple[str, ...]
) -> None:
    """Real images tell how far a factor varies in the data; those of ``truth`` do where there are no others."""

    class Imageless:
        def __init__(self, true: Any) -> None:
            self.true = true

        def __getattr__(self, name: str) -> Any:
            return getattr(self.true, name)

    def none(*_: Any) -> None:
        raise UsageError("the domain has none")

    for name in gone:
        setattr(Imageless, name, none)
    toy = registry.domain("toy")
    spec = replace(toy.spec, offers=("factors",), load=lambda device: Imageless(resolve(toy.spec.load)(device)))
    there = replace(registry, domains={**registry.domains, "toy": Offer(spec, toy.provider)})
    record, _ = run(tmp_path, there, metrics=("factors", "observational"))
    assert record.status == "done", record.reason
    for scores, column in (("factors", "completeness"), ("observational", "mig")):
        score = record.scores[scores][column]
        if "truth" in gone:
            assert score.void == "how far the factors vary in the data is unknown: the domain has none"
        else:
            assert score.value is not None, score.void


def test_nan_and_void_are_reasons_and_undeclared_columns_are_refused(tmp_path: Path, registry: Registry) -> None:
    scores = Scores({"a": float("nan"), "b": Void("nothing to see")})
    record, _ = run(tmp_path / "1", with_metric(registry, lambda *_: scores), metrics=("mine",))
    assert [score.void for score in record.scores["mine"].values()] == ["the metric returned nan", "nothing to see"]
    record, _ = run(tmp_path / "2", with_metric(registry, lambda *_: Scores({"c": 1.0})), metrics=("mine",))
    assert "returned columns ['c'], declared ['a', 'b']" in record.reason


class Interrupting:
    """Raises in the middle of the discovery, as Ctrl-C does."""

    def __init__(self, at: int) -> None:
        self.left = at

    def advance(self, steps: int = 1, **numbers: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        yield self

    def log(self, text: str) -> None: ...


def test_an_interrupted_run_is_recorded_and_resumed(tmp_path: Path, registry: Registry) -> None:
    def slow(generator: Any, params: Any, context: Context) -> LinearDirections:
        with context.reporter.task("discover", 4) as task:
            for _ in range(4):
                task.advance()
        return good(generator, params, context)

    mine = with_method(registry, slow)
    made = plan(request(tmp_path, "mine"), mine)
    reporter: Reporter = Interrupting(2)
    with pytest.raises(KeyboardInterrupt):
        execute(made, mine, reporter)
    assert RunFolder(tmp_path / made.id).read().status == "interrupted"
    assert not is_complete(made)
    record, _ = execute(made, mine, SILENT)
    assert record.status == "done"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "randm"}, "did you mean 'random'"),
        ({"metrics": ("diversty",)}, "did you mean 'diversity'"),
        ({"space": "w"}, "toy has no space 'w'; it has z"),
        ({"method_params": {"nope": 1}}, "method random: unknown parameter 'nope'"),
    ],
)
def test_bad_requests_are_one_line_before_anything_is_written(
    tmp_path: Path, registry: Registry, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan(request(tmp_path, **fields), registry)
    assert not list(tmp_path.iterdir())


def test_order_of_runs_and_careless_plugins_change_no_number(tmp_path: Path, registry: Registry) -> None:
    def careless(generator: Any, params: Any, context: Context) -> LinearDirections:
        torch.manual_seed(1)
        return good(generator, params, context)

    mine = with_method(registry, careless)
    before = run(tmp_path / "1", mine)[0].scores["diversity"]
    run(tmp_path / "2", mine, "mine")
    after = run(tmp_path / "3", mine)[0].scores["diversity"]
    assert before == after


def test_an_interrupted_measurement_leaves_the_finished_run_as_it_was(tmp_path: Path, registry: Registry) -> None:
    def interrupted(*_: Any) -> Scores:
        raise KeyboardInterrupt

    record, folder = run(tmp_path, registry)
    with pytest.raises(KeyboardInterrupt):
        remeasure(folder, ["mine"], with_metric(registry, interrupted), SILENT)
    assert folder.read(verify=True) == record


def test_the_recorded_command_asks_for_the_same_run(tmp_path: Path, registry: Registry) -> None:
    fields = {"seed": 3, "method_params": {"steps": 40, "form": "unit"}, "metric_params": {"diversity": {}}}
    first = plan(request(tmp_path, "voynov", **fields), registry)
    assert first.request.command() == (
        "gdbench run --gan toy --method voynov --k 4 --seed 3 --tier smoke --metrics cost,diversity "
        "-p steps=40 -p 'form=\"unit\"'"
    )


def test_the_cost_of_an_interrupted_discovery_is_not_forgotten(tmp_path: Path, registry: Registry) -> None:
    def slow(generator: Any, params: Any, context: Context) -> LinearDirections:
        begun = context.resume.load() is not None
        generator.render(generator.sample(7, "z", context.stream("discover").at()))
        context.resume.save({"step": 1})
        if not begun:
            raise KeyboardInterrupt
        return good(generator, params, context)

    mine = with_method(registry, slow)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, mine, "mine")
    record, _ = run(tmp_path, mine, "mine")
    assert record.costs["discover"].images == 7 + 7 + 5


def test_a_resume_point_that_cannot_be_read_is_set_aside_and_the_run_starts_afresh(
    tmp_path: Path, registry: Registry
) -> None:
    said: list[str] = []

    class Said(Interrupting):
        def log(self, text: str) -> None:
            said.append(text)

    made = plan(request(tmp_path, "voynov"), registry)
    (tmp_path / made.id).mkdir()
    (tmp_path / made.id / "resume.pt").write_bytes(b"not a state")
    record, folder = execute(made, registry, Said(-1))
    assert record.status == "done"
    assert "resume.pt: cannot be resumed (UnpicklingError), kept as .resume.pt.unreadable; starting afresh" in said[0]
    assert (folder.path / ".resume.pt.unreadable").read_bytes() == b"not a state"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_saves_the_step_that_is_just_done(
    tmp_path: Path, registry: Registry, number: signal.Signals, restored: ExitStack
) -> None:
    """It comes within a block of steps, long before the next state would have been saved."""
    said: list[str] = []

    def learns(generator: Any, params: Any, context: Context) -> LinearDirections:
        weights = torch.zeros(context.k, 64)

        def step(n: int) -> torch.Tensor:
            weights.add_(normal(context.stream("discover").at(n), context.k, 64))
            if n == 32 and not said:
                os.kill(os.getpid(), number)
            return torch.zeros(1)

        train(context, 60, step, {"weights": weights})
        return LinearDirections(weights, context.space)

    class Said(Interrupting):
        def log(self, text: str) -> None:
            said.append(text)

    mine = with_method(registry, learns)
    made = plan(request(tmp_path / "stopped", "mine"), mine)
    default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    inherited = signal.signal(number, default)  # a job in the background was started with some of them ignored
    restored.callback(signal.signal, number, inherited)
    before = signal.getsignal(number)
    with pytest.raises(BaseException) as caught:
        execute(made, mine, Said(-1))
    assert isinstance(caught.value, KeyboardInterrupt if number == signal.SIGINT else SystemExit)
    assert number == signal.SIGINT or caught.value.code == 128 + number  # type: ignore[attr-defined]
    assert signal.getsignal(number) == before
    folder = RunFolder(tmp_path / "stopped" / made.id)
    assert folder.read().reason == "interrupted at step 33 of 60; the same command resumes it"
    assert "the discovery so far is saved; go on with: gdbench run --gan toy --method mine" in said[-1]
    assert torch.load(folder.resume, weights_only=True)["state"]["step"] == 33
    execute(made, mine, SILENT)
    whole = plan(request(tmp_path / "whole", "mine"), mine)
    execute(whole, mine, SILENT)
    found = [(tmp_path / out / made.id / "directions.safetensors").read_bytes() for out in ("stopped", "whole")]
    assert found[0] == found[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once_what_would_save_first(
    tmp_path: Path, registry: Registry, number: signal.Signals, restored: ExitStack
) -> None:
    default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    restored.callback(signal.signal, number, signal.signal(number, default))
    reached: list[int] = []

    def learns(generator: Any, params: Any, context: Context) -> LinearDirections:
        def step(n: int) -> torch.Tensor:
            os.kill(os.getpid(), number)
            reached.append(1)  # the first one waits for the step
            os.kill(os.getpid(), number)
            reached.append(2)
            return torch.zeros(1)

        train(context, 60, step, {"weights": torch.zeros(context.k, 64)})
        raise AssertionError

    made = plan(request(tmp_path, "mine"), with_method(registry, learns))
    with pytest.raises((KeyboardInterrupt, Stopped)):
        execute(made, with_method(registry, learns), SILENT)
    folder = RunFolder(tmp_path / made.id)
    assert reached == [1]
    assert (folder.read(verify=True).status, folder.resume.exists(), folder.held) == ("interrupted", False, False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_raised_in_a_thread_or_a_destructor_costs_nothing(tmp_path: Path, registry: Registry) -> None:
    """Nobody waits for it: Python tells it, the run goes on."""

    class Leaves:
        def __del__(self) -> None:
            raise ValueError("in a destructor")

    def careless(generator: Any, params: Any, context: Context) -> LinearDirections:
        def fails() -> None:
            raise ValueError("in a thread")

        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
        Leaves()
        return good(generator, params, context)

    record, _ = run(tmp_path / "careless", with_method(registry, careless), "mine")
    usual, _ = run(tmp_path / "usual", with_method(registry, good), "mine")
    assert (record.status, record.scores["diversity"]) == ("done", usual.scores["diversity"])


@pytest.mark.parametrize("way", [sys.exit, os._exit], ids=["sys.exit", "os._exit"])
@pytest.mark.parametrize("kind", ["method", "metric"])
def test_a_plugin_that_exits_failed(tmp_path: Path, registry: Registry, kind: str, way: Any) -> None:
    def leaves(*_: Any) -> None:
        getattr(sys if way is sys.exit else os, way.__name__)(0)

    mine = with_method(registry, leaves) if kind == "method" else with_metric(registry, leaves)
    record, folder = run(
        tmp_path, mine, *(["mine"] if kind == "method" else []), metrics=("cost", *["mine"][kind == "method" :])
    )
    assert record.status == "failed"
    assert "exited without a result: sys.exit(0)" in record.reason
    assert f"{kind} mine" in record.reason
    assert list(folder.path.glob("traceback*.txt"))
    assert os._exit is not None
    assert "leave" not in os._exit.__name__


def test_free_space_is_looked_at_before_a_run_and_named_when_it_ends(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [10_000_000_000]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[0]))

    def fills(*_: Any) -> None:
        free[0] = 200_000
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")  # torch.save's way

    record, _ = run(tmp_path, with_method(registry, fills), "mine")
    assert "inline_container" in record.reason
    assert record.reason.endswith("; 0.2 MB are free on the disk of the run")
    with pytest.raises(GdbenchError, match=r"0\.2 MB are free on this disk, a run needs 4 MB at least: make room, or"):
        run(tmp_path, registry)


def test_memory_that_runs_out_names_the_plugin_and_what_helps(tmp_path: Path, registry: Registry) -> None:
    def greedy(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    record, _ = run(tmp_path, with_method(registry, greedy), "mine")
    assert "Tried to allocate 2.00 GiB" in record.reason
    assert "out of memory: --max-memory bounds what is rendered at once" in record.reason
    assert "method mine" in record.reason


def test_a_plugin_that_changes_the_working_directory_breaks_nothing(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moves(generator: Any, params: Any, context: Context) -> LinearDirections:
        (tmp_path / "elsewhere").mkdir()
        os.chdir(tmp_path / "elsewhere")
        context.resume.save({"step": 1})
        return good(generator, params, context)

    monkeypatch.chdir(tmp_path)
    record, folder = run(Path("runs"), with_method(registry, moves), "mine")
    assert record.status == "done"
    assert folder.path == tmp_path / "runs" / record.id
    assert folder.read(verify=True) == record
    assert Path.cwd() == tmp_path
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(("method", "fields"), [("coordinate", {"k": 65}), ("random", {"device": "cuda:99"})])
def test_what_cannot_be_is_a_usage_error_and_no_stored_failure(
    tmp_path: Path, registry: Registry, method: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=r"--k 64 fits|--device cuda:99"):
        execute(plan(replace(request(tmp_path, method), **fields), registry), registry, SILENT)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def test_a_failed_measurement_keeps_the_hashes_of_files_that_are_not_checked_out(
    tmp_path: Path, registry: Registry
) -> None:
    record, folder = run(tmp_path, registry)
    (folder.path / "directions.safetensors").unlink()
    with pytest.raises(GdbenchError):
        remeasure(folder, ["reconstruction"], registry, SILENT)
    assert folder.read(verify=True).files == record.files


def test_pictures_of_a_metric_are_kept_with_the_run(tmp_path: Path, registry: Registry) -> None:
    scores = Scores({"a": 1.0, "b": 2.0}, pictures={"look": torch.zeros(2, 3, 3, 8, 8)})
    record, folder = run(tmp_path, with_metric(registry, lambda *_: scores), metrics=("mine",))
    assert (folder.path / "pictures" / "mine-look.png").exists()
    assert "pictures/mine-look.png" in record.files


def test_a_metric_is_measured_again_with_other_parameters(tmp_path: Path, registry: Registry) -> None:
    _, folder = run(tmp_path, registry)
    record = remeasure(folder, ["reconstruction"], registry, SILENT, metric_params={"reconstruction": {"steps": 5}})
    assert record.metric_params["reconstruction"]["steps"] == 5


def test_a_metric_that_misleads_alone_comes_with_those_beside_it(tmp_path: Path, registry: Registry) -> None:
    """PROTOCOL, `reconstruction`: kappa is never shown without diversity, however it was asked for."""
    mine = with_metric(registry, lambda *_: Scores({"a": 1.0, "b": 2.0}), measured_with=("diversity", "cost"))
    record, _ = run(tmp_path, mine, metrics=("mine",))
    assert set(record.scores) == {"calibration", "mine", "diversity", "cost"}
    assert registry.metric("reconstruction").spec.measured_with == ("diversity",)


def test_what_is_kept_once_per_generator_is_kept_apart_for_other_parameters(registry: Registry) -> None:
    """Gates and floors depend on how codes are drawn, not on the weights alone; on no method or seed."""

    def fingerprint(**fields: Any) -> str:
        return plan(RunRequest("stylegan2", "random", k=4, tier="smoke", **fields), registry).fingerprint

    assert fingerprint() == fingerprint(seed=3, method_params={"whiten": False}) != ""
    assert fingerprint(generator_params={"psi": 0.5}) != fingerprint()
    assert plan(request(Path("unused")), registry).fingerprint == ""  # nothing tells toy's next version from this one


def test_a_measurement_that_was_killed_half_way_is_done_again(tmp_path: Path, registry: Registry) -> None:
    class Killed(BaseException):
        """What no handler sees, as a SIGKILL."""

    _, folder = run(tmp_path, registry)

    def dies(*_: Any) -> Scores:
        (folder.path / "tables.parquet").write_bytes(b"half")
        raise Killed

    mine = with_metric(registry, dies)
    with pytest.raises(Killed):
        execute(plan(request(tmp_path, metrics=("mine",)), mine), mine, SILENT)
    assert not folder.done
    record = remeasure(folder, ["cost", "diversity"], registry, SILENT)
    assert record.status == "done"
    assert folder.read(verify=True) == record


def test_directions_that_are_kept_in_halves_are_measured_as_they_are_kept(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that whoever measures the saved directions finds the same numbers."""
    monkeypatch.setattr(tensors, "LARGE", 100)
    mine = with_method(registry, good)
    fresh, folder = run(tmp_path / "fresh", mine, "mine", metrics=("diversity",))
    copy = tmp_path / "again" / fresh.id
    copy.mkdir(parents=True)
    for name in ("directions.safetensors", "directions.json", "discovery.json"):
        shutil.copy(folder.path / name, copy / name)
    again, _ = run(tmp_path / "again", mine, "mine", metrics=("diversity",))
    assert again.scores == fresh.scores


def test_a_run_of_a_suite_keeps_ten_files_at_most_and_its_strips(tmp_path: Path, registry: Registry) -> None:
    record, folder = run(tmp_path, registry, metrics=("all",), suite="demo")
    names = sorted(path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file())
    kept = [name for name in names if not name.startswith(".")]
    assert record.status == "done"
    assert len(kept) <= 10, kept
    assert "strips.webp" in record.files
    assert not (folder.path / "pictures" / "directions.png").exists()


def test_strips_are_drawn_again_with_another_calibration_and_kept_with_the_same(
    tmp_path: Path, registry: Registry
) -> None:
    record, folder = run(tmp_path, registry)
    strips = folder.path / "strips.webp"
    before = strips.read_bytes()
    strips.write_bytes(b"kept")
    folder.write(record)
    remeasure(folder, ["path"], registry, SILENT)
    assert strips.read_bytes() == b"kept"
    folder.write(replace(folder.read(), versions={**record.versions, "evaluation": 0}))
    remeasure(folder, ["path"], registry, SILENT)
    assert strips.read_bytes() == before
    assert (folder.path / "pictures" / "directions.png").exists()


def test_directions_that_were_carried_over_keep_their_history_through_an_interruption(
    tmp_path: Path, registry: Registry
) -> None:
    made = plan(request(tmp_path, threads=1), registry)  # a number that is tried out is told in the environment
    first, folder = execute(made, registry, SILENT)
    folder.forget_evaluation()
    history = {"migrated_from": "toy-old", "date": "2001-01-01", "environment": {"commit": "abc"}}
    bare = {"discovery": 1, "generator": 1, "method": 1, "domain": 1}
    folder.write(replace(first, versions=bare, scores={}, metric_params={}, **history))

    def interrupted(*_: Any) -> Scores:
        raise KeyboardInterrupt

    mine = with_metric(registry, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, mine, metrics=("cost", "diversity", "mine"))
    again, _ = execute(made, registry, SILENT)
    assert again.scores["diversity"] == first.scores["diversity"]
    assert {name: getattr(again, name) for name in history} == history
