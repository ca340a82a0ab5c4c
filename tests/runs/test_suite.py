"""Suites: the runs a file asks for, and one line with file and key for whatever is wrong in it."""

import pytest

from gdbench import UsageError
from gdbench.record import Cell
from gdbench.runs.suite import read_suite

GOOD = """
name: demo
tier: standard
k: 4
seeds: [0, 1]
metrics: [m1]
metric_params: {m1: {pairs: 10}}
generators:
  - g1
  - {gan: g2, checkpoint: small, space: w, params: {truncation: 0.7}}
methods:
  - random
  - {method: learned, params: {lr: 1e-4}, seeds: [7]}
"""


def suite(tmp_path, text):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    return read_suite(path)


def cell(gan, method, checkpoint="first", space="z", k=4, tier="standard", **more):
    return Cell(gan, checkpoint, method, seed=0, k=k, space=space, tier=tier, **more)


def test_cells_in_order(tmp_path):
    made = suite(tmp_path, GOOD)
    cells = [(request.gan, request.method, request.seed) for request in made.requests]
    assert cells == [(g, *cell) for g in ("g1", "g2") for cell in (("random", 0), ("random", 1), ("learned", 7))]
    last = made.requests[-1]
    assert (last.checkpoint, last.space, last.k, last.tier, last.suite) == ("small", "w", 4, "standard", "demo")
    assert last.method_params == {"lr": 1e-4}
    assert last.generator_params == {"truncation": 0.7}
    assert last.metrics == ("m1",)
    assert last.metric_params == {"m1": {"pairs": 10}}
    assert made.seeds(cell("g1", "random")) == {0, 1}
    assert made.seeds(cell("g1", "learned", method_params={"lr": 1e-4, "steps": 3})) == {7}


def test_seeds_are_asked_for_by_cell_not_by_method_alone(tmp_path):
    """A method with three seeds on one generator and one on another is complete on both, with 3 of 3 and 1 of 1."""
    made = suite(
        tmp_path,
        "name: a\nk: 4\n"
        "generators: [g1, {gan: g1, checkpoint: small}, {gan: g2, space: w, params: {psi: 0.7}}]\nmethods:\n"
        "  - {method: m, generators: [g1]}\n  - {method: m, generators: [g2], seeds: [0]}\n"
        "  - {method: m, generators: [g1], k: 8, seeds: [5]}\n  - {method: m, params: {form: unit}, seeds: [1, 2]}\n",
    )
    quick = {"tier": "quick"}
    assert made.seeds(cell("g1", "m", **quick)) == {0, 1, 2}
    assert made.seeds(cell("g1", "m", checkpoint="small", **quick)) == {0, 1, 2}
    assert made.seeds(cell("g1", "m", k=8, **quick)) == {5}
    assert made.seeds(cell("g2", "m", space="w", generator_params={"psi": 0.7}, **quick)) == {0}
    for other in ({"space": "z"}, {"tier": "standard"}, {"generator_params": {"psi": 1.0}}):
        assert (
            made.seeds(cell("g2", "m", **{"space": "w", "generator_params": {"psi": 0.7}, **quick, **other})) == set()
        )
    assert made.seeds(cell("g1", "m", method_params={"form": "unit"}, **quick)) == {1, 2}
    assert made.seeds(cell("g1", "m", method_params={"form": "ortho"}, **quick)) == {0, 1, 2}


def test_a_generator_stands_where_the_entry_is_that_names_most_of_it(tmp_path):
    made = suite(
        tmp_path,
        "name: s\nmethods: [m]\ngenerators: [{gan: b, checkpoint: x, space: w}, a, {gan: a, checkpoint: digits}, b]\n",
    )
    places = [("b", "x", "w"), ("a", "any", "z"), ("a", "digits", "z"), ("b", "x", "z"), ("c", "x", "z")]
    assert [made.place(*one) for one in places] == [0, 1, 2, 3, 4]


def test_what_a_suite_asks_for_on_a_board(tmp_path):
    made = suite(tmp_path, GOOD + "  - {method: other, generators: [g2], k: 8}\n")
    assert made.asked(cell("g1", "whatever")) == {"random": 2, "learned": 1}
    assert made.asked(cell("g2", "x", "small", "w", k=8, generator_params={"truncation": 0.7})) == {"other": 2}
    assert made.asked(cell("g2", "x", "large", "w", k=8, generator_params={"truncation": 0.7})) == {}


def test_three_seeds_and_k_32_are_the_default(tmp_path):
    made = suite(tmp_path, "name: a\ngenerators: [g]\nmethods: [m]\n")
    assert [(request.seed, request.k, request.tier) for request in made.requests] == [
        (n, 32, "quick") for n in range(3)
    ]


def test_a_method_may_have_its_own_k_metrics_and_generators(tmp_path):
    own = "{method: other, k: 8, metrics: [m2], generators: [g2]}"
    made = suite(tmp_path, GOOD + f"  - {own}\nacceptance: ../verdicts.json\n")
    last = [(r.gan, r.k, r.metrics) for r in made.requests if r.method == "other"]
    assert last == [("g2", 8, ("m2",))] * 2
    assert made.acceptance == tmp_path / "../verdicts.json"
    with pytest.raises(UsageError, match=r"methods\[2\]: generators: unknown generator 'g3': did you mean"):
        suite(tmp_path, GOOD + f"  - {own.replace('g2', 'g3')}\n")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("name: demo", "name: ../x"), "name: got '../x'"),
        (("name: demo", "nam: demo"), "unknown parameter 'nam': did you mean 'name'"),
        (("name: demo", "name: 3"), "name: got 3, expected a valid string"),
        (("name: demo", "name: demo\nname: demo"), "3:1: duplicate key"),
        (("k: 4", "k: 0"), r"generators\[0\] x methods\[0\]: k: got 0"),
        (("k: 4", "k: yes"), "k: got 'yes', expected a valid integer"),
        (("tier: standard", "tier: standrd"), "did you mean 'standard'"),
        (("seeds: [0, 1]", "seeds: [0, 0]"), r"seeds: got \[0, 0\]"),
        (("seeds: [0, 1]", "seeds: []"), r"seeds: got \[\]"),
        (("seeds: [0, 1]", "seeds: [0, a]"), r"seeds\[1\]: got 'a', expected a valid integer"),
        (("seeds: [7]", "seeds: [-1]"), r"methods\[1\]: seed: got -1"),
        (("gan: g2", "gn: g2"), r"generators\[1\]: unknown parameter 'gn': did you mean 'gan'"),
        (("- random", "- 3"), r"methods\[0\]: got 3, expected a mapping"),
        (("- random", "- {params: {}}"), r"methods\[0\]: method: a value is required"),
        (("params: {lr: 1e-4}", "params: [1]"), r"methods\[1\]: params: got \[1\]"),
        (("- g1", "- g1\n  - g1"), "g1 x random, seed 0, is asked for twice"),
        (("generators:", "generators: []\nx:"), "unknown parameter 'x'"),
    ],
)
def test_faults_name_file_and_key(tmp_path, change, line):
    with pytest.raises(UsageError, match=rf"suite\.yaml:.*{line}") as caught:
        suite(tmp_path, GOOD.replace(*change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "3", "[a]", "name: a\ngenerators: []\nmethods: [m]", "name: a\ngenerators: [g]"])
def test_no_suite_at_all(tmp_path, text):
    with pytest.raises(UsageError, match=r"suite\.yaml"):
        suite(tmp_path, text)


def test_a_method_may_be_restricted_to_one_checkpoint(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: mine\nseeds: [0]\ngenerators: [{gan: a, checkpoint: small}, {gan: a, checkpoint: large}, b]\n"
        "methods: [one, {method: two, k: 3, generators: [a/large, b]}]\n"
    )
    asked = [(one.gan, one.checkpoint, one.k) for one in read_suite(path).requests if one.method == "two"]
    assert asked == [("a", "large", 3), ("b", None, 3)]
    path.write_text(path.read_text().replace("a/large", "a/larger"))
    with pytest.raises(UsageError, match="a/larger"):
        read_suite(path)


def test_a_method_may_be_restricted_to_one_space(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: mine\nseeds: [0]\ngenerators: [{gan: a, checkpoint: b, space: w}, {gan: a, checkpoint: b, space: z}]\n"
        "methods: [{method: one, generators: [a/b/z]}, {method: two, generators: [a/b]}]\n"
    )
    asked = [(one.method, one.space) for one in read_suite(path).requests]
    assert sorted(asked) == [("one", "z"), ("two", "w"), ("two", "z")]


def test_what_cells_need_is_the_suites_and_then_the_methods(tmp_path):
    made = suite(
        tmp_path,
        "name: a\nseeds: [0, 1]\ngenerators: [g]\nresources: {cpus: 2, memory: 8GB, time: 30m}\n"
        "engines: {slurm: {bundle: 4}}\nmethods: [m, {method: n, resources: {gpus: 1, time: 1.5h}}]\n",
    )
    needs = [(one.cpus, one.gpus, one.bytes, one.seconds) for one in made.resources]
    assert needs == [(2, 0, 8 * 10**9, 1800.0)] * 2 + [(2, 1, 8 * 10**9, 5400.0)] * 2
    assert made.engines == {"slurm": {"bundle": 4}}


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ("{cpu: 2}", "resources: unknown parameter 'cpu': did you mean 'cpus'"),
        ("{cpus: 0}", "resources: cpus: got 0"),
        ("{time: 12:30}", "time: got '12:30', expected a time from 1 s, as 90s, 30m, 4h or 2d"),
        ("{memory: lots}", "memory: got 'lots', expected a size from 1MB, as 2GB"),
    ],
)
def test_what_cells_cannot_need_is_one_line(tmp_path, resources, said):
    with pytest.raises(UsageError) as caught:
        suite(tmp_path, f"name: a\ngenerators: [g]\nmethods: [m]\nresources: {resources}\n")
    assert said in str(caught.value)
