"""The rules that this project added in code: a module here, and a line in `NAMED_RULES`.

Each is given a feature, the rule's parameters and the precision, and says what is wrong with it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobyard.domain.datasets.feature import Feature
from jobyard.validation.named import no_spikes

Problem = tuple[str, tuple[float, float] | None]  # a message, and perhaps where it can be seen
NamedCheck = Callable[[Feature, Mapping[str, Any], int], Iterable[Problem]]

NAMED_RULES: Mapping[str, NamedCheck] = {
    "no_spikes": no_spikes.problems_of,
}
