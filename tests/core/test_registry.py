"""The registry: what loads, what is refused, and that no plugin can disturb another or the program."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gdbench import Column, DomainSpec, GeneratorSpec, MetricSpec
from gdbench.cli import build_app
from gdbench.errors import PluginError, UsageError
from gdbench.record import Cell, RunRecord
from gdbench.registry import Provider, Registry, load_registry
from gdbench.testing import check_plugin, run_checks

LOADING = Path(__file__).parents[1] / "bad_plugins" / "loading"
METHOD = """
    from gdbench import MethodSpec, hookimpl

    @hookimpl
    def gdbench_methods():
        yield MethodSpec({name!r}, {summary!r}, print)
"""

Distribution = Callable[..., None]


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    """Installs a module with an entry point, by writing the metadata that an installer would write."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, source: str, version: str = "2.1", entry: str = "plugin", module: str = "") -> None:
        module = module or name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(f"[gdbench]\n{entry} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def reasons(registry: Registry, distribution: str) -> list[str]:
    return [fault.reason for fault in registry.broken if fault.distribution == distribution]


def test_an_offer_keeps_its_origin(distribution: Distribution) -> None:
    distribution("strangers-method", METHOD.format(name="spread", summary="theirs"), entry="spread")
    registry = load_registry()
    assert registry.method("spread").provider == Provider("spread", "strangers-method", "2.1")
    assert str(registry.method("spread").provider) == "plugin 'spread' of strangers-method 2.1"
    assert "strangers_method" in registry.packages
    assert {"gdbench", "gdbench_toy"} <= registry.packages
    assert registry.generator("toy").provider.distribution == "gdbench"


def test_names_are_in_alphabetical_order() -> None:
    registry = load_registry()
    assert list(registry.methods) == sorted(registry.methods)
    assert len(registry.methods) > 1


@pytest.mark.parametrize(
    "source",
    [
        "raise ImportError('no module named cupy')",
        "def broken(:",
        "raise SystemExit(3)",
        "import os; os.no_such_attribute",
        "class Odd(BaseException): pass\nraise Odd('strange')",
    ],
    ids=["ImportError", "SyntaxError", "SystemExit", "AttributeError", "BaseException"],
)
def test_a_plugin_that_cannot_be_imported_is_listed_and_hurts_nobody(distribution: Distribution, source: str) -> None:
    healthy = load_registry()
    distribution("broken-one", source)
    registry = load_registry()
    assert len(reasons(registry, "broken-one")) == 1
    (fault,) = [fault for fault in registry.broken if fault.distribution == "broken-one"]
    assert fault.version == "2.1"
    assert list(registry.methods) == list(healthy.methods)
    assert "broken_one" not in registry.packages


REFUSED = [
    ("import_error", "ModuleNotFoundError: No module named 'a_package_that_nobody_has' (import_error.py:3)"),
    ("system_exit", "SystemExit: 3 (system_exit.py:3)"),
    ("syntax_error", "SyntaxError: '(' was never closed (syntax_error.py:4)"),
    ("misspelt_hook", "unknown hook 'gdbench_method': did you mean 'gdbench_methods'?"),
    ("misspelt_hook", "(misspelt_hook.py:6)"),
    ("undecorated", "function 'gdbench_methods' is no hook: write @hookimpl above it"),
    ("undecorated", "(undecorated.py:4)"),
    ("wrong_argument", "gdbench_run_finished(record, folder)"),
    ("wrong_argument", "(wrong_argument.py:6)"),
    ("hook_raises", "ZeroDivisionError: no columns (hook_raises.py:8)"),
    ("not_a_spec", "gdbench_methods must yield MethodSpec, got str (not_a_spec.py:11)"),
    ("nothing", "TypeError: 'NoneType' object is not iterable (nothing.py:6)"),
    ("bad_name", "method name '../etc': use lower-case letters"),
    ("bad_name", "(bad_name.py:8)"),
    ("needs_a_misspelt", "metric 'flat' needs 'mappping', which no generator provides and no domain offers: "),
    ("needs_a_misspelt", "did you mean 'mapping'?"),
    ("needs_a_misspelt", "(needs_a_misspelt.py:6)"),
    ("shadows_a_built_in", "generator 'toy' is also offered by plugin 'toy' of gdbench"),
    ("shadows_a_built_in", "(shadows_a_built_in.py:6)"),
]


@pytest.mark.parametrize(("name", "reason"), REFUSED)
def test_a_bad_plugin_file_stops_at_once_with_reason_file_and_line(name: str, reason: str, tmp_path: Path) -> None:
    path = loadable(name, tmp_path)
    with pytest.raises(UsageError) as stopped:
        load_registry([path])
    assert str(stopped.value).startswith(f"--plugin {path}: ")
    assert reason in str(stopped.value)
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize("name", sorted({name for name, _ in REFUSED}))
@pytest.mark.parametrize("command", ["run --gan toy --method random", "list", "check-plugin random"])
def test_no_command_hides_a_broken_plugin_file(name: str, command: str, tmp_path: Path) -> None:
    path = loadable(name, tmp_path)
    done = CliRunner().invoke(build_app(load_registry()), [*command.split(), "--plugin", str(path)])
    assert isinstance(done.exception, UsageError), done.output
    assert f"{name}.py" in str(done.exception)
    assert done.stdout == ""


def loadable(name: str, folder: Path) -> Path:
    """A bad plugin file of this name; one that no tool could read is written here."""
    if name != "syntax_error":
        return LOADING / f"{name}.py"
    (folder / "syntax_error.py").write_text("import os\n\n\nprint(os.sep\n")
    return folder / "syntax_error.py"


def test_ctrl_c_while_plugins_load_is_no_fault_of_theirs(distribution: Distribution) -> None:
    distribution("slow-to-import", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_registry()


def test_one_wrong_spec_does_not_cost_the_others(distribution: Distribution) -> None:
    distribution("half-right", (LOADING / "not_a_spec.py").read_text())
    assert "spread" in load_registry().methods


def test_check_plugin_shows_a_broken_plugin_as_a_failure(distribution: Distribution) -> None:
    distribution("broken-one", (LOADING / "import_error.py").read_text(), entry="import_error")
    (result,) = check_plugin("import_error", load_registry())
    assert (result.clause, result.status) == ("P01", "failed")


CACHING = """
    from gdbench import GeneratorSpec, MethodSpec, hookimpl

    @hookimpl
    def gdbench_generators():
        yield GeneratorSpec("caching", "keeps its activations", print, provides=("activation-cache",))

    @hookimpl
    def gdbench_methods():
        yield MethodSpec("reader", "reads kept activations", print, needs=("activation-cache",))
"""


def test_a_plugin_may_declare_a_capability_of_its_own(distribution: Distribution) -> None:
    distribution("caching-lab", CACHING)
    registry = load_registry()
    assert reasons(registry, "caching-lab") == []
    assert registry.method("reader").spec.needs == ("activation-cache",)


def test_a_need_that_only_an_uninstalled_plugin_declares_is_told(distribution: Distribution) -> None:
    distribution("caching-lab", CACHING.replace('"activation-cache",)', '"activation-cash",)', 1))
    (reason,) = reasons(load_registry(), "caching-lab")
    assert "method 'reader' needs 'activation-cache'" in reason
    assert "did you mean 'activation-cash'" in reason


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: GeneratorSpec("g", "", print, provides=("feature",)), r"'feature': did you mean 'features'\?"),
        (lambda: DomainSpec("d", "", print, offers=("image",)), r"'image': did you mean 'images'\?"),
        (lambda: MetricSpec("m", "", print, (Column("a", ""),), tiers={"fast": {}}), "unknown tier"),
    ],
)
def test_a_declaration_that_nobody_would_ever_meet_is_refused(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        declare()


def test_what_a_plugin_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    load_registry([LOADING / "prints.py"])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "loading, please wait" in captured.err


def test_a_missing_plugin_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.py: no such file"):
        load_registry([tmp_path / "nowhere.py"])


def test_two_strangers_with_one_name_are_both_refused_and_both_named(distribution: Distribution) -> None:
    distribution("first-lab", METHOD.format(name="twin", summary="first"), entry="one")
    distribution("second-lab", METHOD.format(name="twin", summary="second"), version="0.3", entry="two")
    registry = load_registry()
    assert "twin" not in registry.methods
    for here, there in (("first-lab", "second-lab 0.3"), ("second-lab", "first-lab 2.1")):
        (reason,) = reasons(registry, here)
        assert "method 'twin' is also offered by" in reason
        assert there in reason
    with pytest.raises(UsageError, match=r"method 'twin' cannot be used: .*first-lab"):
        registry.method("twin")


def test_a_plugin_name_used_by_two_distributions_loses_neither(distribution: Distribution) -> None:
    distribution("first-lab", METHOD.format(name="one", summary="first"), entry="method")
    distribution("second-lab", METHOD.format(name="two", summary="second"), entry="method")
    assert {"one", "two"} <= set(load_registry().methods)


def test_a_built_in_cannot_be_shadowed(distribution: Distribution) -> None:
    distribution("bold", (LOADING / "shadows_a_built_in.py").read_text())
    registry = load_registry()
    assert registry.generator("toy").provider.distribution == "gdbench"
    (reason,) = reasons(registry, "bold")
    assert "also offered by plugin 'toy' of gdbench" in reason


def test_offers_are_tabled_once() -> None:
    registry = load_registry()
    offers = registry.offers()
    assert list(offers) == ["generator", "method", "metric", "domain", "engine"]
    assert offers["domain"]["toy"] is registry.domain("toy")


def test_unknown_names_come_with_the_nearest() -> None:
    registry = load_registry()
    with pytest.raises(UsageError, match=r"unknown generator 'tpy': did you mean 'toy'\?"):
        registry.generator("tpy")
    for find in (registry.method, registry.metric, registry.domain):
        with pytest.raises(UsageError, match="unknown"):
            find("no-such-thing")


def test_two_loads_share_nothing() -> None:
    path = LOADING / "same_name_one.py"
    assert "twin" in load_registry([path]).methods
    assert "twin" not in load_registry().methods


COMMANDS = """
    from gdbench import hookimpl

    @hookimpl
    def gdbench_commands(app):
        @app.command("hello")
        def hello() -> None:
            print("hello")
        {more}
"""


@pytest.mark.parametrize(
    ("more", "added"),
    [("", True), ("raise RuntimeError('half way')", False), ("app.command('run')(hello)", False)],
    ids=["fine", "raises", "shadows"],
)
def test_commands_are_added_whole_or_not_at_all(distribution: Distribution, more: str, added: bool) -> None:
    distribution("helpful", COMMANDS.format(more=more))
    app = typer.Typer()
    app.command("run")(print)
    broken = load_registry().commands(app)
    names = [command.name for command in app.registered_commands]
    assert ("hello" in names) == added
    assert names.count("run") == 1
    assert ["helpful" in str(fault) for fault in broken] == [True] * (not added)


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


def test_an_observer_that_raises_is_reported_and_the_next_one_still_hears(
    distribution: Distribution, tmp_path: Path
) -> None:
    source = """
        from gdbench import hookimpl

        @hookimpl
        def gdbench_run_finished(record, folder):
            {what}
    """
    distribution("bad-tracker", source.format(what="raise ConnectionError('tracker is down')"))
    distribution("good-tracker", source.format(what="(folder / 'seen').write_text(record.id)"))
    log = Log()
    record = RunRecord("run-1", Cell("toy", "none", "random", 0, 4, "z", "smoke"), "done")
    load_registry().run_finished(record, tmp_path, log)  # type: ignore[arg-type]
    assert (tmp_path / "seen").read_text() == "run-1"
    (line,) = log.lines
    assert "bad-tracker" in line
    assert "tracker is down" in line


def test_a_plugin_that_imports_torch_when_it_is_declared_is_told(distribution: Distribution) -> None:
    distribution("heavy-method", "import torch\n" + textwrap.dedent(METHOD.format(name="heavy", summary="slow list")))
    registry = load_registry()
    results = {result.clause: result for result in run_checks(registry.method("heavy"), registry)}
    assert results["P02"].status == "failed"
    assert "imports torch" in results["P02"].reason


def test_loading_imports_nothing_heavy() -> None:
    code = "import sys; from gdbench.registry import load_registry; load_registry(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "False"
