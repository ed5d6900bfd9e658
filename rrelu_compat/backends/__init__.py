"""One adapter for each framework: the mechanics of its tensors. Installed as ``rrelu_compat.backends``."""
