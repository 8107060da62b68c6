"""What every API model shares: camelCase on the wire, snake_case in Python, frozen, unknown fields refused.

Rules that need more than a field's own range are written once here and end in two places: pydantic checks them
in Python, and the CRD carries them as CEL (https://kubernetes.io/docs/reference/using-api/cel/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

DURATION_PATTERN = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"

Duration = Annotated[
    str,
    Field(
        pattern=DURATION_PATTERN,
        min_length=2,
        max_length=32,
        json_schema_extra={"x-says": "must be a duration such as 30s, 5m or 1h30m"},
    ),
]
"""A span of time as Kubernetes users write it: `30s`, `5m`, `1h30m`. `seconds` turns it into a number."""

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        json_schema_extra={
            "x-says": "must be the name of a Kubernetes object: lower-case letters, digits, - and ., as in team-a"
        },
    ),
]
"""The name of a Kubernetes object (RFC 1123 subdomain)."""

ServiceName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=40,
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra={
            "x-says": "must be at most 40 lower-case letters, digits and -, and begin with a letter, as in digits-eu"
        },
    ),
]
"""The name of a service that versions are rolled out under: short, so that every derived host label stays ≤ 63."""


URI_SAYS = "must be pvc://<claim>/<path> or file:///<path>, without .. in the path"


def stay_below(uri: str, says: str) -> str:
    """The URI. Raises ValueError with the sentence where its path climbs out of where it begins."""
    if ".." in uri.split("/"):
        raise ValueError(says)
    return uri


HubId = Annotated[str, Field(min_length=1, max_length=256)]

Uri = Annotated[
    str,
    Field(
        min_length=8,
        max_length=1024,
        pattern=r"^(pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/.+|file:///.+)$",
        json_schema_extra={
            "x-says": URI_SAYS,
            "x-rule": r"!self.matches('/\\.\\.(/|$)')",
        },
    ),
    AfterValidator(lambda uri: stay_below(uri, URI_SAYS)),
]
"""Where something lies: `pvc://<claim>/<path>` in a cluster, `file:///<path>` in the container."""


@dataclass(frozen=True)
class Rule:
    """A CEL rule of the CRD and the sentence a user reads when it does not hold.

    `field` is the field below the model that is at fault (as it is written in YAML), where there is one. A Python
    validator beside the rule says the same; `check` raises what it needs to.
    """

    rule: str
    message: str
    field: str = ""

    def check(self, *, holds: bool) -> None:
        """Raises ValueError with the rule's sentence where it does not hold."""
        if not holds:
            raise ValueError(f"{self.field}: {self.message}" if self.field else self.message)


class ApiModel(BaseModel):
    """Base of every model of the API.

    `exactly_one_of` names fields (in Python's spelling) of which exactly one must be set; `cel` holds further rules,
    `frozen_fields` those that may not change once the object exists (CEL `self == oldSelf`).
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_enum_values=False
    )
    exactly_one_of: ClassVar[tuple[str, ...]] = ()
    cel: ClassVar[tuple[Rule, ...]] = ()
    frozen_fields: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _check_exactly_one(self) -> Self:
        if not self.exactly_one_of:
            return self
        given = [to_camel(name) for name in self.exactly_one_of if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(exactly_one_message([to_camel(name) for name in self.exactly_one_of], given))
        return self

    def wire(self) -> dict[str, Any]:
        """The object as it is written to JSON or YAML: camelCase, nothing that is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def exactly_one_message(names: list[str], given: list[str]) -> str:
    """The sentence for alternatives (in YAML's spelling) of which none or several are set."""
    return f"set exactly one of {', '.join(names)}; set now: {' '.join(given) or 'none'}"


def seconds(duration: str) -> int:
    """`1h30m` → 5400. Raises ValueError where the text is no duration."""
    match = re.fullmatch(DURATION_PATTERN, duration)
    if not duration or match is None:
        raise ValueError(f"{duration!r} is no duration: write it as 30s, 5m or 1h30m")
    hours, minutes, rest = (int(part[:-1]) if part else 0 for part in match.groups())
    return hours * 3600 + minutes * 60 + rest
