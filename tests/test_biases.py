"""What `tools/biases.py` counts in a generator's dump, on samples whose answer is known."""

import json

from movieplots.generation.dumps import cell_name
from tools.biases import of_generator

PLOTS = ["His brother is French.", "He is alone.", "A woman waits.", "A boy meets a girl.", ""]
WAR_PLOTS = ["An army waits.", "Two armies.", "A warden sleeps.", "No peace."]


def test_samples_are_counted_beside_the_training_plots(small_corpus, tmp_path, capsys):
    for temperature in (1, 1.3):
        common = {"genre": "horror", "title": "Salt", "temperature": temperature, "top_p": 0.0, "seed": 0}
        plots = PLOTS if temperature == 1 else ["Women, and women at war only."] * 9  # too hot to count
        rows = [json.dumps(common | {"plot": plot, "truncated": False}) + "\n" for plot in plots]
        if temperature == 1:
            rows += [
                json.dumps(common | {"genre": "war", "plot": plot, "truncated": False}) + "\n" for plot in WAR_PLOTS
            ]
        (tmp_path / f"{cell_name(temperature, 0)}.jsonl").write_text("".join(rows))
    of_generator(str(small_corpus), str(tmp_path))
    shares, peoples, *of_training, of_war, training_of_war = capsys.readouterr().out.splitlines()
    assert shares == "samples, of men among those of one gender: 67\xa0% (horror 67\xa0%)"
    assert "French 25\xa0%" in peoples and "Turkish 0\xa0%" in peoples
    assert [line.split(",")[0] for line in of_training] == ["training plots"] * 2
    assert of_war == "samples with a word of war: 50\xa0% of war, 0\xa0% of other genres"
    assert training_of_war.startswith("training plots with a word of war: ")
