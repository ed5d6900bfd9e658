"""The subjects that come with the package: its own backends, and the frameworks' own layers."""
