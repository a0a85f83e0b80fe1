"""The words of tables in English and Japanese, and how rows and numbers are written in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from jobs.errors import BadInput
from orchestrator.tables.digits import written
from orchestrator.tables.statistics import Summary
from orchestrator.tables.table2 import BASELINE, RANDOM, Row

Language = Literal["en", "ja"]

_WORDS: Mapping[str, tuple[str, str]] = {
    "architecture": ("architecture", "アーキテクチャ"),
    "test_accuracy": ("test accuracy (%)", "テスト精度 (%)"),
    "params_m": ("param (M)", "パラメータ数 (M)"),
    "shortcuts": ("number of shortcuts", "ショートカット数"),
    "random_accuracy": ("random architecture accuracy (%)", "ランダムアーキテクチャの精度 (%)"),
    "searched": ("architecture search {name}", "アーキテクチャ探索 {name}"),
    "epoch": ("{epoch} epoch", "{epoch} エポック"),
    "vgg19": ("baseline (VGG19)", "ベースライン (VGG19)"),
    "random": ("random architectures", "ランダムアーキテクチャ"),
    "pending": ("pending", "未実行"),
    "title": ("Accuracy of each architecture", "各アーキテクチャの精度"),
    "nothing": ("no results yet", "結果はまだありません"),
    "preset": ("preset {preset}", "プリセット {preset}"),
    "study": ("study {study}", "スタディ {study}"),
    "plus_minus": (
        "mean ± sample standard deviation over architectures",
        "アーキテクチャ間の平均 ± 標本標準偏差",
    ),
    "baseline_note": (
        "one architecture: ± over training seeds, n = {n}",
        "単一のアーキテクチャ: ± は学習シード間, n = {n}",
    ),
    "incomplete": ("8/10: only so many of the expected results are there", "8/10: 期待される結果のうち揃っている数"),
    "statistics": ("Statistics", "統計"),
    "interval": ("95 % interval", "95 % 信頼区間"),
    "gain": ("gain over matched random", "対応するランダムとの差"),
    "paired": ("paired t", "対応のある t 検定"),
    "welch": ("Welch t", "Welch の t 検定"),
    "holm": ("p (Holm)", "p (Holm)"),
    "ranks": ("Mann-Whitney p", "Mann-Whitney p"),
    "hedges": ("Hedges g", "Hedges の g"),
    "random_params": ("random param (M)", "ランダムのパラメータ数 (M)"),
    "long_share": ("span ≥ 4 (%)", "スパン ≥ 4 (%)"),
    "gpu_hours": ("GPU hours: training, random, search", "GPU 時間: 学習, ランダム, 探索"),
    "cpu_hours": ("CPU hours: training, random, search", "CPU 時間: 学習, ランダム, 探索"),
    "growth": ("Growth over search epochs", "探索エポックに伴う変化"),
    "pairs": ("pairs", "対の数"),
    "change": ("change", "変化"),
    "metric": ("quantity", "量"),
    "from_to": ("epochs", "エポック"),
    "ours": ("here", "本表"),
    "theirs": ("published", "公表値"),
    "difference": ("difference", "差"),
}


def word(name: str, lang: Language, /, **values: object) -> str:
    """A word or phrase by its name, filled in."""
    english, japanese = _WORDS[name]
    return (english if lang == "en" else japanese).format(**values)


def language(name: str) -> Language:
    """A language by name. Raises BadInput."""
    if name == "en":
        return "en"
    if name == "ja":
        return "ja"
    raise BadInput(f"unknown language '{name}': use en or ja")


def label(row: Row, lang: Language) -> str:
    """A row's name as the report writes it."""
    if row.architecture in (BASELINE, RANDOM):
        return word(row.architecture, lang)
    return word("searched", lang, name=row.architecture)


def variant_text(row: Row) -> str:
    """'lr 0.1, pretrained': what tells a row from others; a switch is named where it is on, nothing where empty."""
    told = {key: value for key, value in row.variant.items() if value not in ("false", "")}
    shown = [key if value == "true" else f"{key} {value}" for key, value in told.items()]
    return ", ".join(shown)


def row_name(row: Row) -> str:
    """A row's short name: 'A 50', 'vgg19', 'A 50 (pretrained)'."""
    name = row.architecture if row.epoch is None else f"{row.architecture} {row.epoch}"
    told = variant_text(row)
    return f"{name} ({told})" if told else name


def number_text(summary: Summary, digits: int, data: int | None = None) -> str:
    """'93.70 ± 0.22'; '-' for nothing. `data`: the most decimals that any of the values has, for exact rounding."""
    return "-" if summary.mean is None else written(summary.mean, summary.std, digits, summary.n, data)
