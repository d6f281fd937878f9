"""The exercises, one module a notebook, named by topic. Each holds a list `EXERCISES` and is found by itself."""
