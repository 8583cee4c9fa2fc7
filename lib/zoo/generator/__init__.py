"""Class-conditional generators: new small images of each class of a data set."""
