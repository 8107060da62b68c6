"""Data in object storage and on web servers: which URIs there are, and what of them is part of a recipe."""

import pytest

from distill_api import DistillationJob
from distill_api.elsewhere import is_elsewhere
from distill_api.naming import recipe_digest

PLACES = [
    "s3://box/sets/digits",
    "s3://box",
    "s3://My_old.box-1/a key/with?signs#in it",
    "gs://box/sets/",
    "https://host.example/data.csv",
    "https://host.example:8443/sets/?signature=a%2Fb",
    "http://10.0.0.1/x/",
]


def files(uri, **more):
    return {"spec.dataset": {"files": {"uri": uri, "format": "Csv", **more}}}


@pytest.mark.parametrize("uri", PLACES)
def test_places(spoil, uri):
    job = DistillationJob.model_validate(spoil(files(uri, sizeLimit="100Gi")))
    assert is_elsewhere(job.spec.dataset.files.uri)
    assert job.spec.dataset.files.size_limit_bytes == 100 * 2**30


@pytest.mark.cluster
@pytest.mark.parametrize("uri", PLACES)
def test_the_api_server_takes_them(dry, spoil, uri):
    dry.apply(spoil(files(uri, sizeLimit="100Gi")), "--dry-run=server")


def test_what_is_mounted_is_not_fetched():
    assert not any(map(is_elsewhere, ("pvc://claim/x", "file:///x", "s3:/x", "/s3://x")))


def test_a_secret_and_a_limit_are_no_part_of_the_recipe(spoil):
    plain, guarded, other = (
        DistillationJob.model_validate(spoil(changes)).spec
        for changes in (
            files("s3://box/x"),
            files("s3://box/x", sizeLimit="1Gi") | {"spec.dataset.secretRef": {"name": "s3"}},
            files("s3://box/y"),
        )
    )
    assert recipe_digest(plain) == recipe_digest(guarded)
    assert recipe_digest(plain) != recipe_digest(other)
