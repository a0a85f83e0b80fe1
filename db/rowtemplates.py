"""What the rows of one configuration and one launch share: decoded once, whatever the number of their seeds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import sealing
from db.launching import Origin
from db.rows import ResultRow
from jobs.reported import Declared
from jobs.words import JobState


class Templates:
    """A row without a result for each configuration and launch of a study; jobs of one share its very objects.

    So readers may ask once for all rows that share a `config` (by identity) what depends on nothing else.
    """

    def __init__(self, connection: Connection, study: str) -> None:
        self._study = study
        self._seals = sealing.Seals(connection)
        raw = connection.connection.driver_connection  # a study may have as many configurations as jobs
        assert raw is not None
        self._ask = raw.execute
        self._launches: dict[int, Mapping[str, Any]] = {}
        self._configs: dict[int, tuple[str, str, Mapping[str, Any], str]] = {}
        self._templates: dict[tuple[int, int, str, bool], Template] = {}

    def of(self, config: int, launch: int, kind: str | None, imported: bool) -> Template:
        """The one for jobs of that configuration (id), launch (id) and kind (None: the configuration's)."""
        if config not in self._configs:
            self._configs[config] = self._config(config)
        preset, dataset, settings, usual = self._configs[config]
        kind = kind or usual
        name = (config, launch, kind, imported)
        found = self._templates.get(name)
        if found is None:
            found = self._templates[name] = Template(
                self._study, kind, imported, (preset, dataset, settings), self._launch(launch), self._seals
            )
        return found

    def _config(self, config: int) -> tuple[str, str, Mapping[str, Any], str]:
        row = self._ask("SELECT preset, dataset, text, kind FROM config WHERE id = ?", (config,)).fetchone()
        return row[0], row[1], msgspec.json.decode(row[2]), row[3]

    def _launch(self, launch: int) -> Mapping[str, Any]:
        if launch not in self._launches:
            (text,) = self._ask("SELECT text FROM launch WHERE id = ?", (launch,)).fetchone()
            self._launches[launch] = msgspec.json.decode(text)
        return self._launches[launch]


class Template:
    """What all rows of one configuration and launch are alike in."""

    def __init__(
        self,
        study: str,
        kind: str,
        imported: bool,
        config: tuple[str, str, Mapping[str, Any]],
        launching: Mapping[str, Any],
        seals: sealing.Seals,
    ) -> None:
        preset, dataset, settings = config
        self.origin = msgspec.convert(launching.get("origin") or {}, Origin)
        resources = launching.get("resources") or {}
        self.gpus, self.cpus = resources.get("gpus", 0), resources.get("cpus", 1)
        kept = launching.get("code")
        fingerprint = launching.get("fingerprint") or {}
        names = ("version", "source") if kept else ("version", "source", "commit", "diff")
        code = " ".join(str(fingerprint[k])[:12] for k in names if fingerprint.get(k))
        if kept:
            code += f" {kept['snapshot'][:12] if kept.get('snapshot') else kept.get('package') or 'live'}"
        self._code = code
        self._fields = vars(
            ResultRow(
                job=0,
                study=study,
                kind=kind,
                preset=preset,
                dataset=dataset,
                seed=0,
                state=JobState.WAITING,
                imported=imported,
                exported=bool(self.origin.key) and not self.origin.imported,
                config=settings,
                device_name=self.origin.device_name,
                code=self.code(None),
                live=self.origin.live or bool(kept and not (kept.get("snapshot") or kept.get("package"))),
                code_changed=self.origin.code_changed,
                declared=_declared(launching),
                label=launching.get("label") or str(settings.get("name", "")),
                experiment=str((launching.get("options") or {}).get("experiment") or self.origin.experiment),
                resume=seals.of(sealing.named_of(launching, kind, settings)) if seals.found and not imported else None,
                rehearsing=bool(seals.found) and not imported,
            )
        )

    def code(self, torch: str | None) -> str:
        """Which code a job ran, with torch's version where it is known."""
        return f"{self._code}{f' torch {torch}' if torch else ''}".strip() or self.origin.code

    def row(self, own: Mapping[str, Any]) -> ResultRow:
        """A job's row: what all share, and its own. The constructor of 33 frozen fields takes ten times as long."""
        made = object.__new__(ResultRow)
        vars(made).update(self._fields, **own)
        return made


def _declared(launching: Mapping[str, Any]) -> Mapping[str, Declared]:
    """What was declared of its metrics, as one object for all rows that say the same."""
    given = (launching.get("options") or {}).get("metrics")
    return _declarations(msgspec.json.encode(given)) if given else {}


@lru_cache(maxsize=64)
def _declarations(text: bytes) -> Mapping[str, Declared]:
    return msgspec.json.decode(text, type=dict[str, Declared])
