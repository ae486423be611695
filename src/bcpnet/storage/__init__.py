"""Files that are whole or absent, and downloads that go on where they broke off."""
