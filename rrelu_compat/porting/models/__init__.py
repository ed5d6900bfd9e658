"""Live models: swap their RReLU layers, copy weights between frameworks, compare two of them."""
