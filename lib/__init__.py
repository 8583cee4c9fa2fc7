"""CV AutoML: which pretrained network with which head to train on your images, how good it will get, and how sure that is."""
