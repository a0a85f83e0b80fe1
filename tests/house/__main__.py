"""`make docs`: write the made parts of docs/architecture.md anew."""

from tests.house.documents import ARCHITECTURE, made

before = ARCHITECTURE.read_text()
after = made(before)
ARCHITECTURE.write_text(after)
print("docs/architecture.md " + ("is as the code says" if before == after else "was brought up to date"))
