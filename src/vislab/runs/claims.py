"""A claim is a sentence of a course that a run tests. Nature decides: refuted is a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vislab.runs.intervals import Interval  # its numpy would slow `vislab list`


Verdict = Literal["confirmed", "refuted", "undecided"]


@dataclass(frozen=True)
class Claim:
    """The sentence, the metric that decides it, and what that metric must be."""

    claim: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None

    def judge(
        self, metrics: Mapping[str, float], intervals: "Mapping[str, Interval]"
    ) -> dict[str, Any]:
        """Return the claim with its verdict.

        Confirmed when the whole interval of the metric satisfies it, refuted when none of it
        does, undecided between the two and where the run did not measure the metric.
        """
        value = metrics.get(self.metric)
        low, high = intervals.get(self.metric, (value, value))
        verdict: Verdict = "undecided"
        if value is not None and low is not None and high is not None:
            above = self.at_least if self.at_least is not None else float("-inf")
            below = self.at_most if self.at_most is not None else float("inf")
            if above <= low and high <= below:
                verdict = "confirmed"
            elif high < above or low > below:
                verdict = "refuted"
        return {
            "claim": self.claim,
            "verdict": verdict,
            "metric": self.metric,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "value": value,
            "interval": None if value is None else [low, high],
        }


def claim(
    text: str, metric: str, *, at_least: float | None = None, at_most: float | None = None
) -> Claim:
    """Write a claim down. `at_least` and `at_most` bound the metric; give one or both."""
    assert at_least is not None or at_most is not None, f"the claim {text!r} asks for nothing"
    return Claim(text, metric, at_least, at_most)
