"""Charts of a sweep: places are within the plot, what is cut off is counted."""

import pytest

from reprotune.pages.plots import SVG_SIZE
from reprotune.sweep.findings.effects import Effect, Group
from reprotune.sweep.findings.figures import Drawn, curves, effect_scale, parallel
from reprotune.sweep.space import dimension

SPACE = (dimension("finetune.epochs", [1, 2, 3]), dimension("finetune.weight_decay", {"low": 0.0, "high": 0.2}))


def drawn(number: int, epochs: int, decay: float, *losses: float) -> Drawn:
    values = {"finetune.epochs": epochs, "finetune.weight_decay": decay}
    return Drawn(number, values, dict(zip((0.25, 0.5, 1.0), losses, strict=False)), "stopped")


TRIALS = [drawn(1, 1, 0.0, 1.0, 0.9), drawn(2, 3, 0.2, 0.5, 0.4, 0.3), drawn(3, 2, 0.1, 0.8), drawn(4, 2, 0.1)]


def test_parallel_lines_run_through_the_values_to_the_loss() -> None:
    found = parallel(SPACE, TRIALS, 0.25)
    assert [axis.name for axis in found.axes] == ["epochs", "weight_decay", "loss at 25%"]
    assert [axis.left for axis in found.axes] == [0, 50, 100]
    lines = {line.number: line.points.split() for line in found.lines}
    assert sorted(lines) == [1, 2, 3]  # the fourth has no loss
    assert [line.number for line in found.lines] == [1, 3, 2]  # the best on top
    assert lines[1][:2] == ["0.0,1000.0", "500.0,1000.0"]
    assert lines[2][:2] == ["0.0,0.0", "500.0,0.0"]
    assert lines[3][:2] == ["0.0,500.0", "500.0,500.0"]
    assert float(lines[2][2].split(",")[1]) > float(lines[1][2].split(",")[1])


def test_a_loss_far_above_the_others_is_cut_off_and_counted() -> None:
    many = [drawn(number, 1, 0.1, 0.5 + number / 100, 0.4) for number in range(1, 20)]
    far = [*many, drawn(20, 1, 0.1, 30.0, 20.0)]
    found = parallel(SPACE, far, 0.25)
    assert found.cut == 1
    heights = [float(point.split(",")[1]) for line in found.lines for point in line.points.split()]
    assert all(0 <= height <= SVG_SIZE for height in heights)
    drawn_curves = curves(SPACE, far)
    assert drawn_curves.cut == 2
    assert all(0 <= dot.bottom <= 100 for dot in drawn_curves.dots)


def test_curves_have_a_dot_for_each_loss_and_a_line_for_each_trial_with_two() -> None:
    found = curves(SPACE, TRIALS)
    assert len(found.dots) == 6
    assert sorted(line.number for line in found.lines) == [1, 2]
    assert [tick.label for tick in found.x_ticks] == ["25%", "50%", "100%"]
    assert "trial 2 (epochs 3, weight_decay 0.2): 0.3000 at 100%" in [dot.title for dot in found.dots]


def test_nothing_to_draw_is_no_fault() -> None:
    assert parallel(SPACE, [], 0.25).lines == []
    assert curves(SPACE, [drawn(1, 1, 0.1)]).dots == []


def test_the_scale_of_effects_holds_all_means() -> None:
    wide = Effect(
        "a", 0.1, 0.5, [Group("x", 2, 0.5, 0.01, 9.0), Group("y", 2, 0.7, 0.6, 0.8), Group("z", 0, None, None, None)]
    )
    low, high = effect_scale([wide])
    assert (low, high) == pytest.approx((0.3, 0.9))
    assert effect_scale([]) == (0.0, 1.0)
