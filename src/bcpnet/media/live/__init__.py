"""Frames as they come: cameras, network streams, pipes and numbered pictures, read by FFmpeg (PyAV); and sinks."""
