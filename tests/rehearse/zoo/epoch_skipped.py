"""Goes on with the epoch after the next."""

from common import Training, newest, run


def one_more():
    state = newest()
    return state and {**state, "epoch": state["epoch"] + 1}


run(Training(), newest=one_more)
