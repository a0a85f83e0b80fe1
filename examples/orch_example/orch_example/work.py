"""The work: resumable, and exactly the same numbers with or without an interruption."""

import math
import random
from collections.abc import Mapping

from jobs.node.context import Context, Interrupted


def run(context: Context) -> Mapping[str, float]:
    """Throw the darts round by round. Raises Interrupted when asked to stop."""
    rounds, per_round = context.config.rounds, context.config.darts // context.config.rounds or 1
    found = context.checkpoints.load()
    start, state, history = found or (0, {"hits": 0}, ())
    context.restore(history)
    hits = int(state["hits"])
    for number in range(start + 1, rounds + 1):
        throw = random.Random(f"{context.seed}/{number}").random  # a round is a function of seed and number
        hits += sum(math.hypot(throw(), throw()) <= 1 for _ in range(per_round))
        context.ready()
        context.report(number, rounds, {"pi": 4 * hits / (number * per_round)})
        if context.stop_requested():
            context.checkpoints.save(number, {"hits": hits}, context.history())
            raise Interrupted
        if context.checkpoints.due():
            context.checkpoints.save(number, {"hits": hits}, context.history())
    estimate = 4 * hits / (rounds * per_round)
    return {"pi": estimate, "error": abs(math.pi - estimate)}
