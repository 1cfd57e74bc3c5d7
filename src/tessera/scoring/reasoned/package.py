"""math-verify, where it is installed: https://github.com/huggingface/Math-Verify (0.9)."""

import threading
from functools import cache
from importlib.util import find_spec

PACKAGE = "math_verify"
_SECONDS = 5


@cache
def installed() -> bool:
    """Whether math-verify can be imported."""
    return find_spec(PACKAGE) is not None


def require_installed() -> None:
    """ValueError saying what to do when math-verify is missing."""
    if not installed():
        raise ValueError(
            "mode math_verify needs the package math-verify: `pip install 'tessera-vl[math]'`, "
            "or take the mode expression, our own rules"
        )


def verify_score(prediction: str, target: str) -> float:
    """1 when math-verify finds both equal, else 0: strings, LaTeX and expressions of the prediction.

    Its limit of 5 seconds needs the main thread; elsewhere there is none. ValueError where it is missing.
    """
    require_installed()
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig, parse, verify

    seconds = _SECONDS if threading.current_thread() is threading.main_thread() else None
    kinds = [StringExtractionConfig(), LatexExtractionConfig(), ExprExtractionConfig()]
    said = parse(prediction, extraction_config=kinds, parsing_timeout=seconds)
    return float(verify(parse(target, parsing_timeout=seconds), said, timeout_seconds=seconds))
