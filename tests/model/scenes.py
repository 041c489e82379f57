"""What is played: who stands where, which claims there may be, and what an honest node does for what.

Times are phases. A secret registered up to a claim's `deadline` counts; `margin` phases before it the
honest register what they know, and take no fulfilment any more; another `margin` earlier they stop to carry
claims on. `depth` is how far a reorganisation may reach back: a node knows what has *not* happened `depth`
phases late. What a node submits is on chain for good at most `delay` phases later.
"""

from dataclasses import dataclass, replace

MONEY = "money"
CALL = "option"


@dataclass(frozen=True)
class Claim:
    """`payer` is a node; `lock` numbers the hashlock, None for a push. `pays` is what moves if it is paid."""

    name: str
    channel: int
    payer: int
    lock: int | None
    deadline: int = 0
    pays: tuple[tuple[str, int], ...] = ((MONEY, 10),)


@dataclass(frozen=True)
class Link:
    """Node `at` owes `onward` because it is owed `incoming`; without `onward` it sells for it.

    `needs`: the premium that it must be carrying, for an option on its way back (R14).
    """

    at: int
    incoming: int
    onward: int | None
    needs: int | None = None


@dataclass(frozen=True)
class Scene:
    """`honest` are the nodes that keep the rules; the others are one adversary. `begins` are the claims
    that an honest payer offers at the start, `reveals` at whose arrival an honest node gives its own secret
    away; `owners` says whose each secret is (None: the adversary's). `sleepy` nodes may miss their moment
    to register (a crash, a full chain), so only that everything resolves is asked of them; `prompt`: what
    is on its way arrives or is lost within a phase. `weights`: what a unit of each asset is worth to a node
    that trades on its own account; without them a node must not lose any asset (it is a hub).
    """

    nodes: tuple[str, ...]
    honest: tuple[int, ...]
    channels: tuple[tuple[int, int], ...]
    claims: tuple[Claim, ...]
    links: tuple[Link, ...] = ()
    begins: tuple[int, ...] = ()
    reveals: tuple[tuple[int, int], ...] = ()
    owners: tuple[int | None, ...] = (None,)
    chains: tuple[int, ...] = ()
    flipped: tuple[int, ...] = ()
    margin: int = 1
    depth: int = 0
    delay: int = 0
    skew: int = 0
    drops: int = 0
    traffic: bool = True
    consent: bool = False
    gives_up: bool = True
    sleepy: bool = False
    prompt: bool = True
    weights: tuple[tuple[str, int], ...] = ()
    swaps: tuple[tuple[int, ...], ...] = ()
    again: tuple[tuple[int, int], ...] = ()

    @property
    def last(self) -> int:
        """The phase after which nothing changes any more."""
        deadlines = [claim.deadline for claim in self.claims if claim.lock is not None]
        return max(deadlines, default=-1) + 1 + self.depth + self.skew

    def chain_of(self, channel: int) -> int:
        return self.chains[channel] if self.chains else 0

    @property
    def keys(self) -> tuple[tuple[int, int], ...]:
        """Every (lock, chain) whose registration matters."""
        return tuple(sorted({(c.lock, self.chain_of(c.channel)) for c in self.claims if c.lock is not None}))

    def payee(self, claim: int) -> int:
        left, right = self.channels[self.claims[claim].channel]
        return left + right - self.claims[claim].payer if left != right else left


A, B, C, D = range(4)
HUB = {"nodes": ("alice", "bob", "carol"), "honest": (B,), "channels": ((A, B), (B, C))}


def payment(*, deadline: int = 2, **changes: object) -> Scene:
    """Alice pays carol through bob; one deadline for both hops (R13)."""
    claims = (Claim("in", 0, A, 0, deadline), Claim("out", 1, B, 0, deadline))
    return replace(Scene(**HUB, claims=claims, links=(Link(B, 0, 1),)), **changes)  # type: ignore[arg-type]


def staggered(**changes: object) -> Scene:
    """The same with the longer deadline coming in, as across chains."""
    claims = (Claim("in", 0, A, 0, 3), Claim("out", 1, B, 0, 2))
    return payment(claims=claims, **changes)


def two_payments(*, same_lock: bool = False, opposite: bool = False, **changes: object) -> Scene:
    """Two payments through one hub at once, under two hashlocks or under one; in one direction or in both."""
    second = 0 if same_lock else 1
    back = (Claim("in2", 1, C, second, 2), Claim("out2", 0, B, second, 2))
    forth = (Claim("in2", 0, A, second, 2), Claim("out2", 1, B, second, 2))
    claims = (Claim("in", 0, A, 0, 2), Claim("out", 1, B, 0, 2), *(back if opposite else forth))
    links = (Link(B, 0, 1), Link(B, 2, 3))
    swaps = () if opposite else ((2, 3, 0, 1),)
    owners = (None,) if same_lock else (None, None)
    return payment(claims=claims, links=links, owners=owners, swaps=swaps, traffic=False, **changes)


def trade(*, assets: int = 1, **changes: object) -> Scene:
    """Alice buys an option from carol through bob: the premium goes out, the option comes back (R14).

    With two assets the premium and the option travel in channels of their own.
    """
    option = ((CALL, 1),)
    far = 2 if assets == 2 else 0
    claims = (
        Claim("premium1", 0, A, 0, 2),
        Claim("premium2", 1, B, 0, 2),
        Claim("option2", 1 + far, C, 0, 2, option),
        Claim("option1", 0 + far, B, 0, 2, option),
    )
    channels = ((A, B), (B, C)) * assets
    links = (Link(B, 0, 1), Link(B, 2, 3, needs=0))
    return payment(claims=claims, channels=channels, links=links, traffic=False, **changes)


def bundle(*, deadline: int = 3, **changes: object) -> Scene:
    """Premium and option proposed together by the premium's payer: what must not be done."""
    both = ((MONEY, 10), (CALL, -1))
    claims = (Claim("in", 0, A, 0, deadline, both), Claim("out", 1, B, 0, 2, both))
    return payment(claims=claims, consent=True, traffic=False, **changes)


PAIR = {"nodes": ("alice", "bob"), "honest": (B,), "channels": ((A, B),)}
OWN_ACCOUNT = ((MONEY, 1), (CALL, 10))


def writer(**changes: object) -> Scene:
    """Bob writes an option for alice, his neighbour."""
    claims = (Claim("premium", 0, A, 0, 2), Claim("option", 0, B, 0, 2, ((CALL, 1),)))
    scene = Scene(**PAIR, claims=claims, links=(Link(B, 0, 1),), weights=OWN_ACCOUNT)  # type: ignore[arg-type]
    return replace(scene, **changes)  # type: ignore[arg-type]


def buyer(**changes: object) -> Scene:
    """Bob buys an option from alice; the secret is his."""
    claims = (Claim("premium", 0, B, 0, 2), Claim("option", 0, A, 0, 2, ((CALL, 1),)))
    scene = Scene(
        **PAIR,  # type: ignore[arg-type]
        claims=claims,
        begins=(0,),
        reveals=((B, 1),),
        owners=(B,),
        weights=OWN_ACCOUNT,
    )
    return replace(scene, **changes)  # type: ignore[arg-type]


def shop(**changes: object) -> Scene:
    """Alice pushes money to bob, who hands over goods for it, twice."""
    claims = (Claim("push1", 0, A, None), Claim("push2", 0, A, None))
    scene = Scene(**PAIR, claims=claims, links=(Link(B, 0, None), Link(B, 1, None)), owners=())  # type: ignore[arg-type]
    return replace(scene, **changes)  # type: ignore[arg-type]


def pusher(**changes: object) -> Scene:
    """Bob pushes 10 to alice, once; he has handed her a claim of 10 on himself and must not pay it twice."""
    claims = (Claim("push", 0, B, None), Claim("repeated", 0, B, None), Claim("owed", 0, A, None))
    scene = Scene(**PAIR, claims=claims, begins=(0,), owners=(), again=((0, 1),))  # type: ignore[arg-type]
    return replace(scene, **changes)  # type: ignore[arg-type]


def swap(*, stairs: int, traffic: bool = False, **changes: object) -> Scene:
    """A payment that changes chains at bob: two registries, the incoming deadline `stairs` later (R13)."""
    claims = (Claim("in", 0, A, 0, 2 + stairs), Claim("out", 1, B, 0, 2))
    return payment(claims=claims, chains=(0, 1), traffic=traffic, **changes)


def two_hubs(**changes: object) -> Scene:
    """Four nodes: alice and dora are the adversary's, bob and carol keep the rules and share a channel."""
    claims = (Claim("in", 0, A, 0, 2), Claim("middle", 1, B, 0, 2), Claim("out", 2, C, 0, 2))
    scene = Scene(
        nodes=("alice", "bob", "carol", "dora"),
        honest=(B, C),
        channels=((A, B), (B, C), (C, D)),
        claims=claims,
        links=(Link(B, 0, 1), Link(C, 1, 2)),
        traffic=False,
    )
    return replace(scene, **changes)  # type: ignore[arg-type]


def neighbours(
    *, forth: int = 1, back: int = 1, pushes: int = 0, deadline: int = 2, **changes: object
) -> Scene:
    """Two honest nodes pay each other, each `forth` or `back` times; they push in turns."""
    payers = [A] * forth + [B] * back
    claims = [Claim(f"pay{number}", 0, payer, number, deadline) for number, payer in enumerate(payers)]
    reveals = tuple((B if payer == A else A, number) for number, payer in enumerate(payers))
    owners = tuple(node for node, _ in reveals)
    claims += [Claim(f"push{number}", 0, number % 2, None) for number in range(pushes)]
    scene = Scene(
        nodes=("alice", "bob"),
        honest=(A, B),
        channels=((A, B),),
        claims=tuple(claims),
        begins=tuple(range(len(claims))),
        reveals=reveals,
        owners=owners,
    )
    return replace(scene, **changes)  # type: ignore[arg-type]


def line(
    *, hops: int = 2, there_and_back: bool = False, pushes: bool = False, deadline: int = 2, **changes: object
) -> Scene:
    """Honest nodes in a row; the first pays the last, the last the first, the second pushes to the first."""
    nodes = ("alice", "bob", "carol", "dora")[: hops + 1]
    claims = [Claim(f"there{hop}", hop, hop, 0, deadline) for hop in range(hops)]
    links = [Link(hop, hop - 1, hop) for hop in range(1, hops)]
    begins, reveals, owners = [0], [(hops, hops - 1)], [hops]
    if pushes:
        begins.append(len(claims))
        claims.append(Claim("push", 0, 1, None))
    if there_and_back:
        claims += [Claim(f"back{hop}", hop, hop + 1, 1, deadline) for hop in range(hops)]
        links += [Link(hop, hops + hop, hops + hop - 1) for hop in range(1, hops)]
        begins.append(2 * hops - 1)
        reveals.append((0, hops))
        owners.append(0)
    scene = Scene(
        nodes=nodes,
        honest=tuple(range(hops + 1)),
        channels=tuple((hop, hop + 1) for hop in range(hops)),
        claims=tuple(claims),
        links=tuple(links),
        begins=tuple(begins),
        reveals=tuple(reveals),
        owners=tuple(owners),
    )
    return replace(scene, **changes)  # type: ignore[arg-type]
