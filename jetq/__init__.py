"""
jetq: a task framework on NATS JetStream.

This module is the public API; everything that is not in ``__all__`` may change.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
