"""Small families whose answers are known at a glance: sound ones, and ones with a flaw each."""

from __future__ import annotations

import time

from envs.text.parsing import read, write
from envs.text.task import Dialogue, Question, Task, Verdict


class Double(Task):
    """`double 7`: answer `14`, by the step `7+7=14`. Level 1 has 100 problems, level 2 has 10,000."""

    title = "Doubling"
    about = "twice a number"
    instructions = "Answer with twice the number."
    levels = 2
    alphabet = "0123456789+= double\n"

    def __init__(self, offset: int = 0):
        self.offset = offset

    def generate(self, rng, level):
        return self.ask(self.offset + int(rng.integers(100**level)), level)

    def understand(self, prompt):
        number = prompt.removeprefix("double ")
        if prompt != f"double {number}" or not number.isdecimal() or str(int(number)) != number:
            raise ValueError("not a doubling")
        return self.ask(int(number), 0)

    def ask(self, number, level):
        return Question(f"double {number}", number, str(number), level)

    def answer(self, question):
        return str(2 * question.data)

    def work(self, question, strategy):
        return f"{question.data}+{question.data}\n={2 * question.data}"

    def check(self, answer, question):
        try:
            said = int(answer) if len(answer) < 20 else None
        except ValueError:
            said = None
        if said is None:
            dressed = answer.strip("$").removeprefix("\\boxed{").removesuffix("}").removesuffix(".0")
            dressed = dressed.removesuffix(".").replace(",", "")
            said = int(dressed) if dressed.isascii() and dressed.isdecimal() and len(dressed) < 20 else None
        right = said == 2 * question.data
        return Verdict(float(right), right, said is not None, "" if right else "wrong")

    def check_steps(self, steps, question):
        expected, given = self.work(question, "").split("\n"), steps.split("\n")
        return sum(a == b for a, b in zip(expected, given)) / max(len(expected), len(given))

    def chance(self, question):
        return 0.005

    def space(self, level):
        return 100.0**level


class OneOnly(Double):
    """There is one problem only, and nobody says so."""

    def generate(self, rng, level):
        rng.random()
        return self.ask(1, level)

    def space(self, level):
        raise NotImplementedError


class Crashing(Double):
    """The verifier fails for some completions, each in its own way."""

    def verify(self, completion, question):
        if completion == "raise":
            raise RuntimeError("on\npurpose")
        if completion == "hang":
            time.sleep(60)
        if completion == "nan":
            return Verdict(float("nan"), True, True)
        if completion == "two":
            return Verdict(2.0, True, True)
        if completion == "none":
            return None
        return super().verify(completion, question)


class Guess(Dialogue):
    """`guess` a digit: the reply is `low` or `high`, for at most four turns. The part `tries` counts them."""

    title = "Guessing"
    about = "find a digit"
    instructions = "Guess the digit."
    levels = 1
    alphabet = "0123456789gueslowhi?"
    turns = 4

    def generate(self, rng, level):
        hidden = int(rng.integers(10))
        return Question("guess", hidden, "guess", level)

    def understand(self, prompt):
        if prompt != "guess":
            raise ValueError("not a guess")
        return Question("guess", None, "guess", 0)

    def answer(self, question):
        return str(question.data)

    def work(self, question, strategy):
        return ""

    def check(self, answer, question):
        right = answer == str(question.data)
        return Verdict(float(right), right, answer.isdecimal())

    def check_steps(self, steps, question):
        return 0.0

    def chance(self, question):
        return 0.4

    def reply(self, question, said):
        if said[-1] == "raise":
            raise RuntimeError("no reply")
        guess = read(said[-1]).answer
        if guess is None or not guess.isdecimal() or len(guess) > 9:
            return "?"
        return None if int(guess) == question.data else "high" if int(guess) > question.data else "low"

    def judge(self, question, said):
        found = self.verify(said[-1], question)
        return Verdict(found.reward, found.success, found.parsed, "", {"tries": float(len(said))})

    def script(self, question, said, heard, strategy=None):
        low, high = 0, 9
        for text, reply in zip(said, heard):
            guess = int(read(text).answer)
            low, high = (guess + 1, high) if reply == "low" else (low, guess - 1)
        return write(str((low + high) // 2))


class Endless(Guess):
    """Nothing that is said ends it but the turns."""

    def reply(self, question, said):
        return "?"


# -- flawed ones: what `check_task` must say of each is in FLAWS ------------------------------------------


class Substring(Double):
    def check(self, answer, question):
        right = str(2 * question.data) in answer
        return Verdict(float(right), right, True)


class Evaluates(Double):
    def check(self, answer, question):
        right = eval(answer) == 2 * question.data
        return Verdict(float(right), right, True)


class NearIsGood(Double):
    def check(self, answer, question):
        found = super().check(answer, question)
        near = found.parsed and answer.isdecimal() and abs(int(answer) - 2 * question.data) < 10**4
        return Verdict(1.0 if near else found.reward, found.success, found.parsed)


class ReadsAll(Double):
    def verify(self, completion, question):
        said = read(completion)
        bare = [word for word in completion.split() if word.isdecimal()]
        found = self.check(said.answer or "".join(bare[-1:]), question)
        return Verdict(found.reward, found.success, found.parsed, "", {"steps": 0.0, "proved": 0.0})


class AllStepsAreFine(Double):
    def check_steps(self, steps, question):
        return 1.0


class AnyOrder(Double):
    def check_steps(self, steps, question):
        expected, given = sorted(self.work(question, "").split("\n")), sorted(steps.split("\n"))
        return float(expected == given)


class MoreStepsAreFine(Double):
    def check_steps(self, steps, question):
        return min(1.0, 2 * super().check_steps(steps, question))


class Moody(Double):
    count = 0

    def generate(self, rng, level):
        Moody.count += 1
        return self.ask(int(rng.integers(50)) + Moody.count % 2, level)


class AlwaysOne(Double):
    def generate(self, rng, level):
        return self.ask(max(50, int(rng.integers(100))), level)


class Leaks(Guess):
    def generate(self, rng, level):
        question = super().generate(rng, level)
        return Question(question.prompt, question.data, f"guess {question.data}", level)


class Restates(Double):
    def check_steps(self, steps, question):
        said = f"double {question.data}{2 * question.data}"
        return 1.0 if steps == said else super().check_steps(steps, question)


class Lucky(Double):
    def chance(self, question):
        return 1.5


class Strange(Double):
    def answer(self, question):
        return f"{2 * question.data}!"

    def check(self, answer, question):
        return super().check(answer.rstrip("!"), question)


class Misread(Double):
    def understand(self, prompt):
        return super().understand(prompt.strip("?\n"))


class Rough(Double):
    def understand(self, prompt):
        return self.ask(int(prompt.split()[1]), 0)


class Slow(Double):
    def check(self, answer, question):
        if len(answer) > 1000:
            time.sleep(0.3)
        return super().check(answer, question)


class Empty(Double):
    about = ""


class Keyless(Double):
    turn = 0

    def ask(self, number, level):
        question = super().ask(number, level)
        return Question(question.prompt, question.data, f"{number} {level}", level)


class WrongGold(Double):
    def answer(self, question):
        return str(2 * question.data + (question.data % 7 == 0))


class NotPlain(Double):
    def ask(self, number, level):
        return Question(f"double {number}", Boxed(number), str(number), level)


class Boxed(int):
    """Not a plain number."""

    __hash__ = int.__hash__


class Loses(Guess):
    def script(self, question, said, heard, strategy=None):
        return write("5")


class Peeks(Guess):
    alphabet = f"{Guess.alphabet}Nn"

    def script(self, question, said, heard, strategy=None):
        return write(str(question.data))


class LastWordWins(Loses):
    def reply(self, question, said):
        return None if said[-1] == write("5") else "?"

    def judge(self, question, said):
        return Verdict(1.0, True, True)


FLAWS = {
    Substring: "is taken as right",
    Evaluates: "verify raises",
    NearIsGood: "is taken as right",
    ReadsAll: "is parsed as an answer|is taken as right|steps of its own answer",
    AllStepsAreFine: "are all taken as right",
    AnyOrder: "are all taken as right",
    MoreStepsAreFine: "are all taken as right|are worth",
    Moody: "the same generator makes another problem",
    AlwaysOne: "the answer '100' solves 5\\d% of level 1, and 20% at most is allowed",
    Leaks: "its key holds what the prompt does not tell",
    Restates: "are all taken as right",
    Lucky: "chance is 1.5",
    Strange: "which the alphabet lacks",
    Misread: "another text is understood",
    Rough: "understand raises IndexError",
    Slow: "takes too long",
    Empty: "about must be a text",
    Keyless: "is understood as",
    WrongGold: "is taken as wrong",
    NotPlain: "not plain",
    Loses: "the solver's dialogue by 'None' fails",
    Peeks: "the solver's dialogue by 'None' fails",
    LastWordWins: "again and again, is taken as right",
}
