"""docs/add_a_mechanism.md, done as it says: its files written into a copy of the tree, its commands run there."""

import os
import re
import shutil
import subprocess
import sys

from tests.test_house import ROOT

PAGE = (ROOT / "docs" / "add_a_mechanism.md").read_text(encoding="utf-8")


def test_what_the_page_says_can_be_done(tmp_path):
    for name in ("src", "tests", "scripts", "docs", "pyproject.toml", "README.md", ".gitignore"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    steps = re.findall(r"^```python (create|append) (\S+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert [verb for verb, _, _ in steps] == ["create", "append", "append"]
    for verb, name, code in steps:
        file = tmp_path / name
        assert file.exists() == (verb == "append"), name
        before = file.read_text(encoding="utf-8") + "\n\n" if verb == "append" else ""
        file.write_text(before + code, encoding="utf-8")
    surroundings = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"}
    said = []
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command = [sys.executable if word == "python" else word for word in line.split()]
            run = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
            assert run.returncode == 0, f"{line}\n{run.stdout}\n{run.stderr}"
            said.append(run.stdout)
    tests, _, listed = said
    assert int(re.findall(r"(\d+) passed", tests)[0]) >= 10
    assert "TaylorNormalizer" in listed
    assert "TaylorNormalizer" in (tmp_path / "docs" / "mechanisms.md").read_text(encoding="utf-8")
