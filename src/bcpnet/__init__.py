"""bcpnet: real-time semantic segmentation."""
