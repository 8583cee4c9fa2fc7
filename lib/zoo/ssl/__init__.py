"""Self-supervised tuning: a backbone goes on learning from a data set's images, without their labels."""
