"""What fits what: the reason why a head cannot work with a backbone on a data set, found before anything is trained."""

from __future__ import annotations

from lib.records import BackboneInfo, DataSetInfo
from lib.zoo.heads.base import HEADS


def incompatibility(data_set: DataSetInfo, backbone: BackboneInfo, head: str, finetune: bool) -> str | None:
    """The reason, one sentence; None where the pair can work. Raises CvAutomlError for an unknown head."""
    return HEADS[head]().incompatibility(backbone, data_set.task, finetune) or _unusable(data_set)


def _unusable(data_set: DataSetInfo) -> str | None:
    if data_set.n_train == 0:
        return "the data set has no images in its train part: nothing can be learned"
    if data_set.n_test == 0:
        return "the data set has no images in its test part: nothing can be measured"
    if data_set.task == "classification" and len(data_set.classes) < 2:
        return f"the data set has one class ({', '.join(data_set.classes)}): there is nothing to tell apart"
    return None


def heads_for(task: str, finetune: bool = False, backbone: BackboneInfo | None = None) -> list[str]:
    """Every head that answers `task`, that can fine-tune where that is asked, and that suits the backbone where one is named."""
    heads = {name: HEADS[name]() for name in HEADS}
    fitting = {
        n: head for n, head in heads.items() if task in head.tasks and (head.can_finetune or not finetune)
    }
    return [name for name, head in fitting.items() if backbone is None or head.suits(backbone)]
