"""Run records: the schema, and the only code that touches data/runs."""

from lib.records.schema import (
    BackboneInfo,
    DataSetFacts,
    DataSetInfo,
    Environment,
    EpochEntry,
    FinalMetrics,
    HeadInfo,
    Latency,
    Recipe,
    RunRecord,
    Timing,
    run_key,
)
from lib.records.store import BrokenRecord, RecordStore, read_record

__all__ = [
    "BackboneInfo",
    "BrokenRecord",
    "DataSetFacts",
    "DataSetInfo",
    "Environment",
    "EpochEntry",
    "FinalMetrics",
    "HeadInfo",
    "Latency",
    "Recipe",
    "RecordStore",
    "RunRecord",
    "Timing",
    "read_record",
    "run_key",
]
