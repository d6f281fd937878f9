"""How a model learns: any `nn.Module`, any iterable of batches, any device."""
