"""Pixels in and out: images, videos, where they are found, and what the Cityscapes server takes."""
