"""Results of a pure function, remembered as long as they fit a number of bytes; safe between threads."""

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def remembered(most_bytes: int, size: Callable[[Any], int]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Keep the results used last, of at most `most_bytes` together by `size`; larger ones are not kept."""

    def decorate(make: Callable[P, T]) -> Callable[P, T]:
        kept: OrderedDict[object, tuple[T, int]] = OrderedDict()
        lock, taken = Lock(), 0

        @wraps(make)
        def recall(*args: P.args, **kwargs: P.kwargs) -> T:
            nonlocal taken
            key = (args, tuple(kwargs.items()))
            with lock:
                if key in kept:
                    kept.move_to_end(key)
                    return kept[key][0]
            result = make(*args, **kwargs)
            with lock:
                if key not in kept:
                    kept[key] = result, size(result)
                    taken += kept[key][1]
                while taken > most_bytes:
                    taken -= kept.popitem(last=False)[1][1]
            return result

        return recall

    return decorate
