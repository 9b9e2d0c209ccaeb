"""Named settings of an inversion."""

import pytest

from infgen.inversion.settings import CONTINUING, DEFAULT_SETTINGS, NAMED_SETTINGS, Settings, Weights


def test_the_commands_continue_by_default() -> None:
    assert NAMED_SETTINGS[DEFAULT_SETTINGS] is CONTINUING


def test_the_papers_settings_have_vgg16_and_unit_weights_for_the_deviations() -> None:
    paper = NAMED_SETTINGS["paper"]
    assert (paper.lpips, paper.weights.z_g_std, paper.weights.z_l_std) == ("vgg", 1, 1)


@pytest.mark.parametrize("name", ["continue", "reconstruct"])
def test_other_settings_need_no_file(name: str) -> None:
    assert NAMED_SETTINGS[name].lpips == "alex"


def test_the_library_reconstructs_by_default() -> None:
    assert NAMED_SETTINGS["reconstruct"] == Settings() == Settings(weights=Weights())
