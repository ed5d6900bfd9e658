"""How much a run does."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Profile:
    """Examples per case, and the seed of everything random.

    Attributes
    ----------
    name : str
        "quick", "ci" or "thorough".
    max_examples : int
        How many examples are drawn for a case that holds; checks that run once are not counted.
    seed : int
        The same seed draws the same examples and seeds the same streams.
    time_limit : float
        Seconds after which a case is given up, as failed.
    large : bool
        Whether checks look at the sizes and periods that take seconds.
    """

    name: str
    max_examples: int
    seed: int = 0
    time_limit: float = 60.0
    large: bool = False


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", 12),
        Profile("ci", 60, time_limit=300.0, large=True),
        Profile("thorough", 1000, time_limit=3600.0, large=True),
    )
}


def profile_of(
    name: str = "quick",
    max_examples: int | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
) -> Profile:
    """Return a profile by name, with what is given replaced.

    Raises
    ------
    ValueError
        If there is none of that name, or a number is out of range.
    """
    if name not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got profile={name!r}")
    chosen = PROFILES[name]
    if max_examples is not None:
        if max_examples < 1:
            raise ValueError(f"max_examples must be >= 1, got max_examples={max_examples!r}")
        chosen = replace(chosen, max_examples=max_examples)
    if seed is not None:
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be 0 to 2**32 - 1, got seed={seed!r}")
        chosen = replace(chosen, seed=seed)
    if time_limit is not None:
        if not time_limit > 0:
            raise ValueError(
                f"time_limit must be more than 0 seconds, got time_limit={time_limit!r}"
            )
        chosen = replace(chosen, time_limit=time_limit)
    return chosen
