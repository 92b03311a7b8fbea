"""What belongs to the whole process is not changed for a while: two threads at once would leave it changed."""

import re
import socket
from pathlib import Path
from threading import Event, Thread

import movieplots
from movieplots.measures import universal_sentence_encoder

CHANGES = r"catch_warnings\(|logging\.disable\(|random\.seed\(|os\.environ\[.*\] =|os\.chdir\(|redirect_std"


def test_nothing_of_the_process_is_changed_for_a_while():
    """But for a notebook's first cell, which says for all others where they work."""
    files = Path(movieplots.__file__).parent.rglob("*.py")
    changes = {file.name: found for file in files if (found := re.findall(CHANGES, file.read_text()))}
    assert changes == {"setup.py": ["os.chdir(", "os.chdir("]}


def test_the_patience_of_two_fetches_ends_with_them():
    before = socket.getdefaulttimeout()
    there, leave = Event(), Event()

    def fetch():
        with universal_sentence_encoder._timeout():
            there.set()
            leave.wait(10)

    second = Thread(target=fetch)
    with universal_sentence_encoder._timeout():
        assert socket.getdefaulttimeout() == universal_sentence_encoder._TIMEOUT
        second.start()
        there.wait(0.1)  # in vain, as it has to wait for this one
    leave.set()
    second.join()
    assert socket.getdefaulttimeout() == before
