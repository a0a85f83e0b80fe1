"""Takes the newest checkpoint by the time of its file."""

from common import FOLDER, Training, newest, run


def by_time():
    return newest(sorted(FOLDER.glob("model-*.pkl"), key=lambda one: one.stat().st_mtime_ns, reverse=True))


run(Training(), newest=by_time)
