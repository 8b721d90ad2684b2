from collections.abc import Sequence
from typing import Annotated

import pytest
from pydantic import Field

from move37.cli import main
from move37.config import Config, load_config, make_config, parse_config
from move37.errors import UserError
from move37.origin import Origin
from move37.yaml_text import parse_yaml
from tests.toy_learner import ToyLearner, toy_config

TEXT = """
env: {id: tests.toys:Walk, n: 4}
agent: {kind: tests.toy_learner:ToyLearner, lr: 1e-3}
budget: {env_steps: 10_000_000}
"""


def write(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def complaint(tmp_path, text, overrides=()):
    """What is said about a config, without the file's name; it must be there on every line."""
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        load_config(path, overrides)
    lines = str(error.value).splitlines()
    assert all(str(path) in line or line.startswith("override ") for line in lines), lines
    return "\n".join(line.removeprefix(str(path)) for line in lines)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2.5e-4", 0.00025),
        ("1E+6", 1_000_000),
        ("2.5e6", 2_500_000),
        (".5e1", 5),
        ("-1e-3", -0.001),
        ("10_000_000", 10_000_000),
        ("1.0", 1.0),
        ("'1e3'", "1e3"),
        ("e3", "e3"),
        ("1e", "1e"),
    ],
)
def test_numbers_are_read_as_people_write_them(text, value):
    got = parse_yaml(f"x: {text}", "f")["x"]
    assert got == value
    assert type(got) is type(value)


def test_a_config_is_read_with_defaults_of_the_agent_filled_in(tmp_path):
    config = load_config(write(tmp_path, TEXT))
    assert config.env.id == "tests.toys:Walk"
    assert config.agent.options == {"lr": 0.001, "n_steps": 4, "layers": [3], "nan_at": None}
    assert config.budget.env_steps == 10_000_000
    assert config.reward == {"env": 1.0}
    assert (config.seed, config.seeds) == (0, [])


def test_to_yaml_reads_back_equal(tmp_path):
    for change in (
        {},
        {"seeds": [3, 5]},
        {"seed": 7, "reward": {"env": 1.0, "clip": {"weight": 2, "low": 0}}},
    ):
        config = make_config(toy_config(**change))
        assert load_config(write(tmp_path, config.to_yaml())) == config


def test_null_is_kept_where_the_default_is_something(tmp_path):
    config = make_config(
        toy_config(agent={"kind": "tests.toy_learner:ToyLearner", "n_steps": 2, "nan_at": 3})
    )
    again = load_config(write(tmp_path, config.to_yaml()), ["agent.nan_at=null"])
    assert again.agent.options["nan_at"] is None
    assert "nan_at: null" in again.to_yaml()


def test_overrides(tmp_path):
    path = write(tmp_path, TEXT + "seeds: [1, 2]\n")
    config = load_config(
        path, ["agent.lr=5e-2", "env.longest=9", "evaluate.every=2e3", "seed=4", "reward={env: 2}"]
    )
    assert config.agent.options["lr"] == 0.05
    assert config.env.options == {"longest": 9}
    assert config.evaluate.every == 2000
    assert (config.seed, config.seeds) == (4, [])
    assert config.reward == {"env": 2}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("agent.lrr=1", "agent.lrr: unknown key; did you mean 'agent.lr'?"),
        ("agnt.lr=1", "agnt: unknown key; did you mean 'agent'?"),
        ("agent.lr=fast", "agent.lr: must be a valid number, not 'fast'"),
        ("agent.lr=[1", "not YAML"),
        ("agent.lr", "reads like agent.lr=1e-3"),
        ("seed.x=1", "it has no keys"),
        ("agent.kind=pppo", "agent.kind: unknown agent 'pppo'; did you mean 'ppo'?"),
    ],
)
def test_a_wrong_override_is_named(tmp_path, override, said):
    text = complaint(tmp_path, TEXT + "seed: 1\n", [override])
    assert f"override '{override}'" in text
    assert said in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("evaluate: {evry: 5}", "evaluate.evry: unknown key; did you mean 'evaluate.every'?"),
        ("budgett: {env_steps: 5}", "budgett: unknown key; did you mean 'budget'?"),
        ("env_steps: 5", "env_steps: unknown key; did you mean 'budget.env_steps'?"),
        ("xyz: 5", "xyz: unknown key; the keys here are format, seed"),
        ("device: gpu", "device: must be auto, cpu, cuda or cuda:<index>"),
        ("seed: -1", "seed: must be greater than or equal to 0, not -1"),
        ("seed: '1'", "seed: must be a valid integer, not '1'"),
        ("seed: true", "seed: must be a valid integer, not True"),
        ("seeds: [1, 1]", "seeds: must be different from each other"),
        ("{seed: 1, seeds: [1, 2]}", "give either seed or seeds, not both"),
        ("evaluate: {episodes: 0}", "evaluate.episodes: must be greater than or equal to 1, not 0"),
        ("evaluate: 5", "evaluate: must be a mapping of keys, not 5"),
        ("sampler: {workers: 1.5}", "sampler.workers: must be a valid integer, not 1.5"),
        ("reward: {env: lots}", "reward.env: must be a valid number, not 'lots'"),
        ("checkpoint: {every_seconds: 0}", "checkpoint.every_seconds: must be greater than 0, not 0"),
        ("reward: {env: .nan}", "reward.env: must be a finite number, not nan"),
        ("threads: 99999", "threads: must be less than or equal to 256, not 99999"),
        ("cluster: {address: foo}", "cluster.address: must be none, auto or host:port"),
        ("format: 2", "format: must be 1, not 2"),
    ],
)
def test_what_does_not_fit_is_told_with_its_key(tmp_path, change, said):
    extra = change.strip("{}").replace(", seeds", "\nseeds") if change.startswith("{") else change
    assert complaint(tmp_path, TEXT + extra + "\n").startswith(f": {said}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("n: 4", "n: 0", "env.n: must be greater than or equal to 1, not 0"),
        (
            "env_steps: 10_000_000",
            "env_stepz: 5",
            "budget.env_stepz: unknown key; did you mean 'budget.env_steps'?",
        ),
        ("env_steps: 10_000_000", "target_success: 0.5", "budget.target_success is of an evaluation"),
        (
            "env_steps: 10_000_000",
            "",
            "budget: needs at least one of env_steps, tokens, seconds, target_return, target_success",
        ),
        ("budget: {env_steps: 10_000_000}", "", "budget: is missing"),
        (
            "lr: 1e-3",
            "learning_rate: 1",
            "agent.learning_rate: unknown key; the keys here are n_steps, lr, layers",
        ),
        ("lr: 1e-3", "n_step: 1", "agent.n_step: unknown key; did you mean 'agent.n_steps'?"),
        ("lr: 1e-3", "layers: [1, a]", "agent.layers.1: must be a valid integer, not 'a'"),
        ("lr: 1e-3", "lr: .inf", "agent.lr: must be a finite number, not inf"),
        ("lr: 1e-3", "lr: true", "agent.lr: must be a valid number, not True"),
        ("lr: 1e-3", "seed: 3", "agent.seed: unknown key; did you mean 'seed'?"),
        ("tests.toy_learner:ToyLearner", "tests.toy_learner:Nobody", "agent.kind: "),
        (
            "tests.toy_learner:ToyLearner",
            "tests.toys:Walk",
            "agent.kind: 'tests.toys:Walk' is no rollouts.agent",
        ),
        (
            "tests.toy_learner:ToyLearner",
            "rainbw",
            "agent.kind: unknown agent 'rainbw'; did you mean 'rainbow'?",
        ),
    ],
)
def test_what_is_wrong_within_a_section(tmp_path, old, new, said):
    assert f": {said}" in complaint(tmp_path, TEXT.replace(old, new))


def test_an_agent_s_own_bounds_are_held(tmp_path, monkeypatch):
    def init(self, observation_space, action_space, *, lr: Annotated[float, Field(gt=0)] = 0.1):
        pass

    monkeypatch.setattr(ToyLearner, "__init__", init)
    text = complaint(tmp_path, TEXT.replace("lr: 1e-3", "lr: -1"))
    assert text == ": agent.lr: must be greater than 0, not -1"


def test_one_option_of_several_types_has_one_line(tmp_path, monkeypatch):
    def init(self, observation_space, action_space, *, lr: float | Sequence[float] = 0.1):
        pass

    monkeypatch.setattr(ToyLearner, "__init__", init)
    text = complaint(tmp_path, TEXT.replace("lr: 1e-3", "lr: .nan"))
    assert text == ": agent.lr: must be a finite number, not nan"


def test_every_problem_has_its_line(tmp_path):
    text = complaint(tmp_path, TEXT.replace("n: 4", "n: 0") + "device: gpu\nseeed: 1\n")
    assert [line.split(": ")[1] for line in text.splitlines()] == ["device", "env.n", "seeed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: [1\nc: 2\n", ":3: not YAML: "),
        ("a: 1\n\tb: 2\n", ":2: not YAML: "),
        ("env: {id: x}\nenv: {id: y}\n", ":2: not YAML: the key 'env' is given twice"),
        ("budget: {env_steps: 1,\n env_steps: 2}\n", ":2: not YAML: the key 'env_steps' is given twice"),
        ("1: 2\n", ":1: not YAML: the key 1 is not a name"),
        ("[1, 2]\n", ": a config is a mapping of keys"),
        ("", ": a config is a mapping of keys"),
        ("a: !!python/object:os.system x\n", ":1: not YAML: could not determine a constructor"),
    ],
)
def test_what_is_no_config_is_told_in_one_line(tmp_path, text, said):
    got = complaint(tmp_path, text)
    assert got.startswith(said)
    assert "\n" not in got


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml: cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\x00\x80")
    with pytest.raises(UserError, match="not text"):
        load_config(tmp_path / "bytes.yaml")


def test_parse_config_imports_no_agent(tmp_path):
    config = parse_config(toy_config(agent={"kind": "no.such.module:Agent", "x": 1}), Origin("f"))
    assert config.agent.options == {"x": 1}
    with pytest.raises(UserError, match="no module named 'no'"):
        make_config(config.plain())


def test_rainbow_is_dqn_with_all_switches():
    pytest.importorskip("agents.dqn")
    plain = {"env": {"id": "CartPole-v1"}, "budget": {"env_steps": 1}}
    rainbow = make_config(plain | {"agent": {"kind": "rainbow", "n_step": 5}}).agent.options
    dqn = make_config(plain | {"agent": {"kind": "dqn"}}).agent.options
    switches = {"double", "dueling", "prioritised", "distributional", "noisy"}
    assert all(rainbow[k] is True for k in switches)
    assert rainbow["n_step"] == 5
    assert set(rainbow) == set(dqn)
    assert dqn["n_step"] == 1


def test_a_config_is_frozen():
    config = make_config(toy_config())
    assert isinstance(config, Config)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3


def test_a_seed_of_the_environment_is_the_run_s():
    said = r"^override 'env\.seed=3': env: has no seed of its own: it is a key at the top, as in seed=3$"
    with pytest.raises(UserError, match=said):
        make_config(toy_config(), ["env.seed=3"])


@pytest.mark.parametrize(
    ("command", "override", "said"),
    [
        (
            "sweep configs/sweeps/ppo_cartpole_asha.yaml",
            "over.agent.lr={log: [1e-4, 1e-2], stepp: 3}",
            "over",
        ),
        (
            "tournament configs/tournament/quick.yaml",
            "entrants.a={player: random, simulatons: 3}",
            "entrants.a",
        ),
        (
            "passk configs/passk/quick.yaml",
            "policies.x={player: random, explor: true}",
            "policies.x.explore'?",
        ),
        ("passk configs/passk/quick.yaml", "problems.x={count: 3, positons: a}", "problems.x.positions'?"),
        ("tournament configs/tournament/quick.yaml", "sampler.workers=2", "did you mean 'workers'?"),
        ("passk configs/passk/quick.yaml", "sampler.workers=3", "did you mean 'workers'?"),
    ],
)
def test_the_keys_of_other_configs_are_their_own(tmp_path, capsys, command, override, said):
    """What is wrong within a mapping by name is told too."""
    assert main([*command.split(), override, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown key" in line
    assert said in line
