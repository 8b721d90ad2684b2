"""What the documents print works: examples and commands run, tables say what the code does, links lead on."""

import inspect
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

import envs
import move37
from agents.curiosity import Curiosity
from agents.dqn import DQN, EPSILON
from agents.imitation import Imitation
from agents.impala import IMPALA
from agents.ppo import PPO
from agents.rllib.learner import RLlib
from benchmarks import connect_four, learning, report, scaling
from envs.arcade.key_maze import KeyMaze
from envs.arcade.vector import Arcade
from envs.atari import Atari
from llm_rl.critic import CriticOptions
from llm_rl.grpo import GRPO
from llm_rl.lora import LoraOptions
from llm_rl.objectives import ClipOptions, Divergence
from llm_rl.policy import LanguagePolicy, ModelChoice
from llm_rl.solver import Solver
from move37.config import Config, load_config, make_config
from move37.evaluate import evaluate
from move37.logs import MetricsLog, read_samples
from move37.passk.config import PasskConfig, PolicyConfig, ProblemsConfig, load_passk
from move37.study import load_study
from move37.sweep.config import load_sweep
from move37.telling import passk_table, study_table, tournament_table
from move37.tournament.config import LadderConfig, SprtConfig, TournamentConfig, load_tournament
from move37.tournament.entrants import Entrant
from move37.yaml_text import parse_yaml
from rollouts.counts import Counts
from search.alphazero import AlphaZero
from search.gate import GateOptions
from search.mcts import SearchOptions
from search.planner import Fast, Resign, Temperature

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md")])
PACKAGES = ("agents", "envs", "llm_rl", "rollouts", "search", "move37")
REQUIRED = "required"
Table = list[dict[str, str]]


def page(name: str) -> str:
    return (DOCS / name).read_text()


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def rows(text: str, *columns: str) -> Table:
    """The rows of all tables whose first columns are these, by column."""
    found: Table = []
    header: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            header = []
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not header:
            header = cells
        elif tuple(header[: len(columns)]) == columns and not cells[0].startswith("-"):
            assert len(cells) == len(header), f"a row of {len(cells)} cells under {len(header)}: {line}"
            found.append(dict(zip(header, cells)))
    return found


def names(cell: str) -> list[str]:
    """What a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def defaults(table: Table, column: str) -> dict[str, object]:
    """The defaults that a table gives, read as a config would read them."""
    given: dict[str, object] = {}
    for row in table:
        (name,) = names(row[column])
        assert name not in given, f"{name} has two rows"
        given[name] = REQUIRED if row["default"] == REQUIRED else parse_yaml(*names(row["default"]), name)
    return given


def keys_of(section: type[BaseModel], prefix: str = "") -> dict[str, object]:
    """Every key of a config with its default."""
    found: dict[str, object] = {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= keys_of(field.annotation, f"{prefix}{name}.")
        else:
            default = REQUIRED if field.is_required() else field.get_default(call_default_factory=True)
            found[prefix + (field.alias or name)] = default
    return found


# -- tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "column", "kind", "instead"),
    [
        ("ppo.md", "option", PPO, {}),
        ("impala.md", "option", IMPALA, {}),
        ("rllib.md", "option", RLlib, {}),
        ("dqn.md", "option", DQN, {"epsilon": EPSILON}),
        ("alphazero.md", "option", AlphaZero, {}),
        ("arcade.md", "option", Arcade, {}),
        ("arcade.md", "KeyMaze", KeyMaze, {}),
        ("curiosity.md", "curiosity", Curiosity, {}),
        ("curiosity.md", "counts", Counts, {}),
        ("atari.md", "option", Atari, {}),
        ("grpo.md", "option", GRPO, {}),
        ("language.md", "imitation", Imitation, {}),
        ("language.md", "language", LanguagePolicy, {}),
        ("language.md", "solver", Solver, {}),
    ],
    ids=[
        "ppo",
        "impala",
        "rllib",
        "dqn",
        "alphazero",
        "arcade",
        "key_maze",
        "curiosity",
        "counts",
        "atari",
        "grpo",
        "imitation",
        "language",
        "solver",
    ],
)
def test_the_table_of_options_is_the_signature(name, column, kind, instead):
    """`instead`: what None stands for, where the page says that."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    own = {
        p.name: REQUIRED if p.default is p.empty else p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in ("seed", "device")
    }
    assert defaults(rows(page(name), column, "default"), column) == own | instead


@pytest.mark.parametrize(
    ("name", "column", "options"),
    [
        ("alphazero.md", "search", SearchOptions),
        ("alphazero.md", "temperature", Temperature),
        ("alphazero.md", "fast", Fast),
        ("alphazero.md", "resign", Resign),
        ("alphazero.md", "gate", GateOptions),
        ("grpo.md", "clip", ClipOptions),
        ("grpo.md", "kl", Divergence),
        ("grpo.md", "critic", CriticOptions),
        ("language.md", "model", ModelChoice),
        ("language.md", "lora", LoraOptions),
    ],
)
def test_the_tables_of_an_agents_parts_are_their_fields(name, column, options):
    own = {name: field.get_default() for name, field in options.model_fields.items()}
    assert defaults(rows(page(name), column, "default"), column) == own


def test_the_table_of_keys_is_the_config():
    assert defaults(rows(page("configs.md"), "key", "type", "default"), "key") == keys_of(Config)


def test_the_tables_of_tournaments_are_their_config():
    keys = rows(page("tournaments.md"), "tournament", "default")
    parts = {"ladder": LadderConfig, "sprt": SprtConfig}
    wanted = {k: v for k, v in keys_of(TournamentConfig).items() if k not in parts}
    for name, part in parts.items():
        wanted |= keys_of(part, f"{name}.")
    assert defaults(keys, "tournament") == wanted
    assert defaults(rows(page("tournaments.md"), "entrant", "default"), "entrant") == keys_of(Entrant)


def test_the_tables_of_passk_are_its_config():
    wanted = {"experiment": PasskConfig, "problems": ProblemsConfig, "policy": PolicyConfig}
    for column, kind in wanted.items():
        assert defaults(rows(page("passk.md"), column, "default"), column) == keys_of(kind)


def test_every_metric_has_a_row_and_every_row_a_metric(tmp_path):
    """Of two short runs, in which nothing but a notion of success is missing."""
    logged: dict[str, set[str]] = {}
    for kind, options in {
        "ppo": {"n_steps": 64},
        "dqn": {"learning_starts": 64, "replay_ratio": 1, "network": {"hidden": [8]}},
    }.items():
        config = {
            "env": {"id": "CartPole-v1", "n": 4},
            "agent": {"kind": kind, **options},
            "budget": {"env_steps": 512},
            "threads": 1,
            "evaluate": {"every": 256, "episodes": 2},
            "checkpoint": {"every": 256},
            "log": {"every": 0},
        }
        lines = move37.train(config, out=tmp_path / kind).metrics()
        logged[kind] = {name.replace("reward/env", "reward/<term>") for line in lines for name in line}
    told = {
        k: {m for r in rows(page(f"{k}.md"), "metric", "meaning") for m in names(r["metric"])} for k in logged
    }
    shared = {m for r in rows(page("configs.md"), "metric", "meaning") for m in names(r["metric"])}
    for kind in logged:
        assert told[kind] == logged[kind] - shared
    assert shared - {"eval/success"} == logged["ppo"] & logged["dqn"] - {"lr", "grad_norm"}


def test_every_metric_of_imitation_has_a_row(tmp_path):
    config = load_config(ROOT / "configs" / "train" / "sft_sorting.yaml").plain()
    changes = ["budget.env_steps=8", "env.n=8", "agent.episodes=8", "evaluate.episodes=8", "threads=1"]
    changes += ["env.level=[1, 2]"]
    (line,) = move37.train(config, changes, out=tmp_path / "run").metrics()
    text = page("language.md")
    told = {m for row in rows(text, "metric", "meaning") for m in names(row["metric"])}
    shared = {m for r in rows(page("configs.md"), "metric", "meaning") for m in names(r["metric"])}
    parts = {name for name in line if name.startswith("eval/") and name not in shared}
    assert parts >= {"eval/parsed", "eval/success/Sorting-1", "eval/success/Sorting-2"}
    assert "`eval/<part>`" in text
    assert told == line.keys() - shared - parts - {"reward/env"}


def token_count(rollout):
    """A reward that differs among tries of a model that knows nothing."""
    return rollout.fields["token_count"].astype(np.float32)


def test_every_metric_of_grpo_has_a_row(tmp_path):
    config = load_config(ROOT / "configs" / "train" / "grpo_sorting.yaml").plain()
    config["init"] = None
    changes = ["budget.env_steps=64", "env.n=64", "agent.problems=4", "evaluate.episodes=8", "threads=1"]
    changes += [
        "reward={'tests.test_docs:token_count': 1.0}",
        "agent.kl={coef: 0.01}",
        "agent.correction=2.0",
        "agent.precision=bf16",
    ]
    (line,) = move37.train(config, changes, out=tmp_path / "run").metrics()
    told = {m for r in rows(page("grpo.md"), "metric", "meaning") for m in names(r["metric"])}
    shared = {m for r in rows(page("configs.md"), "metric", "meaning") for m in names(r["metric"])}
    own = {name for name in line.keys() - shared if not name.startswith(("eval/", "reward/"))}
    assert {"ratio_max", "kl", "mismatch_kl", "zero_variance"} <= own
    assert own <= told


def test_the_samples_on_the_page_are_those_of_a_run(tmp_path):
    env = envs.make("text/Sorting-v0", 4)
    solver = Solver(env.single_observation_space, env.single_action_space)
    (sample, *_) = evaluate(solver, env, episodes=4)["samples"]
    log = MetricsLog(tmp_path, 0)
    log.write_samples([sample], 4, 1)
    log.close()
    (written,) = read_samples(tmp_path / "samples.jsonl")
    assert {k for r in rows(page("language.md"), "key", "what") for k in names(r["key"])} == written.keys()


def test_the_papers_that_language_models_name_have_rows():
    """Each `Name et al., year` (or `Name and Name`, or `Name`) is in a row with both."""
    found = [row for row in page("papers.md").splitlines() if row.startswith("| ")]
    cited = re.compile(
        r"\b([A-Z][a-z]+|MiniMax-M1|INTELLECT-2)(?:,? (?:et al\.|and [A-Z][a-z]+))?,? \(?((?:19|20)\d\d)\b"
    )
    files = [*(ROOT / "llm_rl").rglob("*.py"), *(ROOT / "envs" / "text").rglob("*.py")]
    for path in [*files, ROOT / "agents" / "imitation.py"]:
        for name, year in cited.findall(re.sub(r"\s+", " ", path.read_text())):
            assert any(name in row and year in row for row in found), f"{path.name}: {name}, {year}"


def test_the_messages_in_troubles_are_the_codes():
    def said(text: str) -> str:
        return re.sub(r'"\s+f?"', "", text)  # literals over several lines, as one

    advice = said((ROOT / "move37" / "advice.py").read_text())
    sources = advice + "".join(said(p.read_text()) for k in PACKAGES for p in (ROOT / k).rglob("*.py"))
    warnings, errors = rows(page("troubles.md"), "warning"), rows(page("troubles.md"), "message")
    assert len(warnings) == len(re.findall(r"^def _\w+\(history.*\) -> str:", advice, re.MULTILINE))
    for row in warnings:
        assert row["warning"].strip('"') in advice
    for row in errors:
        for fragment in re.findall(r'"(.*?)"', row["message"])[0].split("…"):
            assert fragment.strip() in sources, f"no code says '{fragment.strip()}'"


# -- examples --------------------------------------------------------------------------------------------


def run_blocks(text: str) -> dict:
    known: dict = {"__name__": "docs"}
    for block in blocks(text, "python"):
        exec(block, known)
    return known


def test_the_python_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = page("python.md")
    assert len(blocks(text, "python")) >= 6
    assert run_blocks(text)["rollout"].shape == (16, 64)
    assert "explained" not in capsys.readouterr().err


def test_the_arcade_page_runs():
    known = run_blocks(page("arcade.md"))
    gauge = known["obs"][0, 9, :, known["env"].channels.index("diver_gauge")]
    assert gauge.sum() == 6


def test_the_language_page_runs(capsys):
    text = page("language.md")
    known = run_blocks(text)
    assert known["rollout"].ended["success"].mean() == 1.0
    problem, answer = capsys.readouterr().out.splitlines()[0], known["rollout"].actions[0, 0]
    assert problem.startswith(known["rollout"].obs[0, 0])
    assert answer.endswith("</answer>")
    config, lora = blocks(text, "yaml")
    assert make_config(parse_yaml(config, "language.md")).agent.options["expert"] is None
    rest = {"env": {"id": "text/Addition-v0", "n": 8}, "budget": {"env_steps": 8}}
    ModelChoice(**make_config(rest | parse_yaml(lora, "language.md")).agent.options["model"])


def test_the_users_own_environment_is_trained_as_printed(tmp_path, monkeypatch):
    text = page("environments.md")
    first, source = blocks(text, "python")
    exec(first, {})
    (config,) = blocks(text, "yaml")
    (tmp_path / "catch.py").write_text(source)
    (tmp_path / "catch.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        commands = [shlex.split(line)[1:] for line in blocks(text, "sh")[-1].splitlines()]
        assert move37_main([*commands[0], "budget.env_steps=2_000"]) == 0
        assert move37_main([*commands[1], "--episodes", "5"]) == 0
        assert move37_main([a.replace("30_000", "3_000") for a in commands[2]]) == 0
    finally:
        sys.modules.pop("catch", None)
    run = move37.Run.load("runs/catch", trust=True)
    assert run.metrics()[-1]["env_steps"] >= 3_000
    assert run.make_env(2).can_save


def move37_main(arguments: list[str]) -> int:
    from move37.cli import main

    return main(arguments)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_printed_commands_are_commands(path):
    """Options and arguments are known; configs hold with the overrides that are printed beside them."""
    import typer

    from move37.cli import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for line in "".join(blocks(path.read_text(), "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["move37"] or words[1:2] == ["--help"]:
            continue
        context = commands[words[1]].make_context(words[1], words[2:])
        config = context.params.get("config") or ""
        reads = {
            "train": load_config,
            "tournament": load_tournament,
            "passk": load_passk,
            "sweep": load_sweep,
        }.get(words[1])
        if reads and str(config).startswith("configs/"):
            reads(ROOT / config, context.params.get("overrides") or context.params.get("more") or ())


# -- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_and_files_that_a_page_names_exist(path):
    text = path.read_text()
    links = [x for x in re.findall(r"\]\(([^)#]+)", text) if "://" not in x]
    folders = "|".join(("configs", "tests", "benchmarks", "docs", *PACKAGES))
    named = re.findall(rf"(?<![\w/])(?:{folders})/[\w./-]+\.(?:ya?ml|py|md|png|gif|jsonl?)(?!\w)", text)
    for link in links:
        assert (path.parent / link).exists(), f"{path.name} links to {link}"
    for name in named:
        assert (ROOT / name).exists(), f"{path.name} names {name}"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_symbols_that_a_page_names_are_in_their_files(path):
    for file, symbol in re.findall(r"`([\w/]+\.py):(\w+)`", path.read_text()):
        source = (ROOT / file).read_text()
        assert re.search(rf"^(def|class) {symbol}\b|^{symbol}\b.*=", source, re.MULTILINE), f"{file}:{symbol}"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_is_read_and_says_what_to_expect(path):
    read = {
        "studies": load_study,
        "passk": load_study,
        "tournament": load_tournament,
        "sweeps": load_sweep,
    }
    if "stages" not in path.read_text():
        read["passk"] = load_passk
    assert read.get(path.parent.name, load_config)(path)
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert path.read_text().startswith("#"), "a config opens with what it shows"
    assert any(re.search(r"\d", line) for line in head), "… how long it takes and the number to expect"


# -- figures ---------------------------------------------------------------------------------------------

LEARNED = learning.read()
"""A line a run: what `docs/results.md` and the heads of the configs tell."""


def test_the_tables_of_connect_four_are_what_was_measured():
    text = (ROOT / "docs" / "results.md").read_text()
    found = connect_four.tables(ROOT / "docs" / "results" / "connect_four")
    assert set(found) == {"scorecard", "curve", "matches", "ablation"}
    for name, table in found.items():
        assert table in text, f"the table '{name}' of docs/results.md is another one"


def test_the_table_of_results_is_what_was_measured():
    text = (ROOT / "docs" / "results.md").read_text()
    assert text.split("<!-- table -->")[1].split("<!-- /table -->")[0].strip() == learning.table(LEARNED)


def test_the_table_of_speeds_is_what_was_measured():
    told = (ROOT / "docs" / "results.md").read_text()
    for file in (ROOT / "docs" / "results" / "speed").glob("*.json"):
        assert "\n".join(map(str, report.read(file))) in told, file.name


def test_the_tables_of_scaling_are_what_was_measured():
    found = json.loads((ROOT / "docs" / "results" / "scaling.json").read_text())
    assert all(table in page("scaling.md") for table in "\n".join(scaling.tables(found)).split("\n\n"))


@pytest.mark.parametrize("file", sorted((ROOT / "docs" / "results" / "levels").glob("*.json")))
def test_the_levels_on_boards_are_what_was_measured(file):
    found = json.loads(file.read_text())
    low, high = found["interval"]
    (row,) = [line for line in page("results.md").splitlines() if f"| `{Path(found['run']).name}` |" in line]
    assert f"{found['score']:.2f} [{low:.2f}, {high:.2f}]" in row


def test_the_tables_of_studies_are_what_was_measured():
    told = page("results.md")
    files = sorted((ROOT / "docs" / "results" / "studies").glob("*.json"))
    assert files
    for file in files:
        assert "\n".join(study_table(json.loads(file.read_text()))) in told, file.name
        assert f"(img/study_{file.stem}.png)" in told
        assert (ROOT / "configs" / "studies" / f"{file.stem}.yaml").is_file()


def test_the_tables_of_passk_are_what_was_measured():
    told = page("results.md")
    files = sorted((ROOT / "docs" / "results" / "passk").glob("*.json"))
    assert files
    for file in files:
        for name, found in json.loads(file.read_text()).items():
            assert "\n".join(passk_table(found)) in told, f"{file.name}, {name}"
        assert (ROOT / "configs" / "passk" / f"{file.stem}.yaml").is_file()


def test_the_tables_of_tournaments_are_what_was_measured():
    told = page("results.md")
    files = sorted((ROOT / "docs" / "results" / "tournaments").glob("*.json"))
    assert files
    for file in files:
        found = json.loads(file.read_text())
        assert "\n".join(tournament_table(found)) in told, file.name
        assert f"{found['games']:,} games, {found['distinct']:,} of them different" in told, file.name
        assert (ROOT / "configs" / "tournament" / f"{file.stem}.yaml").is_file()


def test_the_readme_tells_the_means_that_were_measured():
    told = re.findall(
        r"train configs/train/(\w+)\.yaml` \|.*\| (-?[\d.]+) \|", (ROOT / "README.md").read_text()
    )
    assert len(told) >= 10
    for name, mean in told:
        assert mean == f"{np.mean([x['mean_return'] for x in LEARNED if x['config'] == name]):.1f}", name


@pytest.mark.parametrize("name", sorted({line["config"] for line in LEARNED}))
def test_a_config_promises_what_was_measured(name):
    """The mean over the seeds is in its head, and was measured at its own budget."""
    path = ROOT / "configs" / "train" / f"{name}.yaml"
    steps = load_config(path).budget.env_steps
    mine = [x for x in LEARNED if x["config"] == name and 0 <= x["env_steps"] - steps < 50_000]
    head = " ".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert f"{np.mean([x['mean_return'] for x in mine]):.1f}" in head
