"""The facts beside the runs: a data set's card and meta-features, as new as its images, labels, folds and measures."""

from __future__ import annotations

from collections.abc import Mapping

from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.features.meta import META_FEATURES_VERSION, data_set_facts
from lib.records import DataSetFacts, RecordStore


def is_fresh(facts: DataSetFacts | None, data_set: DataSet) -> bool:
    """Whether facts tell of this very set: images and labels, folds, and what is measured of them."""
    now = (data_set.fingerprint, data_set.info().split_hash, META_FEATURES_VERSION)
    return facts is not None and (facts.fingerprint, facts.split_hash, facts.meta_features_version) == now


def facts_of(data_set: DataSet, known: Mapping[str, DataSetFacts]) -> DataSetFacts:
    """The known facts of a data set while they are fresh, else new ones; raises DataSetError naming an unreadable image."""
    facts = known.get(data_set.name)
    return facts if facts is not None and is_fresh(facts, data_set) else data_set_facts(data_set)


def write_facts(data_set: DataSet, store: RecordStore) -> list[str]:
    """Writes the facts where those beside the runs are stale; what is wrong with the images is a sentence, no reason not to train."""
    if is_fresh(store.read_facts()[0].get(data_set.name), data_set):
        return []
    try:
        store.write_facts(data_set_facts(data_set))
    except CvAutomlError as error:
        return [f"{data_set.name}: meta-features were not written: {error}"]
    return []
