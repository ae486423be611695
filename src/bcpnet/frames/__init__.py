"""What surrounds the network: a frame made to its input size, logits made to a class map."""
