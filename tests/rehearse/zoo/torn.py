"""Renamed as it should be, but there is one file only, and half of it ends the program."""

import pickle

from common import FOLDER, Training, run, save

path = FOLDER / "last.pkl"


def load():
    if not path.exists():
        return None
    try:
        return pickle.loads(path.read_bytes())
    except (EOFError, pickle.UnpicklingError):
        raise SystemExit("the checkpoint is damaged") from None


run(Training(), save=lambda state: save(state, "last.pkl"), newest=load)
