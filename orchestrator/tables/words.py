"""The words of tables in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from jobs.errors import BadInput

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
