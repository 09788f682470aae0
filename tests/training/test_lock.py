"""Two runs in one folder: the second is refused while the first lives, and only then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heedful._errors import OutputError
from heedful.training import train
from heedful.training.lock import only_run
from tests.training.team import ROOT
from tests.training.tiny import held_out, options, tiny_dataset, tiny_model

HOLD = """
import sys, time
from pathlib import Path
from heedful.training.lock import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path`."""
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_second_run_is_refused_in_one_sentence_until_the_first_is_gone(tmp_path, holder):
    with pytest.raises(OutputError, match=r"^another run is at work in .*; wait for its end, or choose another output"):
        train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock"]
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2), tmp_path).step == 2


def test_the_folder_is_free_again_after_a_run_and_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), only_run(tmp_path):
            raise KeyError
    train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2), tmp_path)
    with only_run(tmp_path), pytest.raises(OutputError, match="another run"), only_run(tmp_path):
        pass


def test_a_process_that_is_not_the_first_holds_nothing(tmp_path):
    with only_run(tmp_path), only_run(tmp_path, wanted=False):
        pass
    with only_run(Path(tmp_path, "new"), wanted=False):
        assert not Path(tmp_path, "new").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file"), only_run(tmp_path / "file"):
        pass
