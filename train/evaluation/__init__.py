"""Evaluation: distances between photographs and generated pictures, and what pictures show by themselves."""

from infgen.train.evaluation.features import FeatureNetwork, WeightFiles, load_network
from infgen.train.evaluation.measurement import Measurement
from infgen.train.evaluation.metrics import METRICS, Metric, metrics_named
from infgen.train.evaluation.photographs import open_photographs
from infgen.train.evaluation.presentation import report_tables
from infgen.train.evaluation.real import real_features
from infgen.train.evaluation.report import Report
from infgen.train.evaluation.report_files import write_report
from infgen.train.evaluation.request import Request
from infgen.train.evaluation.run import Other, evaluate, frechet

__all__ = [
    "METRICS",
    "FeatureNetwork",
    "Measurement",
    "Metric",
    "Other",
    "Report",
    "Request",
    "WeightFiles",
    "evaluate",
    "frechet",
    "load_network",
    "metrics_named",
    "open_photographs",
    "real_features",
    "report_tables",
    "write_report",
]
