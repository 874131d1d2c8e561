"""Credentials: which kind the arguments choose, identity, refreshing."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from icechunk import credentials as functions
from icechunk.config.credentials import (
    AzureCredentials,
    AzureRefreshableCredential,
    AzureStaticCredentials,
    Credentials,
    GcsBearerCredential,
    GcsCredentials,
    GcsStaticCredentials,
    S3Credentials,
    S3StaticCredentials,
    refreshed,
)
from icechunk.core.errors import InvalidInputError
from tests.oracle import run_reference

SOON = datetime(2030, 1, 1, tzinfo=UTC)
PAIR = S3StaticCredentials("key", "secret", None, SOON)
CALLS: list[int] = []


def pair() -> S3StaticCredentials:
    CALLS.append(1)
    return PAIR


def nothing() -> None:
    """Not a credential."""


CHOICES: dict[str, list[dict[str, Any]]] = {
    "s3": [
        {},
        {"anonymous": True},
        {"anonymous": False},
        {"from_env": True},
        {"from_env": False},
        {"anonymous": True, "from_env": True},
        {"anonymous": True, "access_key_id": "a"},
        {"from_env": True, "access_key_id": "a"},
        {"access_key_id": "a"},
        {"access_key_id": "a", "secret_access_key": "b"},
        {"secret_access_key": "b"},
        {"access_key_id": "a", "secret_access_key": "b", "session_token": "c"},
        {"access_key_id": "a", "secret_access_key": "b", "from_env": False, "anonymous": False},
        {"session_token": "c"},
        {"get_credentials": True},
        {"get_credentials": True, "access_key_id": "a"},
        {"get_credentials": True, "from_env": True},
        {"get_credentials": True, "anonymous": True},
        {"get_credentials": True, "from_env": False, "anonymous": False},
        {"from_env": True, "anonymous": False},
        {"anonymous": True, "from_env": False},
    ],
    "gcs": [
        {},
        {"service_account_file": "a"},
        {"service_account_key": "a"},
        {"application_credentials": "a"},
        {"bearer_token": "a"},
        {"anonymous": True},
        {"from_env": True},
        {"from_env": False},
        {"anonymous": True, "from_env": True},
        {"service_account_file": "a", "service_account_key": "b"},
        {"service_account_file": "a", "from_env": True},
        {"service_account_file": "a", "anonymous": True},
        {"get_credentials": True, "from_env": False},
        {"get_credentials": True, "bearer_token": "a"},
        {"get_credentials": True, "anonymous": True},
        {"anonymous": False, "from_env": False},
    ],
    "azure": [
        {},
        {"access_key": "a"},
        {"sas_token": "a"},
        {"bearer_token": "a"},
        {"anonymous": True},
        {"from_env": True},
        {"from_env": False},
        {"anonymous": True, "from_env": True},
        {"access_key": "a", "sas_token": "b"},
        {"access_key": "a", "from_env": True},
        {"access_key": "a", "anonymous": True},
        {"get_credentials": True},
        {"get_credentials": True, "from_env": True},
        {"get_credentials": True, "bearer_token": "a"},
        {"anonymous": False, "from_env": False},
    ],
}


def _chosen(family: str, arguments: dict[str, Any]) -> list[str]:
    given = {name: print if name == "get_credentials" else v for name, v in arguments.items()}
    try:
        made = getattr(functions, f"{family}_credentials")(**given)
    except ValueError as error:
        return (
            ["ValueError"] if str(error).startswith("Conflicting arguments to ") else [str(error)]
        )
    inner = [type(made._0).__qualname__] if type(made).__name__ == "Static" else []
    return [type(made).__qualname__, *inner]


@pytest.mark.oracle
def test_the_reference_chooses_the_same_credentials() -> None:
    theirs = run_reference(
        """
        import icechunk as ic
        def chosen(family, arguments):
            given = {n: print if n == "get_credentials" else v for n, v in arguments.items()}
            try:
                made = getattr(ic, family + "_credentials")(**given)
            except ValueError:
                return ["ValueError"]
            inner = [type(made._0).__qualname__] if type(made).__name__ == "Static" else []
            return [type(made).__qualname__, *inner]
        result = {f: [chosen(f, a) for a in choices] for f, choices in args[0].items()}
        """,
        CHOICES,
    )
    ours = {f: [_chosen(f, a) for a in choices] for f, choices in CHOICES.items()}
    assert ours == theirs


def test_a_refresh_function_for_google_is_not_ignored() -> None:
    assert _chosen("gcs", {"get_credentials": True}) == ["GcsCredentials.Refreshable"]
    assert _chosen("gcs", {"get_credentials": True, "from_env": True}) == ["ValueError"]


def test_credentials_compare_by_identity() -> None:
    assert S3StaticCredentials("a", "b") != S3StaticCredentials("a", "b")
    one = S3Credentials.FromEnv()
    assert one == one
    assert one != S3Credentials.FromEnv()
    assert len({one, S3Credentials.FromEnv(), PAIR}) == 3


def test_static_credentials_are_mutable_and_checked() -> None:
    made = S3StaticCredentials("a", "b")
    made.access_key_id = "q"
    assert made.access_key_id == "q"
    with pytest.raises(TypeError, match="non-None tzinfo"):
        made.expires_after = datetime(2020, 1, 1)
    with pytest.raises(AttributeError, match="not writable"):
        GcsBearerCredential("x").bearer = "z"
    with pytest.raises(TypeError, match="positional"):
        GcsBearerCredential("x", SOON)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: S3Credentials.Static(None), "'None' is not an instance of 'S3StaticCredentials'"),
        (lambda: S3Credentials.Refreshable("a", None), "not an instance of 'bytes'"),
        (lambda: Credentials.S3(GcsCredentials.FromEnv()), "not an instance of 'S3Credentials'"),
        (lambda: AzureStaticCredentials.AccessKey(1), "not an instance of 'str'"),
        (lambda: S3Credentials(), "cannot create 'S3Credentials' instances"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        make()


def test_variants_have_their_fields() -> None:
    refreshable = S3Credentials.Refreshable(pickled_function=b"a", current=PAIR)
    assert (refreshable.pickled_function, refreshable.current) == (b"a", PAIR)
    key = AzureRefreshableCredential.AccessKey("k", SOON)
    assert (key.key, key.expires_after) == ("k", SOON)
    match key:
        case AzureRefreshableCredential.AccessKey(text, _):
            assert text == "k"
        case _:
            pytest.fail("not matched")
    assert GcsStaticCredentials.ServiceAccount("p")[0] == "p"
    assert isinstance(functions.azure_anonymous_credentials(), AzureCredentials.Anonymous)
    assert isinstance(functions.gcs_anonymous_credentials(), GcsCredentials.Anonymous)


def test_refresh_functions_are_pickled() -> None:
    CALLS.clear()
    lazy = functions.s3_refreshable_credentials(pair)
    assert (lazy.current, CALLS) == (None, [])
    eager = functions.s3_refreshable_credentials(pair, scatter_initial_credentials=True)
    assert eager.current is PAIR
    travelled = pickle.loads(pickle.dumps(eager))
    assert travelled.current.access_key_id == "key"
    assert refreshed(travelled) is PAIR
    with pytest.raises((AttributeError, pickle.PicklingError)):
        functions.s3_refreshable_credentials(lambda: PAIR)


def test_refresh_functions_must_return_credentials() -> None:
    for make in (
        lambda: refreshed(functions.gcs_refreshable_credentials(nothing)),  # type: ignore[arg-type]
        lambda: functions.azure_refreshable_credentials(nothing, True),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidInputError, match="refresh function returned") as caught:
            make()
        assert caught.value.kind == "invalid-credentials"


def test_authorisation_of_containers() -> None:
    wrapped = functions.containers_credentials(
        {
            "s3://a/": functions.s3_credentials(),
            "gs://a/": functions.gcs_credentials(),
            "az://a/": functions.azure_credentials(),
            "file:///a/": functions.LocalFileSystemAccess,
            "http://a/": functions.HttpAccess,
            "s3://b/": Credentials.S3(functions.s3_credentials()),
            "s3://c/": None,
        },
        name=functions.s3_credentials(),
    )
    assert [type(value).__name__ for value in wrapped.values()] == [
        *("S3", "Gcs", "Azure", "LocalFileSystemAccess", "HttpAccess", "S3", "NoneType", "S3")
    ]
    assert functions.containers_credentials() == {}
    for wrong in (
        3,
        PAIR,
        Credentials.LocalFileSystemAccess,
        AzureStaticCredentials.AccessKey("a"),
    ):
        with pytest.raises(ValueError, match="Unknown credential type"):
            functions.containers_credentials({"s3://a/": wrong})


def test_the_access_constants_are_credentials() -> None:
    assert isinstance(functions.LocalFileSystemAccess, Credentials.LocalFileSystemAccess)
    assert isinstance(pickle.loads(pickle.dumps(functions.HttpAccess)), Credentials.HttpAccess)
    assert functions.HttpAccess, "also without data"
