"""Run records: the schema, and the only code that touches data/runs."""

from lib.records.schema import CHANCE_HEAD as CHANCE_HEAD
from lib.records.schema import BackboneInfo as BackboneInfo
from lib.records.schema import DataSetFacts as DataSetFacts
from lib.records.schema import DataSetInfo as DataSetInfo
from lib.records.schema import Environment as Environment
from lib.records.schema import EpochEntry as EpochEntry
from lib.records.schema import FinalMetrics as FinalMetrics
from lib.records.schema import FoldResult as FoldResult
from lib.records.schema import GridPoint as GridPoint
from lib.records.schema import HeadInfo as HeadInfo
from lib.records.schema import Latency as Latency
from lib.records.schema import Recipe as Recipe
from lib.records.schema import RunRecord as RunRecord
from lib.records.schema import Timing as Timing
from lib.records.store import BrokenRecord as BrokenRecord
from lib.records.store import RecordStore as RecordStore
from lib.records.store import key_of as key_of
from lib.records.store import read_record as read_record
from lib.records.store import run_key as run_key
