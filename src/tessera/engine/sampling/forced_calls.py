"""The grammar of an answer that must call a function."""

import json

from tessera.chat.tool_calls import CLOSE, OPEN, ToolUse
from tessera.engine.sampling.grammar import Grammar, bounded
from tessera.engine.sampling.repeats import patterns, require_small


def calls_grammar(use: ToolUse) -> Grammar | None:
    """One of the forced functions, with arguments that are valid for it; None where none is forced.

    Several calls stand in several marks, one behind the other.
    """
    if not use.forced:
        return None
    several = ' ("\\n" call)*' if use.several else ""
    names = " | ".join(f"call_{number}" for number in range(len(use.forced)))
    rules = [f"start: call{several}", f"call: {names}"]
    for number, tool in enumerate(use.forced):
        for pattern in patterns(tool.parameters):
            require_small(f"tools: the pattern of a parameter of {tool.name}", pattern)
        opening = json.dumps(f'{OPEN}\n{{"name": {json.dumps(tool.name)}, "arguments": ')
        closing = json.dumps(f"}}\n{CLOSE}")
        rules.append(f"call_{number}: {opening} arguments_{number} {closing}")
        rules.append(f"arguments_{number}: %json {json.dumps(bounded(dict(tool.parameters)))}")
    return Grammar(lark="\n".join(rules))
