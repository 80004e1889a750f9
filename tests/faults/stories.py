"""The stories there are, by name."""

from collections.abc import Callable, Mapping

from tests.faults.batch_stories import OfBatch
from tests.faults.schedule_stories import OfSchedule
from tests.faults.story import Story, Telling

STORIES: Mapping[str, Callable[[Telling], Story]] = {
    "mended": lambda telling: OfBatch(telling, OfBatch.mended),
    "steered": lambda telling: OfBatch(telling, OfBatch.steered),
    "recurring": OfSchedule,
}
