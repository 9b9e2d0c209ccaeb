"""Evaluation: distances between photographs and generated pictures, and what pictures show by themselves."""

from infgen.train.evaluation.features import FeatureNetwork, WeightFiles, load_network
from infgen.train.evaluation.metrics import METRICS, Metric, metrics_named
from infgen.train.evaluation.real import real_features
from infgen.train.evaluation.report import Measurement, Report
from infgen.train.evaluation.run import Request, evaluate, frechet

__all__ = [
    "METRICS",
    "FeatureNetwork",
    "Measurement",
    "Metric",
    "Report",
    "Request",
    "WeightFiles",
    "evaluate",
    "frechet",
    "load_network",
    "metrics_named",
    "real_features",
]
