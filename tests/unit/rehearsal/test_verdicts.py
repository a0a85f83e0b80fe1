"""What a disturbed run says of its program, from numbers that are written down here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from db.seals import Verdict
from orchestrator.rehearsal.disturbances import Disturbance, Moment, Trial
from orchestrator.rehearsal.histories import Baseline, Hit, Line, Observed, Saved, Stretch, baseline, is_clock, trained
from orchestrator.rehearsal.judgement import Judged, overall
from orchestrator.rehearsal.verdicts import judge, of_other_seed

LOSSES = {1: 0.9, 2: 0.7, 3: 0.6, 4: 0.55, 5: 0.53}
RATES = {1: 0.1, 2: 0.09, 3: 0.08, 4: 0.07, 5: 0.06}


def lines(values: Mapping[int, Mapping[str, float]], began: float = 0.0) -> tuple[Line, ...]:
    """One line a second, from the first epoch on."""
    return tuple(
        Line(epoch=epoch, epochs=5, at=began + number, values=dict(one))
        for number, (epoch, one) in enumerate(values.items(), start=1)
    )


def stretch(values: Mapping[int, Mapping[str, float]], began: float = 0.0, ending: str = "") -> Stretch:
    """An execution that saves just after each line."""
    told = lines(values, began)
    saves = tuple(Saved(at=line.at + 0.05, name=f"model-{line.epoch}.pt") for line in told)
    return Stretch(began=began, lines=told, saves=saves, ending=ending)


def epochs(*which: int, **changed: Mapping[int, float]) -> dict[int, dict[str, float]]:
    """Right values of these epochs, but for those that are given."""
    right = {"loss": LOSSES, "lr": RATES}
    return {one: {name: changed.get(name, {}).get(one, values[one]) for name, values in right.items()} for one in which}


ALL = stretch(epochs(1, 2, 3, 4, 5), ending="success")
UNDISTURBED = Observed(name="undisturbed", seed=0, state="succeeded", stretches=(ALL,), result={"best": 0.53})
BASE = baseline([UNDISTURBED, UNDISTURBED])


def struck(
    after: Sequence[Stretch],
    what: Disturbance = Disturbance.KILL,
    *,
    before: Mapping[int, Mapping[str, float]] | None = None,
    names: Sequence[str] = (),
    in_place: str = "",
    state: str = "succeeded",
    error: str = "",
    best: float | None = 0.53,
    base: Baseline = BASE,
) -> Judged:
    """A run that was struck in its third epoch, and what came after."""
    first = stretch(before or epochs(1, 2))
    hit = Hit(at=2.5, names=tuple(names), in_place=in_place)
    seen = Observed(
        name="kill-1",
        seed=0,
        state=state,
        error=error,
        stretches=(first, *after),
        result={} if best is None else {"best": best},
        hit=hit,
    )
    trial = Trial(name="kill-1", seed=0, disturbance=what, moment=Moment(lines=2, part=0.5))
    return judge(trial, seen, base, saves=True)


def test_a_checkpoint_of_two_files_is_there_when_both_are() -> None:
    """As orch's own kinds save: a payload, then its record, and nothing after the last epoch."""

    def saved(one: Stretch, files: int) -> Stretch:
        found = tuple(Saved(at=line.at + part, name="s") for line in one.lines for part in (0.1, 0.2))
        return replace(one, saves=found[:files])

    base = baseline([replace(UNDISTURBED, stretches=(saved(ALL, 8),))])
    assert base.per_epoch == 2
    first, anew = stretch(epochs(1)), replace(ALL, began=10.0, lines=lines(epochs(1, 2, 3, 4, 5), 10.0))
    for files, verdict in ((1, Verdict.BIT_IDENTICAL), (2, Verdict.NOT_RESUMABLE)):
        seen = replace(UNDISTURBED, stretches=(saved(first, files), anew), hit=Hit(at=1.3))
        trial = Trial(name="kill-1", seed=0, disturbance=Disturbance.KILL)
        assert judge(trial, seen, base, saves=True).verdict is verdict
    irregular = replace(ALL, saves=tuple(Saved(at=at, name="best") for at in (1.1, 2.1, 2.2, 5.1)))
    assert baseline([replace(UNDISTURBED, stretches=(irregular,))]).per_epoch == 0


SILENT = Stretch(began=10.0, ending="success")


def test_a_run_that_was_done_when_it_was_struck_tells_nothing_of_resuming() -> None:
    """It came late, as on a busy host: nothing is left to report, so there is no result of its last line either."""
    late = struck([SILENT], before=epochs(1, 2, 3, 4, 5), best=None)
    assert (late.verdict, late.told) == (None, ("all its epochs were done when it was struck",))
    assert struck([SILENT], before=epochs(1, 2, 3, 4, 5)).verdict is None
    assert struck([SILENT], before=epochs(1, 2, 3, 4, 5), best=0.6).verdict is Verdict.WRONG
    assert struck([SILENT], Disturbance.TWICE, before=epochs(1, 2, 3, 4, 5), best=None).verdict is None
    early = struck([SILENT], best=None)  # epochs 3 to 5 were never reported
    assert early.verdict is Verdict.WRONG and early.reason == "the result has no best after resuming"


def resumed(**changed: Mapping[int, float]) -> Stretch:
    return stretch(epochs(3, 4, 5, **changed), 10.0, "success")


def test_the_same_numbers_are_bit_identical_and_the_cost_is_told() -> None:
    found = struck([resumed()])
    assert found.verdict is Verdict.BIT_IDENTICAL and found.reason == "" and found.remarks == ()
    assert found.told == ("resumed at epoch 3 of 5, lost 0.5 s",)
    assert (found.resumed_at, found.lost_seconds) == (3, 0.5)


@pytest.mark.parametrize(
    ("changed", "names", "reason"),
    [
        (
            {"lr": {3: 0.1, 4: 0.09, 5: 0.08}, "loss": {3: 0.61}},
            (),
            "equal to the value of epoch 1: the learning rate starts anew (scheduler not in the checkpoint)",
        ),
        (
            {"loss": {3: 0.9, 4: 0.7}, "lr": {3: 0.1}},
            (),
            "equal to the value of epoch 1: the weights start anew (the checkpoint is not loaded into the model)",
        ),
        (
            {"loss": {3: 0.9, 4: 0.7, 5: 0.6}},
            (),
            "equal to the value of epoch 1: the random numbers start anew (RNG not in the checkpoint)",
        ),
        ({"loss": {3: 0.61}}, ("model", "epoch"), "no optimiser state in the checkpoint, by the names in it"),
        ({"loss": {3: 0.61}}, ("model", "optimizer"), "no random state in the checkpoint, by the names in it"),
        ({"loss": {3: 0.61}}, ("model", "optimizer", "rng"), "no scheduler in the checkpoint, by the names in it"),
        ({"loss": {3: 0.61}}, (), "something that the training goes on with is not in the checkpoint"),
    ],
)
def test_other_numbers_are_wrong_and_their_likely_reason_is_told(
    changed: Mapping[str, Mapping[int, float]], names: Sequence[str], reason: str
) -> None:
    found = struck([resumed(**changed)], names=names)
    assert (found.verdict, found.reason) == (Verdict.WRONG, reason)


def test_the_first_value_that_differs_is_shown() -> None:
    told = " ".join(struck([resumed(loss={4: 0.5501})]).told)
    assert "first value after resuming differs: 0.55 → 0.5501 (loss of epoch 4)" in told


def test_a_run_that_begins_anew_does_not_resume() -> None:
    anew = stretch(epochs(1, 2, 3, 4, 5), 10.0, "success")
    found = struck([anew])
    assert found.verdict is Verdict.NOT_RESUMABLE
    assert found.reason == "starts from the beginning: it does not go on from the checkpoint that it is given"
    assert struck([anew], Disturbance.TORN).verdict is Verdict.BIT_IDENTICAL  # it had no other one


def test_an_epoch_that_is_trained_twice_or_left_out_is_told() -> None:
    twice = struck([stretch(epochs(2, 3, 4, 5, loss={2: 0.66}), 10.0, "success")])
    assert (twice.verdict, twice.reason) == (
        Verdict.WRONG,
        "an epoch is trained twice: the epoch counter in the checkpoint is off by one",
    )
    skipped = struck([stretch(epochs(4, 5, loss={4: 0.56}), 10.0, "success")])
    assert (skipped.verdict, skipped.reason) == (
        Verdict.WRONG,
        "an epoch is skipped: the epoch counter in the checkpoint is off by one",
    )


def test_a_run_that_goes_on_from_an_older_checkpoint_is_right_and_that_is_told() -> None:
    older = stretch(epochs(2, 3, 4, 5), 10.0, "success")
    found = struck([older])
    assert found.verdict is Verdict.BIT_IDENTICAL
    assert found.remarks == ("does not go on from its newest checkpoint, but from an older one",)
    assert struck([older], Disturbance.TIMES).remarks == (
        "takes the newest checkpoint by its file's time, not by its epoch",
    )
    assert struck([older], Disturbance.TORN).remarks == ()


def test_of_two_at_once_one_that_resumes_wrongly_is_no_disturbance_of_the_other() -> None:
    whole = epochs(1, 2, 3, 4, 5)
    resumed = stretch(epochs(3, 4, 5, lr={3: RATES[1]}), 10.0, "success")
    found = struck([resumed], Disturbance.TWICE, before=whole)
    assert found.verdict is Verdict.WRONG and "disturb" not in found.reason
    assert found.reason == struck([resumed]).reason and "went on from a checkpoint at epoch 3" in found.told[0]
    disturbed = stretch(epochs(1, 2, 3, 4, 5, loss={4: 0.6}), 10.0, "success")
    assert "two of it at once disturb each other" in struck([disturbed], Disturbance.TWICE, before=whole).reason
    fine = struck([stretch(epochs(3, 4, 5), 10.0, "success")], Disturbance.TWICE, before=whole)
    assert fine.verdict is Verdict.BIT_IDENTICAL


def test_lines_of_an_epoch_that_come_twice_are_wrong() -> None:
    one = resumed()
    again = Stretch(began=10.0, lines=(one.lines[0], *one.lines), ending="success")
    assert struck([again]).reason == "writes lines of an epoch twice"


def test_a_best_that_counts_from_the_resume_on_is_wrong() -> None:
    """The loss was lowest early."""
    values = {1: {"loss": 0.5}, 2: {"loss": 0.4}, 3: {"loss": 0.8}, 4: {"loss": 0.7}, 5: {"loss": 0.9}}
    whole = Observed(
        name="undisturbed",
        seed=0,
        state="succeeded",
        stretches=(stretch(values, ending="success"),),
        result={"best": 0.4},
    )
    later = stretch({epoch: values[epoch] for epoch in (3, 4, 5)}, 10.0, "success")
    before = {epoch: values[epoch] for epoch in (1, 2)}
    found = struck([later], before=before, best=0.7, base=baseline([whole, whole]))
    assert (found.verdict, found.reason) == (
        Verdict.WRONG,
        "the lowest loss since the resume only: the best so far is not in the checkpoint",
    )


@pytest.mark.parametrize(
    ("what", "in_place", "reason"),
    [
        (Disturbance.KILL, "", "fails after resuming: KeyError: 'optimizer'"),
        (Disturbance.TORN, "", "fails on a torn checkpoint, and goes back to no older one"),
        (
            Disturbance.WRITE,
            "last.pt",
            "the checkpoint is written in place (last.pt), so a kill leaves half of it and the next start fails: write "
            "to a temporary name and rename it",
        ),
        (
            Disturbance.DISK,
            "last.pt",
            "the checkpoint is written in place (last.pt), so a full disk leaves half of it and the next start fails: "
            "write to a temporary name and rename it",
        ),
        (Disturbance.DISK, "", "fails after resuming: KeyError: 'optimizer'"),
        (Disturbance.REQUEUE, "", "fails after resuming: KeyError: 'optimizer'"),
    ],
)
def test_a_run_that_fails_does_not_resume(what: Disturbance, in_place: str, reason: str) -> None:
    found = struck([], what, in_place=in_place, state="failed", error="KeyError: 'optimizer'")
    assert (found.verdict, found.reason) == (Verdict.NOT_RESUMABLE, reason)


def test_noise_of_two_undisturbed_runs_is_no_fault() -> None:
    other = Observed(
        name="again",
        seed=0,
        state="succeeded",
        stretches=(stretch(epochs(1, 2, 3, 4, 5, loss={3: 0.61}), ending="success"),),
        result={"best": 0.53},
    )
    noisy = baseline([UNDISTURBED, other])
    assert not noisy.exact and BASE.exact
    within = struck([resumed(loss={3: 0.62})], base=noisy)
    assert within.verdict is Verdict.EQUAL_WITHIN_NOISE
    assert struck([resumed(loss={3: 0.64})], base=noisy).verdict is Verdict.WRONG
    assert struck([resumed(lr={3: 0.0801})], base=noisy).verdict is Verdict.WRONG  # the rate has no noise


def test_a_program_that_ignores_term_is_told_so() -> None:
    trial = Trial(name="term", seed=0, disturbance=Disturbance.TERM, moment=Moment(lines=2, part=0.5))
    seen = Observed(
        name="term",
        seed=0,
        state="succeeded",
        stretches=(ALL,),
        result={"best": 0.53},
        hit=Hit(at=2.5),
    )
    found = judge(trial, seen, BASE, saves=True)
    assert found.verdict is Verdict.BIT_IDENTICAL and found.remarks == ("ignores TERM",)


def test_a_run_that_takes_the_checkpoint_of_another_seed_is_wrong() -> None:
    other = Observed(name="another seed", seed=1, state="succeeded", stretches=(Stretch(began=0.0, ending="success"),))
    found = of_other_seed(BASE, other, 0)
    assert found.verdict is Verdict.WRONG
    assert found.reason == (
        "seed 1 trains no epoch at all: it takes the checkpoint of another run, which lies outside ORCH_CHECKPOINT_DIR"
    )
    same = Observed(name="another seed", seed=1, state="succeeded", stretches=(ALL,), result={"best": 0.53})
    assert of_other_seed(BASE, same, 0).remarks == ("seed 1 gives the numbers of seed 0: the seed has no effect",)


def test_lines_that_are_only_reported_again_are_not_where_it_resumed() -> None:
    again = tuple(Line(epoch=epoch, at=10.0 + epoch / 1000, values=one) for epoch, one in epochs(1, 2).items())
    trained_ones = lines(epochs(3, 4, 5), 10.0)
    after = [Stretch(began=9.0, lines=(*again, *trained_ones))]
    assert [line.epoch for line in trained(after, 2.5, 2, 1.0)] == [3, 4, 5]
    assert [line.epoch for line in trained([Stretch(began=9.0, lines=lines(epochs(1, 2, 3), 10.0))], 2.5, 2, 1.0)] == [
        1,
        2,
        3,
    ]


def test_the_worst_run_decides_and_the_first_that_shows_it_tells_why() -> None:
    good = Judged(trial="a", verdict=Verdict.BIT_IDENTICAL, remarks=("ignores TERM",))
    bad = Judged(trial="b", verdict=Verdict.WRONG, reason="one")
    worse = Judged(trial="c", verdict=Verdict.WRONG, reason="two")
    not_tried = Judged(trial="d")
    found = overall([good, not_tried, bad, worse])
    assert (found.verdict, found.reason, found.remarks) == (Verdict.WRONG, "one", ("ignores TERM",))


@pytest.mark.parametrize("name", ["seconds", "train/time", "images_per_second", "gpu_hours", "wall_time", "epoch_s"])
def test_clocks_are_not_compared(name: str) -> None:
    assert is_clock(name)


@pytest.mark.parametrize("name", ["loss", "accuracy", "timesteps", "best", "lr", "bits"])
def test_other_metrics_are(name: str) -> None:
    assert not is_clock(name)


def test_what_was_saved_while_its_disk_was_full_is_no_checkpoint_to_go_on_from() -> None:
    """A file that is closed half written looks like one that is whole."""
    saves = tuple(Saved(at=epoch + 0.01, name=f"{epoch}.pt") for epoch in (1, 2, 3))
    first = replace(stretch(epochs(1, 2)), saves=saves)
    base = replace(BASE, per_epoch=1)
    trial = Trial(name="disk", seed=0, disturbance=Disturbance.DISK, moment=Moment(lines=2, part=0.5))
    seen = Observed(
        name="disk",
        seed=0,
        state="succeeded",
        stretches=(first, resumed()),
        result={"best": 0.53},
        hit=Hit(at=2.5),
    )
    found = judge(trial, seen, base, saves=True)
    assert (found.verdict, found.remarks, found.resumed_at) == (Verdict.BIT_IDENTICAL, (), 3), found
    alone = replace(seen, stretches=(ALL,))
    found = judge(trial, alone, base, saves=True)
    assert (found.verdict, found.told[0]) == (Verdict.BIT_IDENTICAL, "went on to its end all the same")


def test_a_run_that_was_struck_when_all_was_done_says_nothing() -> None:
    done = Stretch(began=10.0, ending="success")
    assert struck([done]).verdict is None
    lost = struck([done], best=0.9)
    assert (lost.verdict, lost.reason.partition(": ")[2]) == (Verdict.WRONG, "the best so far is not in the checkpoint")
