"""The network: configuration, layers, structure and texture synthesizers, model files."""
