"""A network for tables of numbers that each mean something, as `handcrafted` statistics do: every number is cut into bins first."""

from __future__ import annotations

from itertools import pairwise

from lib.config import Settings
from lib.records import BackboneInfo
from lib.records.schema import Option
from lib.zoo.heads.base import HEADS, Head
from lib.zoo.heads.dense import TEACHER_HIDDEN, MlpHead
from lib.zoo.jobs import TrainingJob, TrainingResult


@HEADS.register("tabular")
class TabularHead(Head):
    """Piecewise linear encoding of each feature, then the layers of `mlp` (Gorishniy et al. 2022, arXiv:2203.05556)."""

    name = "tabular"
    bins = 8

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """Weights and biases of every layer; the edges of the bins are counted from the train part, not trained."""
        widths = (self.bins * embedding_width, *TEACHER_HIDDEN, n_classes)
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(widths))

    def options(self, settings: Settings) -> dict[str, Option]:
        """How many bins a feature has."""
        return {"bins": self.bins}

    def grid(self, settings: Settings) -> dict[str, tuple[Option, ...]]:
        """That of `mlp`."""
        return MlpHead().grid(settings)

    def suits(self, backbone: BackboneInfo) -> bool:
        """Only numbers that mean something one by one: the axes of an embedding do not."""
        return backbone.family == "handcrafted"

    def train(self, job: TrainingJob) -> TrainingResult:
        """Finds the edges on the train part, and trains on the encoded features."""
        from lib.zoo.tabular import fitted_tabular

        return fitted_tabular(job, TEACHER_HIDDEN)
