"""The changed features that are validated, and what lies around them at head."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from jobyard.domain.datasets.extent import Box
from jobyard.domain.datasets.feature import Feature


@dataclass(frozen=True, slots=True)
class ChangedFeatures:
    """Changed features by id (None: deleted), and those of them that are at head before it.

    `neighbours` gives the features at head whose boxes touch a box, `everything` all of them.
    """

    changed: Mapping[str, Feature | None]
    before: Mapping[str, Feature]
    neighbours: Callable[[Box], Iterable[Feature]]
    everything: Callable[[], Iterable[Feature]]
    precision: int

    def unchanged_in(self, box: Box) -> Iterator[Feature]:
        """The features at head in a box that do not change."""
        return (each for each in self.neighbours(box) if each.feature_id not in self.changed)

    def unchanged(self) -> Iterator[Feature]:
        """All features at head that do not change."""
        return (each for each in self.everything() if each.feature_id not in self.changed)
