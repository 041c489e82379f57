"""A dispute while bob is away: a watchtower that lags, answers late or is bought, and blocks that are undone.

Alice pays bob one coin a version, and bob hands over goods as soon as he has accepted it. A state of an older
version pays him less, so she would like one to stand when the window ends.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

NOBODY = -1
"""No dispute stands on chain."""


@dataclass(frozen=True)
class Watch:
    """How a channel is watched. Phases count from the challenge to the end of the `window`.

    `away`: the longest that bob is away; `depth`: how many phases a reorganisation reaches back; an answer
    is sent `answer_by` phases before the window ends, at the latest. `tower`: "none", "lags" (bob does not
    wait for it), "first" (bob acts on nothing that it does not hold) or "bought" (it starts disputes for
    alice, from the version on that its permit names). `minimum`: whether the permit names one; `cheats`:
    whether alice shows old states herself; `head`: bob believes a challenge before it is confirmed;
    `one_answer`: a contract that takes a single answer; `versions` bounds the story.
    """

    window: int = 6
    away: int = 2
    depth: int = 1
    answer_by: int = 2
    tower: str = "none"
    minimum: bool = True
    cheats: bool = True
    head: bool = False
    one_answer: bool = False
    versions: int = 4


class Scene(NamedTuple):
    """`accepted`: versions that bob holds; `acted`: those that he has handed goods over for; `copy`: what
    the tower holds; `permit`: from where it may start; `stands`: the version on chain, `before` the one
    that an undone answer leaves; `age` of the dispute and of its last answer; `asleep`: for how long;
    `leaving`: bob takes the channel for disputed; `undone`: a block with an answer was undone once, and
    `flying`: the answer that will be mined again in the next phase."""

    accepted: int = 0
    acted: int = 0
    copy: int = 0
    permit: int = 0
    stands: int = NOBODY
    before: int = NOBODY
    age: int = 0
    answer_age: int = 0
    answered: bool = False
    asleep: int = 0
    away: bool = False
    leaving: bool = False
    flying: int = NOBODY
    undone: bool = False
    final: int = NOBODY


@dataclass(frozen=True)
class Watched:
    """What the search came to: `loss` is the most that bob can be short of, and its story; `stuck`, how he
    comes to wait for a dispute that does not exist; `below_permit`, how less stands than a permit allows."""

    states: int
    loss: int
    story: tuple[str, ...]
    stuck: tuple[str, ...] = ()
    below_permit: tuple[str, ...] = ()


def moves(watch: Watch, now: Scene) -> Iterator[tuple[str, Scene]]:
    if now.final != NOBODY:
        return
    yield from trading(watch, now)
    if now.stands == NOBODY:
        for version in range(now.accepted + 1) if watch.cheats else ():
            yield f"alice challenges with version {version}", started(now, version)
        if watch.tower == "bought" and now.permit:
            for version in range(now.permit if watch.minimum else 0, now.accepted + 1):
                yield f"the bought tower challenges with version {version}", started(now, version)
        if not now.away or now.asleep < watch.away:
            yield "time passes", now._replace(asleep=now.asleep + now.away)
        return
    yield from disputing(watch, now)


def trading(watch: Watch, now: Scene) -> Iterator[tuple[str, Scene]]:
    """Bob's life while he is there, and his naps."""
    if now.away:
        yield "bob is back", now._replace(away=False, asleep=0)
        return
    seen = now.stands != NOBODY and now.age >= watch.depth
    if not (seen and any(who == "bob" for who, _ in answers(watch, now))):
        yield "bob goes away", now._replace(away=True)
    if now.leaving or seen:
        return  # who knows of a dispute signs and accepts no more
    if now.accepted < watch.versions:
        paid = now._replace(accepted=now.accepted + 1)
        acted = now.acted if watch.tower == "first" else paid.accepted
        yield "alice pays", paid._replace(acted=acted)
    if watch.tower != "none" and now.copy < now.accepted:
        permit = now.accepted if now.stands == NOBODY else now.permit
        told = now._replace(copy=now.accepted, permit=permit)
        yield "the tower is told", told._replace(acted=told.copy) if watch.tower == "first" else told


def started(now: Scene, version: int) -> Scene:
    return now._replace(
        stands=version, before=NOBODY, age=0, answer_age=0, answered=False, undone=False, flying=NOBODY
    )


def answers(watch: Watch, now: Scene) -> list[tuple[str, int]]:
    """Who can answer what stands, and with which version."""
    if watch.one_answer and now.answered:
        return []
    found, stands = [], max(now.stands, now.flying)
    if not now.away and now.accepted > stands:
        found.append(("bob", now.accepted))
    if watch.tower in ("lags", "first") and now.copy > stands:
        found.append(("the tower", now.copy))
    return found


def disputing(watch: Watch, now: Scene) -> Iterator[tuple[str, Scene]]:
    able = answers(watch, now)
    for who, version in able:
        yield (
            f"{who} answers with version {version}",
            now._replace(stands=version, before=now.stands, answer_age=0, answered=True, flying=NOBODY),
        )
    if now.before != NOBODY and now.answer_age < watch.depth and not now.undone:
        back = now._replace(stands=now.before, before=NOBODY, answered=False, undone=True, flying=now.stands)
        yield "the answer is undone", back
    if now.age < watch.depth:
        yield (
            "the challenge is undone",
            now._replace(stands=NOBODY, before=NOBODY, age=0, answered=False, flying=NOBODY),
        )
    must = able and now.age >= watch.window - watch.answer_by  # whoever can answer does so in time
    if must or (now.away and now.asleep >= watch.away):
        return  # and bob comes back in time
    aged = now._replace(
        age=now.age + 1,
        answer_age=now.answer_age + 1,
        asleep=now.asleep + now.away,
        stands=max(now.stands, now.flying),
        flying=NOBODY,
        leaving=now.leaving or (not now.away and (watch.head or now.age + 1 >= watch.depth)),
    )
    if aged.age >= watch.window:
        aged = aged._replace(final=now.stands)  # what is mined at the end of the window is too late
    yield "time passes", aged


def watch_over(watch: Watch) -> Watched:
    """Every state of the dispute; the worst that bob can end with, and how."""
    start = Scene()
    parents: dict[Scene, tuple[Scene, str] | None] = {start: None}
    queue = deque([start])
    loss, worst, stuck, below = 0, start, None, None
    while queue:
        now = queue.popleft()
        if now.final != NOBODY and now.acted - now.final > loss:
            loss, worst = now.acted - now.final, now
        if now.leaving and now.stands == NOBODY and stuck is None:
            stuck = now
        if now.final != NOBODY and now.final < now.permit and not watch.cheats:
            below = below or now
        for label, after in moves(watch, now):
            if after not in parents:
                parents[after] = (now, label)
                queue.append(after)
    stories = (story(parents, scene) for scene in (worst, stuck, below))
    return Watched(len(parents), loss, *stories)


def story(parents: dict[Scene, tuple[Scene, str] | None], now: Scene | None) -> tuple[str, ...]:
    told: list[str] = []
    while now is not None and (came := parents[now]) is not None:
        now = came[0]
        told.append(came[1])
    return tuple(reversed(told))
