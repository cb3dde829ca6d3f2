"""Record the golden files again: ``python -m tests.golden``, and look at what git shows."""

from tests.golden.recording import FOLDER, record
from tests.support.scenario.kill_sequence import steps_in_the_code

record(steps_in_the_code())
print(f"recorded in {FOLDER}; a difference is a change of what other versions have to read")
