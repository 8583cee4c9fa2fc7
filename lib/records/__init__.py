"""Run records: the schema, and the only code that touches data/runs."""

from lib.records.keys import key_of, run_key
from lib.records.schema import (
    CHANCE_HEAD,
    BackboneInfo,
    DataSetFacts,
    DataSetInfo,
    Environment,
    EpochEntry,
    FinalMetrics,
    FoldResult,
    GridPoint,
    HeadInfo,
    Latency,
    Recipe,
    RunRecord,
    Timing,
)
from lib.records.store import BrokenRecord, RecordStore, read_record

__all__ = [
    "CHANCE_HEAD",
    "BackboneInfo",
    "BrokenRecord",
    "DataSetFacts",
    "DataSetInfo",
    "Environment",
    "EpochEntry",
    "FinalMetrics",
    "FoldResult",
    "GridPoint",
    "HeadInfo",
    "Latency",
    "Recipe",
    "RecordStore",
    "RunRecord",
    "Timing",
    "key_of",
    "read_record",
    "run_key",
]
