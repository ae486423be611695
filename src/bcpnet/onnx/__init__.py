"""ONNX files: written from a checkpoint, in 8-bit integers, with class maps as output."""
