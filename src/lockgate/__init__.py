"""FTP over TLS, whole: the public names, nothing else."""

from ._version import __version__

__all__ = ["__version__"]
