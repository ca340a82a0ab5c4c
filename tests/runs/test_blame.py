"""What plugins do wrong is told in the contract's words, with plugin, file and line, and the right one is blamed."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from gdbench.context import SILENT
from gdbench.record import RunRecord
from gdbench.registry import Offer, Registry, load_registry
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest

HEAD = """
    import numpy as np
    import torch
    from gdbench import (Codes, Column, DomainSpec, GeneratorSpec, LinearDirections, MethodSpec, MetricSpec, Scores,
                         hookimpl, load_domain, load_generator, normal)
"""
METHOD = """
    def discover(generator, params, context):
        {body}

    @hookimpl
    def gdbench_methods():
        yield MethodSpec("wrong", "a method", discover)
"""
METRIC = """
    def measure(subject, params, context):
        {body}

    @hookimpl
    def gdbench_metrics():
        yield MetricSpec("wrong", "a metric", measure, (Column("a", ""),))
"""
GENERATOR = """
    class Wrong:
        def __init__(self, true):
            self.true = true

        def __getattr__(self, name):
            return getattr(self.true, name)

        {member}

    def load(path, params, device):
        {body}

    @hookimpl
    def gdbench_generators():
        yield GeneratorSpec("wrong", "a generator", load, domain="toy")
"""
DOMAIN = """
    class Wrong:
        name = "wrong"

        def __init__(self, true):
            self.true = true

        def __getattr__(self, name):
            return getattr(self.true, name)

        {member}

    def load(device):
        {body}

    @hookimpl
    def gdbench_domains():
        yield DomainSpec("wrong", "a domain", load, offers=("factors", "masks", "images"))
"""
WRAP_GENERATOR = 'return Wrong(load_generator("toy"))'
WRAP_DOMAIN = 'return Wrong(load_domain("toy"))'


def lines(text: str, indent: int = 8) -> str:
    return textwrap.indent(textwrap.dedent(text).strip(), " " * indent).strip()


def written(folder: Path, template: str, **parts: str) -> Path:
    path = folder / "stars.py"
    body = textwrap.dedent(HEAD + template).format(
        **{name: lines(part, 4 if name == "body" else 8) for name, part in parts.items()}
    )
    path.write_text(body)
    return path


def outcome(
    folder: Path, registry: Registry, gan: str = "toy", method: str = "random", metric: str = "cost"
) -> RunRecord:
    request = RunRequest(gan, method, k=4, tier="smoke", out=folder / "runs", metrics=(metric,))
    return execute(plan(request, registry), registry, SILENT)[0]


def place(path: Path, text: str) -> str:
    """``stars.py:12`` of the first line that holds ``text``."""
    number = next(i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line)
    return f"{path.name}:{number}"


@pytest.mark.parametrize(
    ("body", "complaint", "line"),
    [
        ("rows = torch.randn(4, 64)\nrows[2] = torch.nan\nreturn LinearDirections(rows, 'z')", "rows 2", "return Lin"),
        ("return LinearDirections(torch.eye(64)[:4, :63], 'z')", "63 components, the space 'z' has 64", "def discover"),
        ("return LinearDirections(np.eye(64)[:4], 'z')", "torch tensor (k, dim), got numpy.ndarray", "return Lin"),
        ("return None", "returned no Directions: what discover returned (NoneType) has no __len__", "def discover"),
        ("return torch.eye(64)[:4]", "(Tensor) has no space, displace, save", "def discover"),
        ("return LinearDirections(torch.eye(64)[:3], 'z')", "3 directions in 'z', asked for 4 in 'z'", "def discover"),
        ("generator.sample(4, 'z', context.stream('discover'))", "stream.at(step) gives one", "generator.sample"),
        ("normal(context.stream('discover'), 4)", "draw from stream.at(step).standard_normal", "normal(context"),
        ("generator.render(torch.zeros(4, 64))", "AttributeError", "generator.render"),
    ],
)
def test_a_method_is_told_what_is_wrong_with_it(tmp_path: Path, body: str, complaint: str, line: str) -> None:
    path = written(tmp_path, METHOD, body=body)
    record = outcome(tmp_path, load_registry([path]), method="wrong")
    assert record.status == "failed"
    assert complaint in record.reason
    assert f"method wrong, plugin 'stars' of {path}" in record.reason
    assert place(path, line) in record.reason


@pytest.mark.parametrize(
    ("body", "complaint", "line"),
    [
        ("return {'a': 1.0}", "measure must return Scores, got dict", "def measure"),
        ("return None", "measure must return Scores, got NoneType", "def measure"),
        ("return Scores({'a': 'high'})", "'a' is a str, expected a float or Void", "def measure"),
        ("return Scores({'a': np.ones(3)})", "'a' is a numpy.ndarray, expected a float or Void", "def measure"),
        ("return Scores({'a': 1.0}, {'a': [1.0]})", "'a' of directions has 1 entries for 4 directions", "def measure"),
        ("return Scores({'b': 1.0})", "returned columns ['b'], declared ['a']", "def measure"),
        ("subject.domain.images(4, context.stream('metric'))", "stream.at(step) gives one", "subject.domain"),
        ("return Scores({'a': 1 / 0})", "ZeroDivisionError: division by zero", "return Scores"),
    ],
)
def test_a_metric_is_told_what_is_wrong_with_it(tmp_path: Path, body: str, complaint: str, line: str) -> None:
    path = written(tmp_path, METRIC, body=body)
    record = outcome(tmp_path, load_registry([path]), metric="wrong")
    assert record.status == "failed"
    assert complaint in record.reason
    assert f"metric wrong, plugin 'stars' of {path}" in record.reason
    assert place(path, line) in record.reason


@pytest.mark.parametrize("value", ["torch.tensor(0.5)", "np.float32(0.5)", "1", "torch.tensor(0.5).numpy()"])
def test_numbers_of_any_library_are_scores(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, METRIC, body=f"return Scores({{'a': {value}}})")
    record = outcome(tmp_path, load_registry([path]), metric="wrong")
    assert record.status == "done", record.reason


@pytest.mark.parametrize(
    ("member", "body", "complaint", "line"),
    [
        ("", "return None", "the loaded generator (NoneType) has no spaces, image_shape", "def load"),
        ("", "return 1 / 0", "ZeroDivisionError: division by zero", "return 1 / 0"),
        (
            "def render(self, codes):\n    return self.true.render(codes).detach().numpy()",
            WRAP_GENERATOR,
            "render must give a tensor, got numpy.ndarray",
            "def render",
        ),
        (
            "def render(self, codes):\n    return self.true.render(codes)[:, :1]",
            WRAP_GENERATOR,
            "expected shape (16, 3, 32, 32), got (16, 1, 32, 32)",
            "def render",
        ),
        ("def render(self, codes):\n    return None", WRAP_GENERATOR, "must give a tensor, got NoneType", "def render"),
        (
            "def sample(self, n, space, rng):\n    return normal(rng, n, 64)",
            WRAP_GENERATOR,
            "sample must give Codes, got Tensor",
            "def sample",
        ),
        (
            "def sample(self, n, space, rng):\n    return Codes(normal(rng, n, 64) / 0 * 0, space)",
            WRAP_GENERATOR,
            "latents in 'z' hold NaN or infinite values",
            "def sample",
        ),
    ],
)
def test_a_generator_is_told_what_is_wrong_with_it(
    tmp_path: Path, member: str, body: str, complaint: str, line: str
) -> None:
    path = written(tmp_path, GENERATOR, member=member or "pass", body=body)
    record = outcome(tmp_path, load_registry([path]), gan="wrong")
    assert record.status == "failed"
    assert complaint.replace("16", "N") in re.sub(r"\b(8|16|128|512)\b", "N", record.reason)
    assert "method" not in record.reason
    assert place(path, line) in record.reason


def on_wrong_domain(path: Path) -> Registry:
    registry = load_registry([path])
    toy = registry.generator("toy")
    moved = Offer(replace(toy.spec, domain="wrong"), toy.provider)
    return replace(registry, generators={**registry.generators, "toy": moved})


@pytest.mark.parametrize(
    ("member", "body", "complaint", "line"),
    [
        ("", "return None", "the loaded domain (NoneType) has no name, distance", "def load"),
        ("def images(self, n, rng):\n    return 1 / 0", WRAP_DOMAIN, "ZeroDivisionError", "return 1 / 0"),
        (
            "def images(self, n, rng):\n    return None",
            WRAP_DOMAIN,
            "images must be a tensor, got NoneType",
            "def images",
        ),
        (
            "def images(self, n, rng):\n    return self.true.images(n, rng).numpy()",
            WRAP_DOMAIN,
            "images must be a tensor, got numpy.ndarray",
            "def images",
        ),
        (
            "def images(self, n, rng):\n    return self.true.images(n, rng)[0]",
            WRAP_DOMAIN,
            "images have shape (3, 32, 32), expected",
            "def images",
        ),
        ("def oracle(self, which):\n    return [][0]", WRAP_DOMAIN, "IndexError", "return [][0]"),
    ],
)
def test_an_error_inside_a_domain_is_the_domains(
    tmp_path: Path, member: str, body: str, complaint: str, line: str
) -> None:
    path = written(tmp_path, DOMAIN, member=member or "pass", body=body)
    record = outcome(tmp_path, on_wrong_domain(path), metric="naturalness")
    assert record.status == "failed"
    assert complaint in record.reason
    assert f"domain wrong, plugin 'stars' of {path}" in record.reason
    assert place(path, line) in record.reason


ORACLE = """
    def oracle(self, which):
        return Blind()


class Blind:
    channel_weights = None
    passed = {{}}

    def embed(self, images):
        return {embedded}

    def read(self, images):
        return {read}
"""


@pytest.mark.parametrize(
    ("embedded", "read", "complaint", "line"),
    [
        ("None", "{}", "embed: must give (maps, features), got NoneType", "def embed"),
        (
            "[images], images.mean((2, 3)).numpy()",
            "{}",
            "embed: features have type numpy.ndarray, expected",
            "def embed",
        ),
        ("[images], images.mean((2, 3))", "None", "read: must give a mapping of factors, got NoneType", "def read"),
        ("[images], images.mean((2, 3))", "{'x': 1.0}", "read: 'x' is float, expected a tensor", "def read"),
    ],
)
def test_what_an_oracle_returns_is_checked_where_the_core_asks(
    tmp_path: Path, embedded: str, read: str, complaint: str, line: str
) -> None:
    member = textwrap.dedent(ORACLE.format(embedded=embedded, read=read))
    source = textwrap.dedent(HEAD) + textwrap.dedent(DOMAIN).replace("    {member}\n", member).replace(
        "{body}", WRAP_DOMAIN
    )
    path = tmp_path / "stars.py"
    path.write_text(source)
    record = outcome(tmp_path, on_wrong_domain(path), metric="factors")
    assert record.status == "failed"
    assert complaint in record.reason
    assert place(path, line) in record.reason
