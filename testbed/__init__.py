"""Build patched kernels, boot them on declared NUMA machines, and say what regressed."""

__version__ = "0.1.0"
