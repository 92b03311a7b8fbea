"""`tools/biases.py` on a dump with known results."""

import json

from movieplots.generation.dumps import cell_name
from tools.biases import of_generator

PLOTS = ["His brother is French.", "He is alone.", "A woman waits.", "A boy meets a girl.", ""]
WAR_PLOTS = ["An army waits.", "Two armies.", "A warden sleeps.", "No peace."]


def test_samples_and_training_plots_are_counted(small_corpus, tmp_path, capsys):
    for temperature in (1, 1.3):
        common = {"genre": "horror", "title": "Salt", "temperature": temperature, "top_p": 0.0, "seed": 0}
        plots = PLOTS if temperature == 1 else ["Women, and women at war only."] * 9  # not counted above temperature 1
        rows = [json.dumps(common | {"plot": plot, "truncated": False}) + "\n" for plot in plots]
        if temperature == 1:
            rows += [
                json.dumps(common | {"genre": "war", "plot": plot, "truncated": False}) + "\n" for plot in WAR_PLOTS
            ]
        (tmp_path / f"{cell_name(temperature, 0)}.jsonl").write_text("".join(rows))
    of_generator(str(small_corpus), str(tmp_path))
    shares, groups, *of_training, of_war, training_of_war = capsys.readouterr().out.splitlines()
    assert shares == "samples, male words among plots with words of one gender: 67\xa0% (horror 67\xa0%)"
    assert "French 25\xa0%" in groups and "Turkish 0\xa0%" in groups
    assert [line.split(",")[0] for line in of_training] == ["training plots"] * 2
    assert of_war == "samples with a word about war: 50\xa0% of war plots, 0\xa0% of other genres"
    assert training_of_war.startswith("training plots with a word about war: ")
