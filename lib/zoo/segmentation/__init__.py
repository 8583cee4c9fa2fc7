"""Segmentation: a pyramid of features from any network, decoders on top, training, and the empty mask as trivial rival."""
