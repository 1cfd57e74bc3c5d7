"""Prompts that ask for reasoning and an answer that can be found, by name (docs/facts/preferences.md)."""

from collections.abc import Mapping

from tessera.chat.message import IMAGE_MARK
from tessera.chat.templates import THINKING

SUFFIXES = (
    "Answer the question using a single word or phrase.",
    "Answer with the option's letter from the given choices directly.",
    "Please answer Yes or No.",
    "Please answer the question and put the final answer within \\boxed{}.",
)
"""What asks for a short answer, and goes."""
_R1 = THINKING + "\n{question}\n"
PROMPTS: Mapping[str, str] = {
    "en": """Your task is to answer the question below. Give step by step reasoning before you answer, and \
when you're ready to answer, please use the format "Final answer: .."

Question:

{question}""",
    "zh": """你的任务是回答以下问题。在回答之前，请逐步推理说明您的思路。\
当你准备好给出答案时，请使用以下格式："答案: ..."

问题:

{question}""",
    "en_v2": """{question}
Answer the preceding question. The last line of your response should follow this format: 'Answer: \
\\boxed{$FINAL_ANSWER}' (without quotes), where 'FINAL_ANSWER' is your conclusion based on the reasoning \
provided. If you are uncertain or the problem is too complex, make a reasoned guess based on the information \
provided. Avoid repeating steps indefinitely—provide your best guess even if unsure. Think step by step \
logically, considering all relevant information before answering.""",
    "zh_v2": """{question}
请回答上述问题。你的回答最后一行应遵循以下格式：“答案：\\boxed{$FINAL_ANSWER}”（不包含引号），其中“FINAL_ANSWER”\
是你根据推理得出的最终结论。如果你不确定答案或问题过于复杂，请基于已有信息做出有理有据的猜测。\
避免无限重复推理步骤——即使不完全确定，也请给出你认为最合理的答案。\
请一步一步进行逻辑思考，充分考虑所有相关信息后再作答。""",
    "en_v2_mc": """{question}
Answer the preceding multiple choice question. The last line of your response should follow this format: \
'Answer: \\boxed{$LETTER}' (without quotes), where LETTER is one of the options. If you are uncertain or the \
problem is too complex, make a reasoned guess based on the information provided. Avoid repeating steps \
indefinitely—provide your best guess even if unsure. Think step by step logically, considering all relevant \
information before answering.""",
    "en_r1": _R1 + "Please answer the question and put the final answer within \\boxed{}.",
    "zh_r1": _R1 + "请详细回答这个问题并将最终答案用\\boxed{}包住。",
    "plain": "{question}",
}
"""Name → text, with `{question}` where the question goes. `plain` asks as it is, for models that reason
unasked; it is not a published one."""


def strip_suffix(question: str) -> str:
    """A question without the sentence at its end that asks for a short answer."""
    for suffix in SUFFIXES:
        if question.endswith(suffix):
            question = question.removesuffix(suffix).strip()
    return question


def write_prompt(question: str, version: str, pictures: int) -> str:
    """The prompt for a question about so many pictures.

    A single `<image>` of the question goes to the front of the prompt; several stay where they are.
    ValueError for a version that is none of `PROMPTS`.
    """
    if version not in PROMPTS:
        raise ValueError(f"prompt_version {version[:80]!r} is unknown; give one of {', '.join(PROMPTS)}")
    prompt = PROMPTS[version].replace("{question}", strip_suffix(question))
    if pictures and prompt.count(IMAGE_MARK) == 1:
        prompt = prompt.replace(f"{IMAGE_MARK}\n", "").replace(IMAGE_MARK, "")
    if pictures and IMAGE_MARK not in prompt:
        prompt = f"{IMAGE_MARK}\n{prompt}"
    return prompt


def version_for(file_name: str, version: str) -> str:
    """The version for a data set: the Chinese one, if there is one, where the file's name has `_zh_`.

    >>> version_for("math_zh_train.jsonl", "en_v2")
    'zh_v2'
    """
    chinese = version.replace("en", "zh")
    return chinese if "_zh_" in file_name and chinese in PROMPTS else version
