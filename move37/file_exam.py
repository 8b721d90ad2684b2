"""A language model on the problems of a file: each of them once, in the file's order.

What it writes is judged as an environment of `text/Problems-v0` would. Multiple choice is not written but
scored: by the likelihood of each option, unless the answer is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.options import OptionError
from envs.text.deal import Entry
from envs.text.episode import Episode, Turn
from envs.text.files.answers import given
from envs.text.files.formats import is_contest
from envs.text.files.kinds import AUTO, ChoiceProblems, MathProblems, open_problems
from envs.text.files.problems import Problems
from envs.text.files.programs import open_programs
from envs.text.files.reading import read_rows
from envs.text.guard import Fault
from envs.text.spaces import TextSpace
from envs.text.task import Question
from envs.text.verifiers import Verifiers
from llm_rl.folder import SETTINGS, options_of
from llm_rl.likelihood import MICRO_TOKENS, micro_batches
from llm_rl.packing import pack, padded
from llm_rl.policy import LanguagePolicy
from llm_rl.tokenizer import read_json
from move37.build import WRONG, pick_device, set_threads
from move37.errors import RunError, UserError, in_one_line
from move37.evaluate import SEED, SLOTS, share
from move37.run import CONFIG, Run
from move37.samples import COUNT, as_sample
from move37.stats import bootstrap_interval, mean
from rollouts.problems import seeds_from

NAME = "Problems"
LIKELIHOOD = "likelihood"
"""The way in which options are scored instead of written."""
PROGRAMS = "programs"
"""The format of `envs.text.files.programs`, which is a family of its own."""
MAX_NEW = 512
"""Tokens of an answer at most, of a model without a run that says it, or half of its context."""
SCORES = ("accuracy", "per_token", "per_byte")
"""Of options: by the log-likelihood of all of it, and by that over the number of its tokens or its bytes."""
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Written:
    """What came of one try at a problem."""

    text: str
    cut: bool = False
    """It was stopped by a limit, and not by itself."""
    fits: bool = True
    """The problem left room in the model's context; else nothing was said."""


@dataclass(frozen=True)
class Paper:
    """The problems of a file, as options ask for them."""

    path: str
    answer: str | None = None
    """How answers are given; None: by tags, and options are scored by likelihood."""
    rest: Mapping[str, Any] = field(default_factory=dict)
    """Other options of `envs.text.files.kinds.open_problems`; the format may be `PROGRAMS` as well."""

    @property
    def options(self) -> dict[str, Any]:
        """Of the family."""
        answer = {} if self.answer in (None, LIKELIHOOD) else {"answer": self.answer}
        return {"path": self.path, **self.rest, **answer}

    def open(self) -> Problems:
        """The family (`UserError` for options that do not fit, and what is wrong with the file)."""
        try:
            task = self._open()
        except OptionError as error:
            option = "tasks" if error.option == "path" else error.option
            raise UserError(f"--{option}: {error}") from None
        if self.answer == LIKELIHOOD and not isinstance(task, ChoiceProblems):
            raise UserError(f"--answer: {LIKELIHOOD} is of multiple choice, which {task.file} is not")
        return task

    def _open(self) -> Problems:
        format, rest = self.rest.get("format", AUTO), {k: v for k, v in self.options.items() if k != "format"}
        if format == PROGRAMS or (format == AUTO and is_contest(read_rows(self.path)[0])):
            return open_programs(**rest)
        return open_problems(**rest, format=format)


def examine(
    run: Path,
    paper: Paper,
    *,
    checkpoint: str = "last",
    tries: int = 1,
    explore: bool | None = None,
    seed: int | None = None,
    max_new: int | None = None,
    trust: bool = False,
    report: Report = lambda done, of: None,
) -> dict[str, Any]:
    """How many problems of a file a model solves, with 95 % intervals, as plain data.

    `run` is a run folder, or one with a model in the Hugging Face layout. An answer is the likeliest one, or
    with several `tries` drawn as in training, unless `explore` says else; `accuracy` is then the mean of
    tries. Problems that leave no room to answer are `too_long`, and count as not solved. Raises `UserError`
    for what does not fit.
    """
    task = paper.open()
    if isinstance(task, MathProblems):
        require_readable(task, paper.options)
    agent = open_policy(run, checkpoint, max_new, trust)
    try:
        agent.tokenizer.require(task.alphabet, task.file)
    except ValueError as error:
        raise UserError(f"{run}: {error}") from None
    told = {"tasks": paper.path, "problems": len(task.asked), "shots": len(task.examples)}
    if isinstance(task, ChoiceProblems) and paper.answer in (None, LIKELIHOOD):
        return told | {"by": LIKELIHOOD} | by_likelihood(agent, task, report)
    explore = tries > 1 if explore is None else explore
    told |= {"by": task.way, "tries": tries, "explore": explore}
    agent.sampling = agent.sampling.model_copy(update={"stop": tuple(task.stops)})
    prompts = [task.question(i).prompt for i in range(len(task.asked))]
    written = write_all(agent, prompts, tries, explore, SEED if seed is None else seed, report)
    return told | judged(task, paper.options, written, tries)


# -- who is examined ---------------------------------------------------------------------------------------


def is_model_folder(path: Path) -> bool:
    """Whether a folder has a model in the Hugging Face layout, and no run."""
    return (path / SETTINGS).is_file() and not (path / CONFIG).is_file()


def open_policy(
    path: Path, checkpoint: str = "last", max_new: int | None = None, trust: bool = False
) -> LanguagePolicy:
    """The language model of a run, or of a folder in the Hugging Face layout (else `UserError`)."""
    if is_model_folder(path):
        return _of_folder(path, max_new)
    run = Run.load(path, trust=trust, device="auto")
    set_threads(run.config.threads)
    agent = run.agent_at(checkpoint)
    if not isinstance(agent, LanguagePolicy):
        raise UserError(f"{path}: its agent is no language model, but {type(agent).__name__}")
    if max_new is not None:
        agent.sampling = agent.sampling.model_copy(update={"max_new": max_new})
    return agent


def _of_folder(path: Path, max_new: int | None) -> LanguagePolicy:
    space = TextSpace(NAME, {}, "")  # of no problems: whether they fit is looked at one by one
    try:
        context = options_of(read_json(path / SETTINGS), path / SETTINGS).context
        most = max_new or min(MAX_NEW, context // 2)
        made: Any = {"device": pick_device("auto"), "model": {"folder": str(path)}, "max_new": most}
        return LanguagePolicy(space, space, **made)
    except WRONG as error:
        raise UserError(f"{path}: {in_one_line(error)}") from error


# -- what is written ---------------------------------------------------------------------------------------


def write_all(
    agent: LanguagePolicy, prompts: Sequence[str], tries: int, explore: bool, seed: int, report: Report
) -> list[list[Written]]:
    """The tries at each prompt. What is drawn depends on `seed` and a try's own place only."""
    n = len(prompts) * tries
    rng = seeds_from([seed], n).astype(np.uint64)
    room = agent.network.options.context
    tokens = agent.tokenizer.encode_batch(prompts)
    begin = int(agent.tokenizer.bos is not None)
    fits = np.repeat([len(row) + begin < room for row in tokens], tries)
    out = [Written("", fits=False)] * n
    rows = np.flatnonzero(fits)
    for start in range(0, len(rows), SLOTS):
        report(start, len(rows))
        part = rows[start : start + SLOTS]
        asked = tuple(prompts[i // tries] for i in part)
        said = agent.act(asked, rng=rng[part], first=np.ones(len(part), bool), explore=explore)
        for i, text, cut in zip(part, said.actions, said.fields["cut"]):
            out[i] = Written(text, bool(cut))
    report(len(rows), len(rows))
    return [out[i : i + tries] for i in range(0, n, tries)]


def judged(
    task: Problems, options: Mapping[str, Any], written: Sequence[Sequence[Written]], tries: int
) -> dict[str, Any]:
    """What the verdicts on all tries come to (`RunError` where nothing can be judged)."""
    calls = [(one.text, task.question(i)) for i, tried in enumerate(written) for one in tried]
    found = verdicts(task, options, calls)
    faults = [value for value in found if isinstance(value, Fault)]
    valid = np.array([not isinstance(value, Fault) for value in found]).reshape(-1, tries)
    right = np.array([getattr(value, "success", False) for value in found]).reshape(-1, tries)
    parsed = np.array([getattr(value, "parsed", False) for value in found]).reshape(-1, tries)
    everything = [one for tried in written for one in tried]
    told = accuracy(right, valid)
    told |= {
        "parsed": float(parsed[valid].mean()) if valid.any() else np.nan,
        "truncated": float(np.mean([one.cut for one in everything])),
        "invalid": float((~valid).mean()),
        "too_long": sum(not tried[0].fits for tried in written),
        "faults": list(dict.fromkeys(fault.error for fault in faults))[:3],
    }
    told |= {name: accuracies(which, right, valid) for name, which in groups(task)}
    samples = [_sample(task, *call, value) for call, value in zip(calls[::tries][:COUNT], found[::tries])]
    return told | {"samples": samples}


def verdicts(task: Problems, options: Mapping[str, Any], calls: Sequence[tuple[str, Question]]) -> list[Any]:
    """A `Verdict` or a `Fault` each (`RunError` where nothing can be judged)."""
    try:
        with closing(Verifiers({NAME: (task, options)})) as verifiers:
            return verifiers.call(NAME, "verify", calls)
    except (RuntimeError, OptionError) as error:  # of the guard, and of the sandbox
        raise RunError(f"answers cannot be judged: {in_one_line(error)}") from error


def require_readable(task: MathProblems, options: Mapping[str, Any]) -> None:
    """Have each right answer read once, before anything is asked (`UserError`: the first that cannot be)."""
    places = {problem.answer: i for i, problem in reversed([*enumerate(task.asked)])}
    any_answer = given("1", "", task.way)  # that can be read, so the right one is read as well
    found = verdicts(task, options, [(any_answer, task.question(i)) for i in places.values()])
    bad = [(i, value.error) for i, value in zip(places.values(), found) if isinstance(value, Fault)]
    if bad:
        problem, error = task.asked[min(bad)[0]], min(bad)[1]
        why = "" if problem.row.place in error else f": {error}"
        said = f"math-verify cannot read the answer {problem.answer!r:.80}{why}"
        raise UserError(f"--tasks: {problem.row.place}: {said}")


def _sample(task: Problems, text: str, question: Any, value: Any) -> dict[str, Any]:
    """The first try at a problem, in words."""
    episode = Episode(Entry(NAME, task, question.level, {}), question, question.prompt, said=[text])
    if not isinstance(value, Fault):
        episode.turns.append(Turn("", True, verdict=value))
        return as_sample(episode)
    return as_sample(episode) | {"error": value.error}


# -- what is scored ----------------------------------------------------------------------------------------


def by_likelihood(agent: LanguagePolicy, task: ChoiceProblems, report: Report) -> dict[str, Any]:
    """How often the likeliest option is the right one, by each of `SCORES`."""
    asked = [task.alternatives(i) for i in range(len(task.asked))]
    pairs = [pair for alternatives, _ in asked for pair in alternatives]
    ends = np.cumsum([0, *(len(alternatives) for alternatives, _ in asked)])
    owner = np.repeat(np.arange(len(asked)), np.diff(ends))
    totals, tokens, fits = log_likelihoods(agent, pairs, owner, report)
    size = np.array([len(rest.strip().encode()) for _, rest in pairs])
    scores = dict(zip(SCORES, (totals, totals / np.maximum(tokens, 1), totals / size)))
    whole = np.array([fits[a:b].all() for a, b in pairwise(ends)])
    told: dict[str, Any] = {"too_long": int((~whole).sum())}
    told["chance"] = float(np.mean([1 / len(alternatives) for alternatives, _ in asked]))
    valid = np.ones((len(asked), 1), bool)
    for name, score in scores.items():
        best = np.array([int(np.argmax(score[a:b])) for a, b in pairwise(ends)])
        right = ((best == [place for _, place in asked]) & whole)[:, None]
        found = accuracy(right, valid)
        if name == "accuracy":
            told |= found | {group: accuracies(which, right, valid) for group, which in groups(task)}
        else:
            told[name] = found
    return told


@torch.inference_mode()
def log_likelihoods(
    agent: LanguagePolicy, pairs: Sequence[tuple[str, str]], owner: np.ndarray, report: Report
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each (context, continuation): the log-probability of the continuation, its tokens, whether it fits.

    Both are read as one text; the continuation begins with the first token in which that differs from the
    context alone. What options of one `owner` begin with is read once.
    """
    begin = [] if agent.tokenizer.bos is None else [agent.tokenizer.bos]
    alone = agent.tokenizer.encode_batch([context for context, _ in pairs])
    whole = agent.tokenizer.encode_batch([context + rest for context, rest in pairs])
    rows = [np.concatenate([begin, row]).astype(np.int64) for row in whole]
    starts = np.array([max(1, len(begin) + _common(a, b)) for a, b in zip(alone, whole)])
    lengths = np.array([len(row) for row in rows])
    fits = (lengths <= agent.network.options.context) & (starts < lengths)
    totals = np.full(len(rows), -np.inf)
    done = 0
    for part in micro_batches(lengths, np.flatnonzero(fits), MICRO_TOKENS):
        tokens, counts = padded([rows[i] for i in part])
        place = np.arange(tokens.shape[1])
        mask = (place >= starts[part][:, None]) & (place < counts[:, None])
        batch = pack(tokens, counts, mask, owner[part]).to(agent.device)
        with torch.autocast(agent.device, torch.bfloat16, enabled=agent.precision == "bf16"):
            found = agent.network.log_probs(batch)[0].double().cpu().numpy()
        totals[part] = np.bincount(np.nonzero(mask)[0], found, minlength=len(part))
        done += len(part)
        report(done, len(rows))
    return totals, lengths - starts, fits


def _common(one: np.ndarray, other: np.ndarray) -> int:
    """How many tokens two rows begin with alike."""
    n = min(len(one), len(other))
    differ = np.flatnonzero(one[:n] != other[:n])
    return int(differ[0]) if len(differ) else n


# -- what it comes to --------------------------------------------------------------------------------------


def accuracy(right: np.ndarray, valid: np.ndarray) -> dict[str, Any]:
    """The share of valid tries (bool `[problems, tries]`) that are right, and its 95 % interval.

    Of one try a problem it is Wilson's; of several, problems are drawn anew with all their tries (bootstrap),
    unless all have the same mean, of which draws tell nothing: then it is Wilson's too, over problems.
    """
    counts = valid.sum(axis=1)
    judged = counts > 0
    if not judged.any():
        return {"accuracy": np.nan, "interval": [np.nan, np.nan]}
    means = (right & valid).sum(axis=1)[judged] / counts[judged]
    if valid.shape[1] == 1 or (means == means[0]).all():
        return share("accuracy", "interval", means.sum(), len(means))
    low, high = bootstrap_interval([means], mean)
    return {"accuracy": float(means.mean()), "interval": [float(low), float(high)]}


def accuracies(
    which: Mapping[str, np.ndarray], right: np.ndarray, valid: np.ndarray
) -> dict[str, dict[str, Any]]:
    """The same of parts of the problems, by name."""
    return {
        name: {"problems": len(rows)} | accuracy(right[rows], valid[rows]) for name, rows in which.items()
    }


def groups(task: Problems) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """`levels` and `subjects`, where the file tells several: by name, the places of their problems."""
    for name, of in (
        ("levels", [str(problem.level or "") for problem in task.asked]),
        ("subjects", [problem.subject for problem in task.asked]),
    ):
        found = sorted(set(of) - {""})
        if len(found) > 1:
            yield name, {one: np.flatnonzero([each == one for each in of]) for one in found}


# -- what is told ------------------------------------------------------------------------------------------


def tell(run: Path, told: Mapping[str, Any]) -> None:
    """The result in lines."""
    file, by = Path(told["tasks"]).name, told["by"]
    tries = f", mean of {told['tries']} tries" if told.get("tries", 1) > 1 else ""
    shots = f", {told['shots']} shots" if told["shots"] else ""
    print(f"{run}: accuracy {_percent(told)} (95 % interval) of {told['problems']:,} problems of {file}")
    if by == LIKELIHOOD:
        print(f"by the likelihood of each option{shots}; by chance {told['chance']:.1%}")
        for name in SCORES[1:]:
            print(f"{name.replace('_', ' ')} of an option: {_percent(told[name])}")
    else:
        way = "drawn" if told["explore"] else "the likeliest"
        print(f"answers by {by}, {way}{tries}{shots}")
        shares = {"parsed": "parsed", "truncated": "truncated", "not judged": "invalid"}
        print(", ".join(f"{name} {told[key]:.1%}" for name, key in shares.items()))
    if told["too_long"]:
        print(f"too long for the model's context: {told['too_long']:,} problems, which count as not solved")
    for fault in told.get("faults", ()):
        print(f"not judged, and not counted: {fault}")
    for kind in ("levels", "subjects"):
        for name, one in told.get(kind, {}).items():
            print(f"{kind[:-1]} {name}: {_percent(one)} of {one['problems']:,}")


def _percent(told: Mapping[str, Any]) -> str:
    low, high = told["interval"]
    return f"{told['accuracy']:.1%} [{low:.1%}, {high:.1%}]"


__all__ = ["LIKELIHOOD", "Paper", "by_likelihood", "examine", "log_likelihoods", "tell"]
