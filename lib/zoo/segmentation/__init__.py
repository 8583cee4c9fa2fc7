"""Segmentation: a pyramid of features from any network, decoders on top, training, and the empty mask as trivial rival."""

from lib.zoo.segmentation.training import naive_result, train_decoder

__all__ = ["naive_result", "train_decoder"]
