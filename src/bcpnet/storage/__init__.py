"""Files that are whole or absent, what is damaged, YAML within bounds, downloads that go on where they broke off."""
