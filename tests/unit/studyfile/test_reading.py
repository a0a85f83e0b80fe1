"""A study file is read or refused in one sentence that names file, table and key."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import BadInput
from orchestrator.studyfile.points import expand
from orchestrator.studyfile.reading import parse, read

EXAMPLE = """
[study]
name = "mine"

[[experiment]]
name = "train"
command = ["python", "train.py", "--lr", "{lr}", "--opt", "{opt}", "--seed", "{seed}", "--output", "{out}"]
seeds = 5
gpus = 1
mem = "4G"
[experiment.grid]
lr = [0.1, 0.01]
opt = ["sgd", "adam"]
[experiment.env]
WANDB_MODE = "offline"
THREADS = 4
[experiment.sbatch]
nice = 100
exclusive = true

[[experiment]]
name = "house"
kind = "random-baseline"
preset = "demo"
seeds = [3, 1]
"""


def test_the_example_of_the_readme() -> None:
    study = parse(EXAMPLE, Path("study.toml"))
    train, house = study.experiments
    assert (study.name, train.name, train.seeds, len(expand(train.sweep))) == ("mine", "train", [0, 1, 2, 3, 4], 4)
    assert train.terms == {"gpus": 1, "mem": "4G"}
    assert train.env == {"WANDB_MODE": "offline", "THREADS": "4"}
    assert train.sbatch == ["nice=100", "exclusive"]
    assert (house.kind, house.preset, house.seeds, house.command) == ("random-baseline", "demo", [3, 1], None)


def test_a_study_is_called_like_its_file_where_it_has_no_name() -> None:
    assert parse("[[experiment]]\nname='a'\ncommand=['x']", Path("some/ablation.toml")).name == "ablation"


HEAD = "[[experiment]]\nname = 'train'\ncommand = ['x']\n"
TRAIN = "study.toml, [[experiment]] 'train'"
FAULTS = {
    "": "study.toml has no [[experiment]]",
    "[study": "study.toml is no TOML: Expected ']'",
    "a = 1\na = 2": "study.toml is no TOML: Cannot overwrite a value",
    "[studdy]\nname = 'a'": "study.toml has no key 'studdy': did you mean 'study'?",
    "experiments = 1": "study.toml has no key 'experiments': did you mean 'experiment'?",
    "study = 1": "study.toml, [study] must be a table (got 1)",
    "[study]\nname = 3": "study.toml, [study]: name must be text in quotes (got 3)",
    "[study]\nname = ''": "study.toml, [study]: name is empty",
    "[study]\nname = 'a b'": "study.toml, [study]: name must be a word",
    "[study]\nname = '../up'": "study.toml, [study]: name must be a word",
    "[study]\nnam = 'a'": "study.toml, [study] has no key 'nam': did you mean 'name'?",
    "experiment = 3": "study.toml: experiment must be a list of tables",
    "[experiment]\nname = 'a'": "study.toml: experiment must be a list of tables: write [[…experiment]]",
    "experiment = [1]": "study.toml, [[experiment]] number 1 must be a table (got 1)",
    "[[experiment]]": "study.toml, [[experiment]] number 1 has no name",
    "[[experiment]]\nname = 1": "study.toml, [[experiment]] number 1: name must be text in quotes (got 1)",
    "[[experiment]]\nname = 'a'": "study.toml, [[experiment]] 'a' has neither of command and kind",
    HEAD + "kind = 'search'": f"{TRAIN} has both of command and kind",
    HEAD + HEAD: "study.toml: two experiments are called 'train'",
    HEAD + "seeds = 0": f"{TRAIN}: seeds must be from 1 to 1000000 (got 0)",
    HEAD + "seeds = -1": f"{TRAIN}: seeds must be from 1",
    HEAD + "seeds = 2.5": f"{TRAIN}: seeds must be a whole number (got 2.5)",
    HEAD + "seeds = true": f"{TRAIN}: seeds must be a whole number (got true)",
    HEAD + "seeds = '3'": f"{TRAIN}: seeds must be a whole number (got '3')",
    HEAD + "seeds = []": f"{TRAIN}: seeds is empty",
    HEAD + "seeds = [1, 1]": f"{TRAIN}: seeds names seed 1 twice",
    HEAD + "seeds = [1, -1]": f"{TRAIN}: seeds must be whole numbers from 0",
    HEAD + "seeds = [1, 'a']": f"{TRAIN}: seeds must be whole numbers from 0",
    HEAD + "seed = 3": f"{TRAIN} has no key 'seed': did you mean 'seeds'?",
    HEAD + "gpu = 1": f"{TRAIN} has no key 'gpu': did you mean 'gpus'?",
    HEAD + "gpus = true": f"{TRAIN}: gpus must be a number or text in quotes (got true)",
    HEAD + "mem = ['4G']": f"{TRAIN}: mem must be a number or text in quotes",
    HEAD + "code = 'dead'": f'{TRAIN}: code must be "kept" or "live" (got \'dead\')',
    HEAD + "unused_ok = 1": f"{TRAIN}: unused_ok must be true or false (got 1)",
    HEAD + "env = 3": f"{TRAIN}, [experiment.env] must be a table (got 3)",
    HEAD + "env = {A = [1]}": f"{TRAIN}, [experiment.env]: A must be one value (got [1])",
    HEAD + "sbatch = {nice = 1.5}": "",
    HEAD + "sbatch = {nice = [1]}": f"{TRAIN}, [experiment.sbatch]: nice must be a number, text or true (got [1])",
    HEAD + "params = 3": f"{TRAIN}, [experiment.params] must be a table (got 3)",
    HEAD + "params = {lr = {a = 1}}": f"{TRAIN}, [experiment.params]: lr cannot be {{'a': 1}}: a table is no value",
    HEAD + "params = {d = 2026-11-26}": f"{TRAIN}, [experiment.params]: d cannot be 2026-11-26",
    HEAD + "params = {'a b' = 1}": f"{TRAIN}, [experiment.params]: a parameter's name is a word",
    HEAD + "grid = [1]": f"{TRAIN}, [experiment.grid] must be a table (got [1])",
    HEAD + "grid = {lr = 0.1}": f"{TRAIN}, [experiment.grid]: lr must be a list of values (got 0.1): one value goes",
    HEAD + "grid = {lr = 'x'}": f'{TRAIN}, [experiment.grid]: lr must be a list, or text like "1..10"',
    HEAD + "grid = {lr = '9..1'}": f"{TRAIN}, [experiment.grid]: lr cannot be read: '9..1' names no number",
    HEAD + "grid = {lr = []}": f"{TRAIN}, [experiment.grid]: lr is empty",
    HEAD + "grid = {lr = [1, 1.0]}": f"{TRAIN}, [experiment.grid]: lr: 1 and 1.0 are one number",
    HEAD + "grid = {lr = ['a', 'a']}": f"{TRAIN}, [experiment.grid]: lr has the repeated value 'a'",
    HEAD + "grid = {lr = [[1, {}]]}": f"{TRAIN}, [experiment.grid]: lr cannot be [1, {{}}]: a table is no value",
    HEAD + "grid = {'{' = [1]}": f"{TRAIN}, [experiment.grid]: a parameter's name is a word",
    HEAD + "zip = {a = [1, 2], b = [1]}": f"{TRAIN}, [experiment.zip]: its lists go together, so they must be equally "
    "long (a has 2, b has 1)",
    HEAD + "zip = {a = 1}": f"{TRAIN}, [experiment.zip]: a must be a list of values (got 1)",
    HEAD + "zip = {a = [1, 1]}": f"{TRAIN}, [experiment.zip]: the row a = 1 is there twice",
    HEAD + "random = {n = 3}": f"{TRAIN}, [experiment.random] needs seed",
    HEAD + "random = {seed = 3}": f"{TRAIN}, [experiment.random] needs n",
    HEAD + "random = {n = 0, seed = 1}": f"{TRAIN}, [experiment.random]: n must be from 1",
    HEAD + "random = {n = 1, seed = 1}": f"{TRAIN}, [experiment.random] draws nothing",
    HEAD + "random = {n = 1, seed = 1, a = 3}": f"{TRAIN}, [experiment.random]: a must be a table like",
    HEAD + "random = {n = 1, seed = 1, a = {}}": f"{TRAIN}, [experiment.random]: a must name one of uniform",
    HEAD + "random = {n = 1, seed = 1, a = {unifrom = [0, 1]}}": "a has no key 'unifrom': did you mean 'uniform'?",
    HEAD + "random = {n = 1, seed = 1, a = {uniform = [0]}}": "a must be uniform = [low, high] (got [0])",
    HEAD + "random = {n = 1, seed = 1, a = {uniform = [1, 0]}}": "a must have its first end below its second",
    HEAD + "random = {n = 1, seed = 1, a = {uniform = [0, nan]}}": "a has an end that cannot be used: nan is no finite",
    HEAD + "random = {n = 1, seed = 1, a = {uniform = [0, 1], choice = [1]}}": "a must name one of uniform",
    HEAD + "random = {n = 1, seed = 1, a = {loguniform = [0, 1]}}": "a is logarithmic, so its ends must be above 0",
    HEAD + "random = {n = 1, seed = 1, a = {integers = [0, 1.5]}}": "a must have whole numbers at its ends",
    HEAD + "random = {n = 1, seed = 1, a = {choice = []}}": "a must be choice = [value, …] (got [])",
    HEAD + "random = {n = 1, seed = 1, a = {choice = [1, 1.0]}}": "a: 1 and 1.0 are one number",
    HEAD + "[[experiment.sub]]\nparams = {a = 1}": f"{TRAIN}, [[experiment.sub]] number 1 has no `when`",
    HEAD + "[[experiment.sub]]\nwhen = {}": f"{TRAIN}, [[experiment.sub]] number 1, when is empty",
    HEAD + "[[experiment.sub]]\nwhen = {a = 1}\nseeds = 3": "[[experiment.sub]] number 1 has no key 'seeds'",
    HEAD + "[[experiment.sub]]\nwhen = {a = 1}\nargs = 'x'": "number 1: args must be a list of texts in quotes",
    HEAD + "exclude = {lr = 1}": f"{TRAIN}: exclude must be a list of tables",
    HEAD + "exclude = [{}]": f"{TRAIN}: exclude has an empty rule",
    HEAD + "metrics = 3": f"{TRAIN}, [experiment.metrics] must be a table (got 3)",
    HEAD + "metrics = {acc = 'x'}": f"{TRAIN}, [experiment.metrics]: acc must be a table: write [experiment.metr",
    HEAD + "result_file = 3": f"{TRAIN}: result_file must be text in quotes (got 3)",
    HEAD + "result_file = [3]": f"{TRAIN}: result_file must be a list of texts in quotes (got [3])",
    HEAD + "tensorboard = ''": f"{TRAIN}: tensorboard is empty",
    "[[experiment]]\nname = 'a'\ncommand = 'x y'": "'a': command must be a list of texts in quotes (got 'x y')",
    "[[experiment]]\nname = 'a'\ncommand = []": "'a': command is empty",
    "[[experiment]]\nname = 'a'\ncommand = ['x', 3]": "'a': command must be a list of texts in quotes",
    "[[experiment]]\nname = 'a'\nkind = 'command'": "'a': kind is \"command\": write command = ",
    "[[experiment]]\nname = 'a'\nkind = 'search'\nenv = {A = 1}": "'a': env is for a command: a kind has none",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_faulty_file_is_refused_where_it_is_wrong(text: str) -> None:
    if not FAULTS[text]:
        assert parse(text, Path("study.toml")).experiments
        return
    with pytest.raises(BadInput) as refused:
        parse(text, Path("study.toml"))
    said = str(refused.value)
    assert FAULTS[text] in said
    assert said.startswith("study.toml") and "\n" not in said


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, content, why in (
        ("not-there.toml", None, "cannot be read: No such file"),
        ("latin.toml", b"# \xe4", "is no UTF-8 text at byte 2"),
        ("deep.toml", b"a = " + b"[" * 100_000, "study|cannot be read|no TOML"),
        ("huge.toml", b"#" * 1_000_001, "more than 1 MB"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=why):
            read(tmp_path / name)
    with pytest.raises(BadInput, match="Is a directory"):
        read(tmp_path)


@given(st.text(max_size=300))
def test_any_text_is_a_study_or_one_sentence(text: str) -> None:
    for whole in (text, HEAD + text, HEAD + f"grid = {{lr = [{text}]}}"):
        try:
            parse(whole, Path("study.toml"))
        except BadInput as error:
            assert str(error).startswith("study.toml")
