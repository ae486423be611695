"""What people look at: overlays, legends, sheets, confusion matrices."""
