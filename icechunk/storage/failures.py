"""Translates the errors of clients of object stores into errors that say what to do.

Clients quote URLs, and URLs may contain signatures. Their text is therefore never shown as it is:
status and error code are taken from it, and query strings are removed.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from icechunk.config.resolve import Retries
from icechunk.core.errors import ErrorKind, IcechunkError, StorageError
from icechunk.core.timing import outcome_of, pairs
from icechunk.storage.base import missing
from icechunk.storage.requests import REQUESTS

T = TypeVar("T")

_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})|\bstatus[: ]+(\d{3})\b|HTTP status (\d{3})")
_REGION = re.compile(r"<Region>([a-z0-9-]{2,32})</Region>|expecting &?#?\w*;?'?([a-z0-9-]{2,32})")
_TRIES = re.compile(r"after (\d+) retries")
_QUERY = re.compile(r"\?[^\s)\"']*")
_URL_USER = re.compile(r"//[^/\s@]+@")
_BODY = re.compile(r": ?(<\?xml|<Error|<!DOCTYPE|<html|\{).*", re.DOTALL)

_CLOSED = 499
"""Status of proxies that lost the connection to the server."""

_MISSING_PLACES = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName", "NoSuchContainer"}

_DENIALS = {
    "InvalidAccessKeyId": "the access key id is not known there; check the credentials",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key id; "
    "check the credentials",
    "ExpiredToken": "the credentials have expired; give fresh ones, or get_credentials to renew",
    "InvalidToken": "the session token is not valid; give the token that belongs to the key pair",
    "RequestTimeTooSkewed": "this machine's clock is too far from the server's; set it",
    "AuthenticationFailed": "the credentials are not accepted; check account, key or token",
    "AuthorizationFailure": "the credentials are not allowed to do this; ask for the permission",
    "AccessDenied": "the credentials lack the permission; grant it, or use others",
}


class Details(NamedTuple):
    """What the text or the attributes of a client's error contain."""

    status: int | None
    """HTTP status, None where there was no answer."""
    code: str | None
    """The server's code for the error."""
    line: str
    """First line of the text without bodies, query strings and user names."""
    region: str | None
    """Region of the bucket, according to the server."""


def error_details(error: BaseException) -> Details:
    """Return status, code, first line and region of a client's error, without secrets."""
    text = str(error)
    attributes = _attributes(error)
    code = _CODE.search(text)
    status = _STATUS.search(text)
    region = _REGION.search(text)
    line = _BODY.sub("", text.split("\n\nDebug source", 1)[0]).splitlines()
    shown = _URL_USER.sub("//", _QUERY.sub("", line[0] if line else type(error).__name__))
    return Details(
        int(next(group for group in status.groups() if group)) if status else attributes[0],
        code[1] if code else attributes[1],
        shown[:300],
        next((group for group in region.groups() if group), None) if region else None,
    )


def _attributes(error: BaseException) -> tuple[int | None, str | None]:
    """Return status and code of the clients behind fsspec, which keep them in attributes."""
    for each in (error, error.__cause__):
        response = getattr(each, "response", None)
        if isinstance(response, dict):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status, response.get("Error", {}).get("Code")
        for name in ("status_code", "code", "status"):  # adlfs, gcsfs, aiohttp
            status = getattr(each, name, None)
            if isinstance(status, int) and 100 <= status < 600:
                code = getattr(each, "error_code", None)
                return status, None if code is None else str(getattr(code, "value", code))
    return None, None


def translated(error: BaseException, key: str, where: str) -> IcechunkError:
    """Return the error of this library for an error of a client.

    Parameters
    ----------
    error : BaseException
        What the client raised.
    key : str
        Object of the request; empty for a listing.
    where : str
        The storage, without secrets.

    Returns
    -------
    StorageError
        ``object-not-found``, ``throttled``, ``storage-config`` for a bucket that does not exist or
        a wrong region, ``object-store`` for everything else.
    """
    if isinstance(error, IcechunkError):
        return error
    details = error_details(error)
    if details.code in _MISSING_PLACES:
        return StorageError(
            f"the bucket or container of {where} does not exist ({details.code}). Check its name, "
            "the region and the endpoint, or create it",
            ErrorKind.STORAGE_CONFIG,
        )
    if isinstance(error, FileNotFoundError) or details.status == 404:
        return missing(key, where)
    return _refused(error, details, key, where) or _failed(error, details, key, where)


def explained(get: Callable[[], object]) -> Callable[[Exception, str, str], Exception]:
    """Translation of what a HEAD request raised: its answer has no body, so no reason.

    Parameters
    ----------
    get : callable
        Sends a GET request, which fails with the reason of the server when HEAD was refused.
    """

    def translate(error: Exception, key: str, where: str) -> Exception:
        details = error_details(error)
        if details.status in (400, 401, 403) and details.code is None:
            try:
                get()
            except StorageError as reason:
                if reason.kind not in (ErrorKind.OBJECT_NOT_FOUND, ErrorKind.INVALID_OBJECT_SIZE):
                    return reason
        return translated(error, key, where)

    return translate


def _refused(error: BaseException, details: Details, key: str, where: str) -> StorageError | None:
    """Return the error of a request that was denied, or for which there were no credentials."""
    name = type(error).__name__
    what = f"`{key}` in {where}" if key else where
    code = details.code or (f"status {details.status}" if details.status else name)
    if details.region or code in ("PermanentRedirect", "AuthorizationHeaderMalformed"):
        right = f"; the server says {details.region}" if details.region else ""
        return StorageError(
            f"wrong region for {where} ({code}){right}. Give region=... as the bucket has it",
            ErrorKind.STORAGE_CONFIG,
        )
    if details.status in (301, 307, 308) or "redirect" in details.line.lower():
        return StorageError(
            f"{where} answers with a redirect: the bucket is in another region, or the endpoint "
            "is not right. Give region=... as the bucket has it",
            ErrorKind.STORAGE_CONFIG,
        )
    if "credentials" in details.line and details.status is None:
        return StorageError(
            f"no credentials for {where}: {details.line}. Give credentials, put them into the "
            "environment, or say anonymous=True",
            ErrorKind.OBJECT_STORE,
        )
    denied = details.status in (401, 403) or name in (
        "PermissionDeniedError",
        "UnauthenticatedError",
        "PermissionError",
    )
    if denied or code in _DENIALS:
        advice = _DENIALS.get(code, "the credentials are not accepted, or lack the permission")
        return StorageError(f"permission denied: {what} ({code}): {advice}", ErrorKind.OBJECT_STORE)
    return None


def _failed(error: BaseException, details: Details, key: str, where: str) -> StorageError:
    """Return the error of a request without an answer, throttled, or failed at the server."""
    what = f"`{key}` in {where}" if key else where
    tries = _TRIES.search(str(error))
    often = f" (tried {int(tries[1]) + 1} times)" if tries else ""
    if details.status in (429, 503) or details.code in ("SlowDown", "TooManyRequests"):
        return StorageError(
            f"throttled: the server of {what} asks for fewer requests{often}. Lower the "
            "concurrency, or raise the storage settings' retries",
            ErrorKind.THROTTLED,
        )
    if details.status is None:
        timeout = "timed out" in str(error).lower() or "timedout" in str(error).lower()
        why = "did not answer in time" if timeout else "cannot be reached"
        return StorageError(
            f"object store error: the server of {what} {why}{often}: {details.line}. Check the "
            "endpoint and the network, or raise the storage settings' timeouts",
            ErrorKind.OBJECT_STORE,
        )
    return StorageError(
        f"object store error: the server of {what} answered {details.status} "
        f"{details.code or ''}{often}: {details.line}. Try again; if it "
        "persists, ask the operator of the server",
        ErrorKind.OBJECT_STORE,
    )


def unanswered(error: BaseException) -> bool:
    """Whether a request got no answer and was not repeated by the client.

    Clients repeat requests that read. One that writes is sent once when the connection breaks,
    since it may have been carried out.
    """
    text = str(error)
    if type(error).__name__ != "GenericError" or _TRIES.search(text) is not None:
        return False
    status = error_details(error).status
    return status == _CLOSED or (status is None and "HTTP error" in text)


def guarded(
    call: Callable[[], T],
    key: str,
    where: str,
    retries: Retries | None = None,
    translate: Callable[[Exception, str, str], Exception] = translated,
) -> T:
    """Send a request; raise a failure translated, and not chained to the client's error.

    Parameters
    ----------
    call
        Sends the request.
    key, where
        For the message: the object and the storage.
    retries
        How often to repeat a request without an answer; only for requests that may be carried out
        twice.
    translate
        Makes the error to raise, as `translated` does.
    """
    for tries, wait in enumerate([*(waits(retries) if retries else ()), None], 1):
        try:
            return call()
        except Exception as error:  # every error of a client is translated here
            failure = translate(error, key, where)
            again = wait is not None and unanswered(error)
        if not again or wait is None:
            break
        log_retry(key, where, tries, wait, failure)
        time.sleep(wait)
    raise failure


def log_retry(key: str, where: str, tries: int, wait: float, failure: BaseException) -> None:
    """Log at level INFO that a request is repeated.

    Parameters
    ----------
    key, where
        The object and the storage, without secrets.
    tries
        How often it has been sent.
    wait
        Seconds until it is sent again.
    failure
        The error; its message is not logged.
    """
    fields = {"key": key, "tries": tries, "wait_ms": round(wait * 1000), "storage": where}
    REQUESTS.info("retry %s", pairs({**fields, "cause": outcome_of(failure)}))


def waits(retries: Retries) -> Iterator[float]:
    """Yield the seconds to wait before each repetition: exponential backoff with full jitter."""
    longest = retries.initial_backoff_ms / 1000
    for _ in range(max(retries.max_tries - 1, 0)):
        yield random.uniform(0, longest)
        longest = min(longest * 2, retries.max_backoff_ms / 1000)
