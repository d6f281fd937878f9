"""Fetch one file over HTTP: resumed where it was cut, with a word on how it goes, given up where a host is too slow."""

import contextlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

SLOW = 200_000  # bytes/s. CIFAR-10 at this speed takes a quarter of an hour; the original host gives a quarter of it
WATCH = 10.0  # seconds over which a speed is judged
TIMEOUT = 10.0  # seconds without a byte
CUTS = 20  # cut connections in one download; two in a row that brought nothing end it sooner
CHUNK = 1 << 18


class DownloadError(Exception):
    """A file could not be fetched; the message says from where and why."""


class SlowHost(DownloadError):
    """A host sends less than `SLOW`; `.rate` is what it sent, in bytes/s."""

    def __init__(self, host: str, rate: float) -> None:
        super().__init__(f"{host} sends only {rate / 1000:,.0f} kB/s")
        self.rate = rate


class _Cut(Exception):
    """The connection ended before the file did."""


def download(url: str, path: Path, patient: bool = False, note: str = "") -> None:
    """Fetch `url` to `path`; nothing is done if `path` is there.

    What arrives is kept in `path.part` until the file is whole, and only then gets its name. So `path` is whole or not
    there, and a download that was cut (or interrupted by hand) goes on where it ended, if the host can do that; the
    same file from another host goes on there too. Whether it is the *right* file is for the caller to check, and to
    remove it if not. Two processes may fetch the same file at once: both write the same bytes to the same places.

    Args:
        patient: wait for a slow host, and say for how long, instead of giving it up.
        note: printed once the host answers.

    Raises:
        SlowHost: fewer than `SLOW` bytes/s over `WATCH` seconds, unless `patient`.
        DownloadError: no connection, no such file, or cut again and again.
        OSError: the file cannot be written here.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.touch()
    fruitless = 0
    for _ in range(CUTS):
        before = part.stat().st_size
        try:
            _fetch(url, part, patient, note)
        except _Cut as cut:
            fruitless = fruitless + 1 if part.stat().st_size == before else 0
            if fruitless == 2:
                raise DownloadError(f"{urlsplit(url).netloc}: {cut}") from cut
            print(f"  the connection was cut after {part.stat().st_size / 1e6:,.1f} MB ({cut}); going on from there")
            note = ""
        else:
            return os.replace(part, path)
    raise DownloadError(f"{urlsplit(url).netloc} cut the connection {CUTS} times")


def _fetch(url: str, part: Path, patient: bool, note: str) -> None:
    """Bring `part` to its full length over one connection. Raises _Cut, SlowHost, DownloadError."""
    host, start = urlsplit(url).netloc, part.stat().st_size
    headers = {"User-Agent": "vit-course", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{start}":
            return  # nothing beyond what is there: it is whole already
        if error.code == 416:
            part.unlink()  # longer than the file: not a part of it
            raise DownloadError(f"{host} has a shorter file than the part that is here, which is deleted") from error
        raise DownloadError(f"{host} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:  # URLError, time-outs and resets are OSErrors
        raise DownloadError(f"{host}: no connection ({getattr(error, 'reason', error)})") from error
    with response, open(part, "r+b") as file:
        if response.status != 206:
            start = 0  # this host cannot resume: from the beginning
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        file.seek(start)
        if note:
            print(note)
        here, mark, marked = start, time.monotonic(), start
        with contextlib.closing(_Progress(start, total)) as progress:
            while total is None or here < total:
                try:
                    chunk = response.read1(CHUNK)  # read1: what has come, rather than waiting until a chunk is full
                except (OSError, http.client.HTTPException) as error:
                    rate = (here - marked) / (time.monotonic() - mark)
                    if isinstance(error, TimeoutError) and rate < SLOW and not patient:
                        raise SlowHost(host, rate) from error
                    raise _Cut(error) from error
                if not chunk:
                    break
                file.write(chunk)
                here += len(chunk)
                progress.update(here)
                seconds = time.monotonic() - mark
                if seconds >= WATCH and here != total:
                    rate = (here - marked) / seconds
                    if rate < SLOW and not patient:
                        raise SlowHost(host, rate)
                    mark, marked = time.monotonic(), here
        if total is not None and here < total:
            raise _Cut(f"{(total - here) / 1e6:,.1f} MB were still to come")
        file.truncate(here)


class _Progress:
    """A bar in a terminal; elsewhere (a notebook, a log) a line at every quarter, and every minute if it is slow."""

    def __init__(self, start: int, total: int | None) -> None:
        self.start, self.total, self.began = start, total, time.monotonic()
        self.quarter, self.spoke, self.bar = 4 * start // total if total else 0, self.began, None
        if sys.stderr.isatty():
            from tqdm import tqdm  # the plain one: tqdm.auto stores a widget in a notebook

            self.bar = tqdm(initial=start, total=total, unit="B", unit_scale=True, leave=False)

    def update(self, here: int) -> None:
        if self.bar is not None:
            self.bar.update(here - self.bar.n)
            return
        now = time.monotonic()
        quarter = 4 * here // self.total if self.total else 0
        if quarter > self.quarter or now - self.spoke > 60 or (self.spoke == self.began and now - self.began > WATCH):
            rate = (here - self.start) / max(now - self.began, 1e-3)
            text = f"  {here / 1e6:,.1f} MB"
            if self.total:
                minutes = (self.total - here) / rate / 60
                left = f", {minutes:,.0f} minutes left" if minutes > 1 else ""
                text = f"  {here / 1e6:,.1f} of {self.total / 1e6:,.1f} MB at {rate / 1e6:,.2f} MB/s{left}"
            print(text, flush=True)
            self.quarter, self.spoke = quarter, now

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
