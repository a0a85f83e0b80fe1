"""What the jobs of one submit share: kind, settings, how they are run, and where imported ones come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from db.layouts import Layout
from jobs.records import Code, Fingerprint, Surroundings, Terms
from jobs.reported import Declared
from jobs.resources import Asked, Resources


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an exported job was in its own store: what tables say of it beyond its config and its numbers."""

    key: str = ""
    """Names the job wherever it is imported: its key and, where it rests on a search, that one's name too."""
    imported: bool = False
    """It was made elsewhere and imported from a person's own file: nobody drew its random architecture for anything."""
    search: str = ""
    """The name of its search; the rows of one search share it."""
    state: Literal["succeeded", "failed"] = "succeeded"
    error: str = ""
    lacking: tuple[str, ...] = ()
    """Metrics that it reported without a finite value."""
    device_name: str = ""
    code: str = ""
    code_changed: bool = False
    gpu_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """0 where no GPU was used, or nobody knows; so for `cpu_seconds`."""
    cpu_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    flags: dict[str, str] = msgspec.field(default_factory=dict)
    label: str = ""
    experiment: str = ""
    """Of a study file."""
    live: bool = False
    declared: dict[str, Declared] = msgspec.field(default_factory=dict)
    """What a person said of its metrics, without the patterns that found them."""
    tables: tuple[Layout, ...] = ()
    """Of the first row of a file alone: how its study's tables are laid out."""


class Launching(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How jobs are run, outside the job key."""

    device: str = "auto"
    resources: Resources = Resources()
    asked: Asked = Asked()
    backend: str = "auto"
    cwd: str = ""
    data_dir: str | None = None
    fingerprint: Fingerprint | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    origin: Origin | None = None
    """Of an imported job: it was launched elsewhere."""
    label: str = ""
    """A person's name for it (`--name`)."""
    written: dict[str, str] = msgspec.field(default_factory=dict)
    code: Code | None = None
    surroundings: Surroundings | None = None

    def terms(self) -> Terms:
        """What a worker is told of it."""
        return Terms(
            device=self.device,
            cwd=self.cwd,
            data_dir=self.data_dir,
            fingerprint=self.fingerprint,
            options=self.options,
            written=self.written,
            code=self.code,
            surroundings=self.surroundings,
        )


class Template(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the jobs of one submit share: kind, canonical config and launching."""

    kind: str
    kind_version: int
    preset: str
    config: dict[str, Any]
    dataset: str = ""
    launching: Launching = Launching()
