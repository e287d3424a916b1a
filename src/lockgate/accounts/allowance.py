"""What an account may use: how much it may store, how fast it may move data.

Numbers only: nothing here counts or waits.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Allowance"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """An account's own limits; 0: none; None: as the server says (for `upload_rate`, `download_rate`: none).

    Attributes:
        quota_bytes: How much there may be in its home.
        quota_files: How many files and directories there may be in its home.
        upload_rate: Bytes a second of all its sessions together, towards the server.
        download_rate: The same from the server.
        session_upload_rate: Bytes a second of each session, towards the server.
        session_download_rate: The same from the server.
    """

    quota_bytes: int | None = None
    quota_files: int | None = None
    upload_rate: int | None = None
    download_rate: int | None = None
    session_upload_rate: int | None = None
    session_download_rate: int | None = None
