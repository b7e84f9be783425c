# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An evaluation that runs holds weights in an engine: a denial ends it, and its end lets it go on.

Before, it asked the model to the end and recorded the scores.
"""

from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.models import add_built_in, evaluate_model, find_model
from bastide.core.errors import Refused
from paths.demo import Demo


@pytest.mark.attacks("C288")
def test_what_is_denied_meanwhile_is_asked_nothing_more(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "home")
    demo.json("init")
    home, asked = Home(demo.home), list[int]()
    with open_environment(home, read_passphrase(home)) as env:
        name = add_built_in(env, "embed", None).subject.name
        admission = find_model(env, name)

        def progress(what: str, done: int, total: int) -> None:
            assert what.startswith("evaluating") and done <= total
            asked.append(done)
            if len(asked) == 2:
                demo.json("store", "deny", "models/")
                home.denied.unlink()

        with pytest.raises(Refused, match="was denied meanwhile") as refused:
            evaluate_model(env, name, None, progress)
        assert len(asked) == 2 and refused.value.reasons == ("denied: models/",)
        assert not env.ledger.find("evaluation/v1", subject=admission.subject.digest)
        with pytest.raises(Refused, match="the owner denies"):
            evaluate_model(env, name, None, None)
        demo.json("store", "allow", "models/")
        again = list[int]()
        evaluate_model(env, name, None, lambda _what, done, _total: again.append(done))
        assert again[0] > 2  # from where it stopped
