"""A solution as a talk with its judge: a step a turn, and the judge says + or -."""

from __future__ import annotations

from collections.abc import Sequence

from tessera.chat.message import Conversation, Message, Part, Text, say

RIGHT, WRONG = "+", "-"
"""What the judge says: the solution is right up to this step, or it is not."""
SYSTEM = """You are an advanced AI assistant, designed to serve as a process supervision model. In this \
task, I will provide a problem statement followed by the first step of the solution process. For each \
subsequent turn, I will give you a new step in the solution. Your role is to assess whether the \
solution process is correct up to the current step.

- In the **first round**, I will input the problem and the first step of the solution process.
- In **each subsequent round**, I will provide the next step in the solution.

For each step, you should:

- Respond with **"+"** if you believe the solution process is correct up to this step.
- Respond with **"-"** if you detect any issues or errors in the process up to this step.

Please note:
- Only respond with **"+"** or **"-"**. Do not provide any additional explanations, comments, or \
justifications.

Your task is to verify the accuracy and correctness of each step in the given solution process."""
"""What the judge is told first (docs/facts/process_reward.md)."""
_QUESTION, _SOLUTION = "### Question:\n", "\n\n### Solution Process:\n"


def judging_talk(
    question: Sequence[Part], steps: Sequence[str], verdicts: Sequence[str], system: str = SYSTEM
) -> Conversation:
    """Question and steps, each followed by its verdict; the last may be missing, for the judge to say."""
    first = Message("user", (Text(_QUESTION), *question, Text(f"{_SOLUTION}{steps[0]}")))
    asked = (first, *(say("user", step) for step in steps[1:]))
    said = [say("assistant", verdict) for verdict in verdicts]
    turns = [turn for pair in zip(asked, said, strict=False) for turn in pair]
    return Conversation((say("system", system), *turns, *asked[len(said) :]))
