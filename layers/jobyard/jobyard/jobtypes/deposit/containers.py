"""What is in a container, a member at a time, with every trick of containers refused.

Nothing is written to a disk, so a path cannot lead out of a folder here; but whoever takes the
object out of the archive will write it to one, so names that would are refused all the same.
"""

import bz2
import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from jobyard.jobtypes.deposit.container_limits import ContainerLimits, broken, shown
from jobyard.jobtypes.deposit.member import Member, guarded, refusing
from jobyard.jobtypes.deposit.staged_reader import StagedReader
from jobyard.jobtypes.deposit.tars import tar_members
from jobyard.jobtypes.deposit.zips import zip_members
from jobyard.jobtypes.http_client import BLOCK


@dataclass
class Container:
    """The container `name` of `size` bytes. `remaining` tells the seconds the worker has left."""

    name: str
    size: int
    reader: StagedReader
    remaining: Callable[[], float]

    def __post_init__(self) -> None:
        self._limits = ContainerLimits(self.size, self.remaining)

    def members(self) -> Iterator[Member]:
        """The files in it, in its order. Folders are left out.

        Raises:
            Refused: BAD_CONTAINER, it cannot be unpacked; CONTAINER_LIMIT, it breaks a limit;
                TIMEOUT, the worker's time is up.
        """
        with refusing():
            yield from self._found()
        if not self._limits.names:
            raise broken(f"{shown(self.name)} has no file in it")

    @property
    def remarks(self) -> str:
        """What was left out of it or read in another way than it stands there, and which names some
        disk cannot hold; "" for nothing. All of it once all members were given."""
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
        """A packed tar, or one packed file, whose name is then the container's without `.bz2`."""
        buffered = io.BufferedReader(self.reader)
        start = bz2.BZ2File(buffered).read(tarfile.BLOCKSIZE)
        buffered.seek(0)
        if self.name.lower().endswith(".tar.bz2") or start[257:262] == b"ustar":
            yield from tar_members(bz2.BZ2File(buffered), self._limits)
            return
        inner = self._limits.admit(self.name.rpartition("/")[2][: -len(".bz2")])
        self._limits.conclude()
        yield Member(inner, guarded(self._counted(bz2.BZ2File(buffered))))

    def _counted(self, source: IO[bytes]) -> Iterator[bytes]:
        while block := source.read(BLOCK):
            self._limits.grow(len(block))
            yield block
