"""Rules of the repository: the tree in the README, a light import, versions that fit, short files."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

import heedful

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
IGNORED = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line and line[0] != "#"]


def _files(folder: Path = ROOT):
    """Every file of the project: what .gitignore names is not looked at."""
    for path in sorted(folder.iterdir()):
        if path.name == ".git" or any(fnmatch(path.name, pattern) for pattern in IGNORED):
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


FILES = list(_files())
SOURCES = [path for path in FILES if path.suffix == ".py" and ROOT / "src" in path.parents]
each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())


def module_name(path: Path) -> str:
    """The dotted name under which a file of src is imported."""
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def test_the_readme_tree_is_the_disk():
    named, parents = [], []
    for line in blocks("text")[0].splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        folder, _, meaning = line.strip().partition("  ")
        assert folder.endswith("/"), f"the tree has one line per folder, not {line!r}"
        assert folder == "src/" or meaning.strip(), f"{folder} says nothing about itself"
        parents[depth:] = [folder.rstrip("/")]
        named.append("/".join(parents))
    folders = {parent for path in FILES for parent in path.relative_to(ROOT).parents}
    # pictures in docs need no line of their own
    real = {folder.as_posix() for folder in folders if folder.parts[:1] != ("docs",)} - {"."} | {"docs"}
    assert sorted(named) == sorted(real)


def test_every_link_of_the_readme_leads_somewhere():
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (ROOT / target).exists(), f"a link leads to {target}, which does not exist"


def test_every_benchmark_has_its_question_and_its_results():
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for script in (ROOT / "benchmarks").glob("*.py"):
        if "from record import append" in script.read_text(encoding="utf-8"):
            assert f"| `{script.name}` |" in page, f"{script.name} has no row in benchmarks/README.md"
            assert (script.parent / "results" / f"{script.stem}.csv").exists(), f"{script.name} left no result"


def test_the_first_two_commands_install_and_run():
    install_and_run, install_and_test = blocks("bash")[:2]
    assert install_and_run.startswith("pip install -c constraints.txt")
    assert install_and_run.rstrip().endswith("heedful demo")
    assert install_and_test.startswith('pip install -c constraints.txt ".[test]"')
    assert install_and_test.rstrip().endswith("pytest -n auto --dist worksteal")


def _packages_loaded_by(statement: str, after: str) -> set[str]:
    """Packages outside the standard library that one statement loads in a fresh interpreter."""
    code = f"""
import sys
packages = lambda: {{name.partition(".")[0] for name in sys.modules}}
{after}
before = packages()
{statement}
print(*packages() - before)"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return set(loaded) - sys.stdlib_module_names


def test_importing_heedful_loads_nothing_else():
    assert _packages_loaded_by("import heedful", after="pass") == {"heedful"}


def test_an_attention_layer_loads_little_more_than_torch():
    loaded = _packages_loaded_by("from heedful import BahdanauAttention", after="import torch")
    assert loaded <= {"heedful", "jaxtyping", "wadler_lindig"}


def test_the_public_names_are_these():
    assert heedful.__all__ == [
        "AttBlstmPooling",
        "Attention",
        "AttentionOutput",
        "AttentionPooling",
        "AttentiveStatisticsPooling",
        "AverageAttention",
        "BahdanauAttention",
        "BidirectionalAttentionFlow",
        "ChannelStatisticsPooling",
        "ChorowskiAttention",
        "CoAttention",
        "CopyDistribution",
        "CopyGate",
        "CopyNet",
        "CoverageAttention",
        "DeltaRuleAttention",
        "DifferentialAttention",
        "DistanceAttention",
        "DynamicConvolution",
        "DynamicConvolutionAttention",
        "FeatureAttention",
        "FeatureTemporalAttention",
        "FlatMultiSourceAttention",
        "ForwardAttention",
        "ForwardTransitionAttention",
        "FusedContexts",
        "GatedAttention",
        "GatedPooling",
        "GaussianMixtureAttention",
        "HeedfulError",
        "HierarchicalAttention",
        "InducedAttention",
        "IntraDecoderAttention",
        "IntraTemporalAttention",
        "KeyValueAttention",
        "LastPooling",
        "LastStateAttention",
        "LatentAttention",
        "LearnedQueryPooling",
        "LightConvolution",
        "LinearAttention",
        "LinformerAttention",
        "LinguisticCoverageAttention",
        "LuongAttention",
        "LuongLocalAttention",
        "MaxPooling",
        "MeanPooling",
        "Memory",
        "MilkAttention",
        "MochaAttention",
        "MonotonicAttention",
        "MultiHeadAttention",
        "MultiSourceAttention",
        "NeuralCoverageAttention",
        "NormedBahdanauAttention",
        "NystromAttention",
        "ParallelCoAttention",
        "PerformerAttention",
        "PointerAttention",
        "PointerGenerator",
        "RetentionAttention",
        "ScaledLuongAttention",
        "SeedPooling",
        "SelfAttention",
        "SineAttention",
        "SlidingAttention",
        "StepwiseAttention",
        "StructuredSelfAttention",
        "TacotronAttention",
        "TalkingHeadsAttention",
        "TransformerXLAttention",
        "TwoLevelAttention",
        "VisualAttention",
        "catalogue",
        "functional",
        "padding_mask",
    ]


def test_every_mechanism_of_the_catalogue_is_a_public_name():
    mechanisms = {entry.name for entry in heedful.catalogue() if entry.kind == "mechanism"}
    assert {"BahdanauAttention", "NormedBahdanauAttention"} <= mechanisms <= set(heedful.__all__)


@pytest.mark.parametrize("name", heedful.__all__)
def test_a_public_name_is_there_and_has_a_docstring(name):
    assert getattr(heedful, name).__doc__
    assert name in dir(heedful)


def test_the_type_checker_sees_the_public_names():
    tree = ast.parse(Path(str(heedful.__file__)).read_text(encoding="utf-8"))
    guarded = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for node in ast.walk(guarded[0]) if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert seen == {name: module or "heedful" for name, module in heedful._PUBLIC.items()}


def test_an_unknown_name_is_refused_with_what_is_offered():
    with pytest.raises(AttributeError, match="no attribute 'attend'; it offers AttBlstmPooling, Attention"):
        _ = heedful.attend


def test_the_version_is_that_of_the_distribution():
    assert heedful.__version__ == version("heedful")


def test_tested_versions_lie_in_the_open_ranges():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    tested = {re.sub("[-_.]+", "-", r.name).lower(): r for r in map(Requirement, filter(_is_requirement, lines))}
    assert str(tested["torch"].specifier) == "==2.13.0"
    project = PYPROJECT["project"]
    for wanted in map(Requirement, chain(project["dependencies"], *project["optional-dependencies"].values())):
        assert wanted.name in tested, f"constraints.txt names no tested version of {wanted.name}"
        (pin,) = tested[wanted.name].specifier
        assert pin.operator == "=="
        assert pin.version in wanted.specifier, f"{tested[wanted.name]} is outside {wanted}"


def _is_requirement(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def test_the_shape_checker_watches_every_floor_but_the_compiled_one_and_that_of_keras():
    (option,) = (o for o in PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"] if o.startswith("--jaxtyping"))
    watched = option.partition("=")[2].split(",")[:-1]
    layers = {f"heedful.{path.parent.name}" for path in SOURCES if path.match("src/heedful/*/__init__.py")}
    assert set(watched) == layers - {"heedful.kernels", "heedful.keras"}


def test_no_file_is_larger_than_a_mebibyte():
    assert not [path for path in FILES if path.stat().st_size > 2**20]


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of one machine", r"(?<![\w.])/(?:work|home|root|Users|opt|mnt)/\w"),
        ("the number of a ticket", r"\b[Ii]ssue #?\d|\bPR #?\d"),
        ("an open end", r"\b(?:TO[D]O|FIX[M]E|X[X]X|H[A]CK)\b"),
        ("annotations that are no longer types at run time", r"^from __future__ import anno[t]ations"),
    ],
)
def test_no_file_holds(what, pattern):
    for path in FILES:
        content = path.read_bytes()
        if b"\0" not in content:  # else it is no text
            found = re.search(pattern, content.decode("utf-8", "replace"), flags=re.MULTILINE)
            assert not found, f"{path.relative_to(ROOT)} holds {what}: {found and found.group()!r}"


APART = {"triton": "needs triton, which comes with torch on CUDA", "keras": "needs keras: see tests/keras/conftest.py"}
APART |= dict.fromkeys(("fastapi", "prometheus_client", "starlette", "uvicorn"), "needs the extra serve")


def load(path: Path) -> ModuleType:
    """The module in a file; the test skips where it needs what is installed apart."""
    try:
        return importlib.import_module(module_name(path))
    except ModuleNotFoundError as error:
        if error.name not in APART:
            raise
        pytest.skip(APART[error.name])


def _undocumented(module: ModuleType):
    """Public things defined in a module without a docstring; a method may have it from the contract it fills in."""
    for name, thing in vars(module).items():
        defined_here = (getattr(thing, "__module__", ""), getattr(thing, "__name__", "")) == (module.__name__, name)
        if name.startswith("_") or not defined_here:
            continue
        if not thing.__doc__:
            yield name
        members = vars(thing).items() if inspect.isclass(thing) else ()
        for method in (name for name, value in members if inspect.isfunction(value) and not name.startswith("_")):
            if not any(getattr(vars(base).get(method), "__doc__", None) for base in thing.__mro__):
                yield f"{name}.{method}"


@each_source
def test_what_is_public_is_documented_here_or_in_its_contract(path):
    module = load(path)
    assert module.__doc__, "the file does not say what it is"
    assert not list(_undocumented(module))


@each_source
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"
            arguments = len(node.args.args) + len(node.args.kwonlyargs)
            assert node.name != "__init__" or arguments <= 9, (
                f"line {node.lineno}: more than eight constructor arguments"
            )
