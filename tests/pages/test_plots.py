"""Geometry of the charts."""

from hypothesis import given
from hypothesis import strategies as st

from reprotune.pages.plots import CURVE_POINTS, SVG_SIZE, length_plot, loss_plot, nice_ticks, score_bars


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_ticks_enclose_the_range_in_round_even_steps(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    ticks = nice_ticks(low, high)
    tolerance = 1e-9 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + tolerance
    assert ticks[-1] >= high - tolerance
    assert 2 <= len(ticks) <= 8
    labels = [f"{tick:g}" for tick in ticks]
    assert len(set(labels)) == len(labels)
    assert ticks == sorted(ticks)


def rows(steps: int, every: int = 50) -> list[dict[str, str]]:
    return [
        {
            "step": str(step),
            "train_loss": str(4 - 3 * step / steps),
            "validation_loss": "2.5" if step % every == 0 else "",
        }
        for step in range(1, steps + 1)
    ]


def test_curves_stay_inside_the_plot_and_dots_are_the_validations() -> None:
    plot = loss_plot(rows(100))
    points = [tuple(map(float, point.split(","))) for point in plot.train_curve.split()]
    assert len(points) == 100
    assert all(0 <= x <= 1000 and 0 <= y <= 1000 for x, y in points)
    assert [y for _, y in points] == sorted(y for _, y in points)  # a falling loss goes down the page
    assert [dot.left for dot in plot.dots] == [50, 100]
    assert (plot.steps_per_point, plot.steps_above) == (1, 0)


def test_the_steep_start_is_cut_off_and_counted_where_the_rest_would_be_flat() -> None:
    steep = rows(100)
    for row, loss in zip(steep, [7.2, 6.0, 3.0, 2.0, *[0.2, 0.4] * 48], strict=True):
        row["train_loss"] = str(loss)
        row["validation_loss"] = row["validation_loss"] and "0.3"
    plot = loss_plot(steep)
    top = float(plot.y_ticks[-1].label)
    assert 0.4 <= top < 1
    assert (plot.steps_above, plot.highest) == (4, 7.2)
    heights = [float(point.split(",")[1]) for point in plot.train_curve.split()]
    assert [height < 0 for height in heights] == [True] * 4 + [False] * 96
    assert max(heights) <= SVG_SIZE
    assert all(0 <= dot.bottom <= 100 for dot in plot.dots)


def test_a_long_run_is_averaged_and_says_so() -> None:
    plot = loss_plot(rows(10_000, every=2500))
    assert plot.steps_per_point == 25
    assert len(plot.train_curve.split()) == CURVE_POINTS


def test_a_run_of_one_step_has_a_plot() -> None:
    plot = loss_plot([{"step": "1", "train_loss": "2.0", "validation_loss": "2.0"}])
    assert len(plot.dots) == 1


def test_bars_are_relative_to_the_tallest() -> None:
    bars = score_bars([0, 5] * 5, [10, 0] * 5)
    assert (bars[0].base_height, bars[0].finetuned_height) == (0, 100)
    assert (bars[1].base_height, bars[1].label) == (50, "10–20")
    assert score_bars([0] * 10, [0] * 10)[0].base_height == 0


def test_every_answer_is_a_mark_within_the_plot() -> None:
    plot = length_plot([(3, 0.0), (64, 100.0)], [(10, 50.0)])
    assert plot.base_marks.count("M") == 2
    assert plot.base_marks.endswith("M1000.0,0.0h0")
    assert plot.finetuned_marks == "M156.2,500.0h0"
    assert [tick.label for tick in plot.y_ticks] == ["0", "20", "40", "60", "80", "100"]
    assert length_plot([], []).base_marks == ""
