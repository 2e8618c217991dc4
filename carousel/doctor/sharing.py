"""Whether the store that machines share takes a small object, gives it back and lets it go."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from carousel.doctor.findings import Fault, Found, broken, told
from carousel.doctor.place import STORE_VARIABLE, TIMEOUT, Place
from carousel.doctor.versions import extra_of

_CONTENT = b"carousel doctor"
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError"}
_NO_ANSWER = {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionError", "TimeoutError"}
_RULE = f"{STORE_VARIABLE} must be a place that can be written, read and deleted from"


def look(place: Place) -> Found:
    """Write, read and delete an object of a name that nothing else has."""
    if not place.store_url:
        yield "stages in the home"
        return
    yield place.store_url
    try:
        files, root = opened(place.store_url)
    except (ImportError, ValueError) as error:
        yield _unknown(place.store_url, error)
        return
    if "file" in _protocols(files):
        try:
            files.makedirs(root, exist_ok=True)
        except OSError as error:
            yield _refused("make", error)
            return
    key = f"{root.rstrip('/')}/.doctor-{uuid4().hex}"
    for name, method, given in (
        ("write", "pipe_file", [_CONTENT]),
        ("read", "cat_file", []),
        ("delete", "rm_file", []),
    ):
        try:
            got = in_time(files, method, key, *given)
        except Exception as error:
            yield _refused(name, error)
            return
        if name == "read" and got != _CONTENT:
            yield broken(_RULE, "an object that is not what was written", "see that no cache or proxy lies between")
    yield "written, read and deleted"


def opened(url: str) -> tuple[Any, str]:
    """Return the file system of ``url`` and the path there; connections end within the time limit.

    Raises:
        ImportError: the package for its protocol is not installed.
        ValueError: nobody knows its protocol.
    """
    from fsspec.core import url_to_fs

    options: dict[str, Any] = {}
    if url.startswith(("s3://", "s3a://")):
        limits = {"connect_timeout": TIMEOUT, "read_timeout": TIMEOUT, "retries": {"max_attempts": 1}}
        options = {"config_kwargs": limits}
    files, root = url_to_fs(url, skip_instance_cache=True, **options)
    if hasattr(files, "retries"):
        files.retries = 1
    return files, root


def in_time(files: Any, method: str, *given: Any) -> Any:
    """Call ``method`` of a file system; one that is asynchronous inside may take ``TIMEOUT`` seconds.

    Raises:
        FSTimeoutError: it takes longer; botocore's own limits do not hold for a server that accepts and is silent.
    """
    if not getattr(files, "async_impl", False):
        return getattr(files, method)(*given)
    from fsspec.asyn import sync

    return sync(files.loop, getattr(files, f"_{method}"), *given, timeout=TIMEOUT)


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _unknown(url: str, error: Exception) -> Fault:
    protocol = url.partition("://")[0]
    if isinstance(error, ValueError):
        return broken(_RULE, f"{url}: {told(error)}", "write it as s3://BUCKET/PATH, or as fsspec names the protocol")
    missing = getattr(error.__cause__, "name", None) or protocol
    return broken(_RULE, f"{protocol}://, and {told(error)}", f"pip install {extra_of(str(missing))}")


def _refused(step: str, error: Exception) -> Fault:
    """Tell apart what is in the way of ``step``, by what fsspec and botocore raise."""
    names = {kind.__name__ for kind in type(error).__mro__} | {type(error.__cause__).__name__}
    said = told(error)
    if names & _NO_CREDENTIALS:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role"
        return broken(_RULE, f"no credentials to {step} with", remedy)
    if names & _NO_ANSWER:
        remedy = "see that the object store runs and that its endpoint (AWS_ENDPOINT_URL) is reached from this machine"
        return broken(_RULE, f"no answer: {said}" if str(error) else f"no answer within {TIMEOUT:.0f} s", remedy)
    if "PermissionError" in names:
        remedy = f"correct the credentials, or allow them to {step} objects there"
        return broken(_RULE, f"not allowed to {step}: {said}", remedy)
    if "FileNotFoundError" in names:
        return broken(_RULE, said, f"make the bucket or container, or correct its name in {STORE_VARIABLE}")
    return broken(_RULE, f"cannot {step}: {type(error).__name__}: {said}", "mend what the message names")


def endpoint(url: str) -> str | None:
    """Return the URL that the object store of ``url`` answers HTTP at, if it is one."""
    protocol = url.partition("://")[0]
    if protocol in ("http", "https"):
        return url
    if protocol in ("gs", "gcs"):
        return "https://storage.googleapis.com"
    if protocol not in ("s3", "s3a") or find_spec("s3fs") is None:
        return None
    files, _ = opened(url)
    return in_time(files, "connect").meta.endpoint_url
