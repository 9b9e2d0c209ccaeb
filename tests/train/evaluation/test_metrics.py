"""Names of metrics."""

import pytest

from infgen.errors import InputError
from infgen.train.evaluation.metrics import EFFNET_NOTE, METRICS, metrics_named, networks_of, notes_for


def test_only_distances_through_inception_bear_its_established_names() -> None:
    for metric in (m for m in METRICS if m.kind not in ("precision", "recall")):
        established = any(name in metric.label for name in ("FID", "KID", "IS"))
        assert established == (metric.network == "inception"), metric.name


def test_names_are_unique() -> None:
    assert len({m.name for m in METRICS}) == len(METRICS)


def test_metrics_keep_their_order_and_come_once() -> None:
    assert [m.name for m in metrics_named(["seam", "fid", "seam"])] == ["seam", "fid"]


def test_an_unknown_metric_is_refused_with_all_names() -> None:
    with pytest.raises(InputError, match=r"metric 'ssim' is unknown; choose from fd-vgg, .*, repetition"):
        metrics_named(["fid", "ssim"])


def test_no_metric_is_refused() -> None:
    with pytest.raises(InputError, match="no metric was named"):
        metrics_named([])


def test_each_network_is_named_once() -> None:
    assert networks_of(metrics_named(["fid", "fd-vgg", "kid", "seam"])) == ("inception", "vgg")


def test_fd_effnet_prints_a_warning_about_its_bias() -> None:
    assert EFFNET_NOTE in notes_for(metrics_named(["scaleinv-fd-effnet"]))
    assert EFFNET_NOTE not in notes_for(metrics_named(["fd-vgg"]))
