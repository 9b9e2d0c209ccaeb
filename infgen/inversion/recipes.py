"""Settings of an inversion by name, for the commands that continue photographs."""

from collections.abc import Mapping

from infgen.inversion.invert import CONTINUING
from infgen.inversion.settings import Settings

# "continue": styles near those of worlds, so that the continuation looks like the photograph. "paper": the paper's Adam,
# weights and VGG16. "reconstruct": meets the photograph best; its styles break up outside of it.
RECIPES: Mapping[str, Settings] = {"continue": CONTINUING, "paper": Settings.paper(), "reconstruct": Settings()}
DEFAULT_RECIPE = "continue"
