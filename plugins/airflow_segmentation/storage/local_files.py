"""Local files, reached name by name and through no link.

A path is resolved, with the links in it, and checked before it is opened. Meanwhile another process may put a
link where one of its folders was. Here every folder is opened by its name in the one before, and a link is
none, so that what is opened, written, renamed or removed is what was checked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from typing import IO, Any

from fsspec.implementations.local import LocalFileSystem

# To go through a folder takes no right to list it; on macOS, which has no O_PATH, it does here.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK  # a pipe without a writer would block
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class NotRegularError(OSError):
    """A device, a pipe or a socket, which may have no end."""


class NoLinksError(OSError):
    """A disk on which a file has one name only, so that none can appear complete where none was."""


class LocalFiles(LocalFileSystem):
    """The local filesystem, for paths in which every link is resolved.

    What lists folders and tells sizes and times is fsspec's own, and follows links.
    """

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **kwargs: Any) -> IO[bytes]:
        """Open a file to read, or a new one to write.

        :raises NotRegularError: if it is a device, a pipe or a socket.
        """
        with _folder_of(path) as (folder, name):
            descriptor = os.open(name, _WRITE if mode == "wb" else _READ, 0o666, dir_fd=folder)
        try:
            _require_regular(os.fstat(descriptor), path)
            return os.fdopen(descriptor, mode)
        except BaseException:
            os.close(descriptor)
            raise

    def create(self, path: str, content: bytes) -> None:
        """Write a small file that nobody sees before all of it is there.

        :raises FileExistsError: if there is one of that name.
        :raises NoLinksError: if the disk cannot give a file a second name.
        """
        with _folder_of(path) as (folder, name):
            hidden = f".{name}.{uuid.uuid4().hex}"
            descriptor = os.open(hidden, _WRITE, 0o666, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                os.link(hidden, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise NoLinksError(error.errno, "no hard links", path) from None
                raise
            finally:
                os.unlink(hidden, dir_fd=folder)

    def mv(self, path1: str, path2: str, *_: Any, **__: Any) -> None:
        """Give a file another name, which no device or folder may have."""
        with _folder_of(path1) as (folder, name), _folder_of(path2) as (other_folder, other_name):
            with contextlib.suppress(FileNotFoundError):
                _require_regular(os.stat(other_name, dir_fd=other_folder, follow_symlinks=False), path2)
            os.rename(name, other_name, src_dir_fd=folder, dst_dir_fd=other_folder)

    def rm(self, path: str, *_: Any, **__: Any) -> None:
        """Remove a file."""
        self.rm_file(path)

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        with _folder_of(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        with _folder_of(path) as (folder, name):
            os.rmdir(name, dir_fd=folder)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder, and those that it lies in."""
        with _folder_of(f"{path}/.", make=True):
            pass


@contextlib.contextmanager
def _folder_of(path: str, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder that a file lies in, and give it with the file's name in it.

    :raises NotADirectoryError: if there is a link or a file in a folder's place.
    """
    *folders, name = path.strip("/").split("/")
    descriptor = os.open("/", _FOLDER)
    try:
        for folder in folders:
            if folder == "..":
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            try:
                inner = os.open(folder, _FOLDER, dir_fd=descriptor)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=descriptor)
                inner = os.open(folder, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor, name or "."
    finally:
        os.close(descriptor)


def _require_regular(found: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found.st_mode):
        raise NotRegularError(errno.EINVAL, "not a regular file", path)
