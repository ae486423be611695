"""Files that are whole or absent, what is damaged, and downloads that go on where they broke off."""
