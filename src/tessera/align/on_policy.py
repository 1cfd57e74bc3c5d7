"""Who responds while a model learns from its own responses: the engine, on the model as it is; and what the
responses are worth, by the rules of `prefer score` or by a critic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tessera.align.critics.critic import Critic
from tessera.engine.completion import Completion
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.scoring.reasoned.datasets import modes_for
from tessera.scoring.reasoned.extraction import BadFormat, extract_answer
from tessera.scoring.reasoned.judging import AnswerJudge, available
from tessera.train.objective.learner import ChatLearner
from tessera.train.objective.policies.rollouts import PolicyPrompt, PolicyResponse
from tessera.train.objective.policy import PolicyObjective


@dataclass
class PolicyResponder:
    """Draws the responses of a step together; a prompt is computed once for its group."""

    learner: ChatLearner
    objective: PolicyObjective
    critic: Critic | None = None
    _engine: Engine | None = field(default=None, repr=False)

    def __call__(self, asked: Sequence[PolicyPrompt], model: Any) -> list[list[PolicyResponse]]:
        """A response for each seed. FloatingPointError for scores that are not finite."""
        if self._engine is None:
            encoder = self.learner.encoder
            self._engine = Engine(model, encoder.tokenizer, encoder.stop_ids)
        how = self.objective
        sampling = Sampling(max_new_tokens=how.max_new_tokens, temperature=how.temperature)
        flat = [(each.prompt, seed) for each in asked for seed in each.seeds]
        drawn = [sampling.model_copy(update={"seed": seed}) for _, seed in flat]
        said = self._engine.generate([prompt for prompt, _ in flat], drawn)
        if fault := next((completion.fault for completion in said if completion.fault), ""):
            raise FloatingPointError(fault)
        rest = iter(said)
        return [self._valued(each, [next(rest) for _ in each.seeds]) for each in asked]

    def _valued(self, asked: PolicyPrompt, said: Sequence[Completion]) -> list[PolicyResponse]:
        rewards = [self._by_rules(asked, completion.text) for completion in said]
        if self.critic is not None:
            judged = self.critic.score(asked.conversation, [completion.text for completion in said])
            weight = self.objective.critic_weight
            rewards = [own + weight * each.score for own, each in zip(rewards, judged, strict=True)]
        pairs = zip(said, rewards, strict=True)
        return [PolicyResponse(self._tokens(each), reward, each.finish == "stop") for each, reward in pairs]

    def _by_rules(self, asked: PolicyPrompt, text: str) -> float:
        """1 for a right answer, the worth of the format for a wrong one, 0 without a format."""
        how = self.objective
        found, target = (extract_answer(words, how.prompt_version) for words in (text, asked.target))
        if isinstance(found, BadFormat):
            return 0.0
        source = asked.key.rpartition(":")[0]
        judge = AnswerJudge(available(how.modes or modes_for(source)))
        right = asked.target if isinstance(target, BadFormat) else target.answer
        return 1.0 if judge.judge(found.answer, right.strip()).right else how.format_reward

    def _tokens(self, completion: Completion) -> tuple[int, ...]:
        """Those drawn, with the one that ends a turn behind a response that came to its end."""
        encoder = self.learner.encoder
        stop = encoder.tokenizer.token_id(encoder.template.stop)
        return (*completion.ids, stop) if completion.finish == "stop" else completion.ids
