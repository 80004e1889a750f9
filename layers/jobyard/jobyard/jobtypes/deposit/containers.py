"""Reads the members of a container one by one, and refuses known attacks by containers.

Nothing is written to a disk here, so no path can leave its folder. But a reader of the archive will
write the object to a disk, so such names are refused.
"""

import bz2
import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from jobyard.jobtypes.deposit.container_limits import ContainerLimits, broken, shown
from jobyard.jobtypes.deposit.member import Member, guarded, refusing_broken
from jobyard.jobtypes.deposit.staged_reader import StagedReader
from jobyard.jobtypes.deposit.tars import tar_members
from jobyard.jobtypes.deposit.zips import zip_members
from jobyard.jobtypes.http_client import BLOCK


@dataclass
class Container:
    """The container `name` of `size` bytes. `remaining` returns the seconds the worker has left."""

    name: str
    size: int
    reader: StagedReader
    remaining: Callable[[], float]

    def __post_init__(self) -> None:
        self._limits = ContainerLimits(self.size, self.remaining)

    def members(self) -> Iterator[Member]:
        """The files in the container, in its order. Folders are left out.

        Raises:
            Refused: BAD_CONTAINER, it cannot be unpacked; CONTAINER_LIMIT, it exceeds a limit;
                TIMEOUT, the worker's time is up.
        """
        with refusing_broken():
            yield from self._found()
        if not self._limits.names:
            raise broken(f"{shown(self.name)} has no file in it")

    @property
    def remarks(self) -> str:
        """What was left out or changed, and which names some disks cannot store; "" for nothing.

        Complete only after all members were read.
        """
        return self._limits.remarks.text()

    def _found(self) -> Iterator[Member]:
        lower = self.name.lower()
        if lower.endswith(".zip"):
            return zip_members(self.reader, self._limits)
        if lower.endswith(".tar"):
            return tar_members(self.reader, self._limits)
        if lower.endswith(".tar.gz"):
            unpacked = gzip.GzipFile(fileobj=io.BufferedReader(self.reader))
            return tar_members(unpacked, self._limits)
        if lower.endswith(".bz2"):
            return self._bzip2()
        raise broken(f"{shown(self.name)} is not .zip, .tar, .tar.gz or .bz2")

    def _bzip2(self) -> Iterator[Member]:
        """The files of a compressed tar, or one compressed file, which loses the ending `.bz2`."""
        buffered = io.BufferedReader(self.reader)
        start = bz2.BZ2File(buffered).read(tarfile.BLOCKSIZE)
        buffered.seek(0)
        if self.name.lower().endswith(".tar.bz2") or start[257:262] == b"ustar":
            yield from tar_members(bz2.BZ2File(buffered), self._limits)
            return
        inner = self._limits.admit(self.name.rpartition("/")[2][: -len(".bz2")])
        self._limits.check_names()
        yield Member(inner, guarded(self._counted(bz2.BZ2File(buffered))))

    def _counted(self, source: IO[bytes]) -> Iterator[bytes]:
        while block := source.read(BLOCK):
            self._limits.count_bytes(len(block))
            yield block
