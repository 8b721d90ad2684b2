"""A GRPO step: 16 problems × 8 tries, prompts of 16 tokens, 48 new ones each; 4.2 million parameters.

4 layers × 256, the same weights and sampling for all, one gradient step for each rollout, by the loss of Dr.
GRPO (no standard deviation, sums over a constant); the reward is the share of digits in what was written.
Nothing ends a completion, so all write as much.

* ours: the sampler, the reward and the learner of the loop, on text/ChainSum-v0, its verifier included.
* TRL: its trainer on the same prompts and reward, with `transformers` as the generator, without activation
  checkpointing and logs. Its seconds are from the beginning of a step to its end.
* bare update: forward, backward and AdamW of `transformers`' model for the padded batch, nothing else; the
  logits are of the completions only, and the loss is minus their mean log-probability.

In bf16 products are in bfloat16 (autocast), weights and their updates in float32. The contestants take turns;
the best step of each counts, at its best number of threads.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import envs
from agents.options import Precision
from benchmarks.generation import Endless
from benchmarks.race import THREADS
from benchmarks.report import Row, main
from llm_rl.folder import save_folder
from llm_rl.grpo import GRPO
from llm_rl.model import LanguageModel, ModelOptions
from llm_rl.tokenizer import CharTokenizer
from rollouts.reward import Reward
from rollouts.rollout import Rollout
from rollouts.sampler import Sampler

PROBLEMS, GROUP, PROMPT, NEW = 16, 8, 16, 48
ROWS = PROBLEMS * GROUP
LEVEL = 5
"""Of chain sums: five numbers of two digits, 15 characters, and a token at the beginning."""
LR = 1e-5
STEPS = 2
"""Of TRL's trainer in a turn: the first one makes the optimiser."""
ROUNDS = 6
REACH: dict[Precision, float] = {"fp32": 1.3, "bf16": 2.0}
PEER = "TRL, fp32"


class Seconds(NamedTuple):
    """What a step took: all of it, sampling (the scores included), learning; a bare update only learns."""

    whole: float
    sampling: float
    learning: float

    def better(self, other: Seconds) -> Seconds:
        """The least of both, each by itself."""
        return Seconds(*map(min, self, other))


Step = Callable[[], Seconds]


def tokenizer() -> CharTokenizer:
    """64 tokens, the characters of chain sums among them."""
    return CharTokenizer(["\n", *map(chr, range(32, 84))])


def save(folder: Path) -> Path:
    """The model in the Hugging Face layout, of random weights: how fast it is does not depend on them."""
    characters = tokenizer()
    options = ModelOptions(vocab=characters.size, layers=4, width=256, hidden=1024, heads=4)
    save_folder(folder, LanguageModel(options), characters)
    return folder


def share_of_digits(text: str) -> float:
    """What is rewarded."""
    return sum(map(str.isdigit, text)) / NEW


def digits(rollout: Rollout) -> np.ndarray:
    """The same as a reward term."""
    return np.vectorize(share_of_digits, otypes=[np.float32])(rollout.actions)


def ours(folder: Path, precision: Precision) -> Step:
    """A rollout and its update, as the training loop does them."""
    env = envs.make("text/ChainSum-v0", n=ROWS, seed=0, level=LEVEL)
    spaces = env.single_observation_space, env.single_action_space
    learner = GRPO(
        *spaces,
        problems=PROBLEMS,
        group_size=GROUP,
        model={"folder": str(folder)},
        max_new=NEW,
        precision=precision,
        lr=LR,
    )
    policy: Any = learner.actor
    policy.generator.tokenizer = Endless(tokenizer().alphabet)
    sampler, reward = Sampler(env, seed=0), Reward({"benchmarks.grpo:digits": 1.0})

    def step() -> Seconds:
        begun = time.perf_counter()
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        played = time.perf_counter()
        told = learner.learn(rollout)
        sampler.sync(learner)
        done = time.perf_counter()
        tokens = int(rollout.fields["token_mask"].sum()), int(rollout.fields["token_count"].sum())
        if tokens != (ROWS * NEW, ROWS * (PROMPT + NEW)) or told["learned_from"] < 1.0:
            raise RuntimeError(f"(written, all) {tokens} tokens, {told['learned_from']:.2f} of them learned")
        return Seconds(done - begun, played - begun, done - played)

    return step


def trl(folder: Path, precision: Precision) -> Step:
    """Steps of TRL's trainer."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    watch = _Watch()

    class Told(TrainerCallback):
        """Tells the watch of each step."""

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            watch.begin()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            watch.end()

    class Trainer(GRPOTrainer):
        """Tells the watch what generating and scoring take."""

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            begun = time.perf_counter()
            out = super()._generate_and_score_completions(inputs)
            watch.sampling = time.perf_counter() - begun
            if out["completion_mask"].shape != (ROWS, NEW) or not out["completion_mask"].all():
                raise RuntimeError(f"TRL's completions are of {out['completion_mask'].sum(1)} tokens")
            if out["prompt_ids"].shape != (ROWS, PROMPT):
                raise RuntimeError(f"TRL's prompts are of {out['prompt_ids'].shape} tokens")
            return out

    def shares(completions: list[str], **_: Any) -> list[float | None]:
        return [share_of_digits(text) for text in completions]

    options = GRPOConfig(
        output_dir=str(folder.parent / f"trl_{precision}"),
        per_device_train_batch_size=ROWS,
        num_generations=GROUP,
        max_completion_length=NEW,
        generation_kwargs={"min_new_tokens": NEW},
        loss_type="dr_grpo",
        scale_rewards="none",
        beta=0.0,
        learning_rate=LR,
        activation_checkpointing=False,
        max_steps=STEPS,
        bf16=precision == "bf16",
        use_cpu=True,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = Trainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        reward_funcs=shares,
        args=options,
        train_dataset=Dataset.from_list([{"prompt": text} for text in prompts()]),
        processing_class=AutoTokenizer.from_pretrained(folder),
        callbacks=[Told()],
    )

    def step() -> Seconds:
        trainer.train()
        return watch.best()

    return step


class _Watch:
    """Times steps that begin and end elsewhere."""

    def __init__(self) -> None:
        self.begun, self.sampling, self.steps = 0.0, 0.0, list[Seconds]()

    def begin(self) -> None:
        self.begun = time.perf_counter()

    def end(self) -> None:
        whole = time.perf_counter() - self.begun
        self.steps.append(Seconds(whole, self.sampling, whole - self.sampling))

    def best(self) -> Seconds:
        """Of the steps since the last time."""
        steps, self.steps = self.steps, []
        least = steps[0]
        for other in steps[1:]:
            least = least.better(other)
        return least


def prompts() -> list[str]:
    """As many problems as a step has; each tokenizer puts the token at the beginning."""
    env = envs.make("text/ChainSum-v0", n=PROBLEMS, seed=1, level=LEVEL)
    return list(env.reset(seed=1)[0])


def bare_update(folder: Path, precision: Precision) -> Step:
    """Forward, backward and AdamW of the padded batch."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    optimiser = torch.optim.AdamW(model.parameters(), LR, fused=True)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(16, 64, (ROWS, PROMPT + NEW)))
    targets = tokens[:, PROMPT:, None]

    def step() -> Seconds:
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = model(tokens, use_cache=False, logits_to_keep=NEW + 1).logits[:, :-1]
        loss = -logits.float().log_softmax(-1).gather(-1, targets).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        spent = time.perf_counter() - begun
        return Seconds(spent, 0.0, spent)

    return step


def contest(steps: Mapping[str, Step], rounds: int) -> dict[str, Seconds]:
    """The best seconds of each: they take turns, after a warm-up, at each number of threads."""
    best = {name: step() for name, step in steps.items()}
    for _ in range(rounds):
        for threads in THREADS:
            torch.set_num_threads(threads)
            for name, step in steps.items():
                best[name] = best[name].better(step())
    return best


def rows() -> Iterator[Row]:
    """For each precision a step against TRL's, and its learning against the bare update."""
    with tempfile.TemporaryDirectory() as place:
        folder, steps = save(Path(place) / "model"), dict[str, Step]()
        for precision in REACH:
            steps |= {f"TRL, {precision}": trl(folder, precision), precision: ours(folder, precision)}
            steps[f"bare update, {precision}"] = bare_update(folder, precision)
        took = contest(steps, ROUNDS)
    for precision, reach in REACH.items():
        mine, peer = took[precision], took[PEER]
        yield Row(f"GRPO step, {precision}", PEER, mine.whole, peer.whole, reach, "s")
        yield Row(f"of it sampling, {precision}", PEER, mine.sampling, peer.sampling, unit="s")
        yield Row(f"of it learning, {precision}", PEER, mine.learning, peer.learning, unit="s")
        bare = f"bare update, {precision}"
        yield Row(f"of it learning, {precision}", bare, mine.learning, took[bare].learning, unit="s")
    theirs = "TRL, bf16"
    yield Row("GRPO step, bf16", theirs, took["bf16"].whole, took[theirs].whole, unit="s")


if __name__ == "__main__":
    main(rows, __doc__)
