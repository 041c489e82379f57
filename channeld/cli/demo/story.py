"""The story: a payment, an option and an exit, and a cheat who loses nothing but gas.

Every act drives separate processes through the public command line alone and ends with a table of
balances; the run fails at the first balance that is not as it should be.
"""

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.console import Console

from channeld.cli.demo.books import PEOPLE, USD, Books, Holding, balance_table, holdings_of
from channeld.cli.demo.network import Network
from channeld.cli.demo.stage import DemoFailed, Stage

PAYMENTS = 500
PUT_STRIKE, CALL_STRIKE, CALL_CAP = 4_000, 4_000, 5_000
FIRST_PRICE, PUT_PRICE, CALL_PRICE = 4_000, 3_700, 4_450
PUT_LIFE_S, CALL_LIFE_S = 900, 1_300
"""The put expires first; the call while alice is leaving."""

CHALLENGE_PERIOD_S = 600
PAYMENT_DEADLINE_S = 600


class Story:
    """The acts in order; what one needs of another is kept here."""

    def __init__(self, stage: Stage, console: Console) -> None:
        self.stage = stage
        self.console = console
        self.net = Network(stage)
        self.books = Books()
        self.channels: dict[str, str] = {}
        self.began_s = time.monotonic()
        self.put_expiry_s = 0
        self.call_expiry_s = 0

    def tell(self, text: str) -> None:
        """A progress line."""
        self.console.print(f"[dim]{self.elapsed_s:5.1f} s[/]  {text}", soft_wrap=True)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_s

    def play(self, until_act: int) -> None:
        """The acts up to `until_act`. Raises DemoFailed where it does not go as told."""
        acts = (
            self.act_one,
            self.act_two,
            self.act_three,
            self.act_four,
            self.act_five,
            self.act_six,
            self.act_seven,
        )
        for act in acts[:until_act]:
            act()

    def explain(self) -> None:
        """How to play with a network that is left running."""
        self.console.print("\nThe network is running. Try, for who = alice, bob or carol:")
        carol = self.net.ids["carol"]
        for command in (
            "channels",
            "option positions",
            "invoice '5 USD'",
            "pay INVOICE",
            f"option buy ETH-{_date(self.call_expiry_s)}-3900-P 1 --asset USD --writer {carol}",
            "stop",
        ):
            self.console.print(f"  channeld --data-dir {self.stage.directory}/who {command}", soft_wrap=True)
        self.console.print(f"  channeld chain advance 60 --rpc {self.stage.rpc_url}")
        pids = " ".join(str(process.pid) for process in self.stage.running.values())
        self.console.print(f"End everything with: kill {pids}")
        self.console.print(
            f"Its data and logs stay; afterwards: rm -r {self.stage.directory}", soft_wrap=True
        )

    def end_act(self, title: str) -> dict[str, dict[str, Holding]]:
        """The table of balances, and the check of every one of them."""
        actual = {who: holdings_of(self.stage, who) for who in PEOPLE if who in self.stage.running}
        self.console.print(balance_table(title, actual, self.books))
        self.books.check(actual, title)
        return actual

    def wait(self, what: str, look: Callable[[], Any], timeout_s: float = 30.0) -> Any:
        """Ask again until there is an answer."""
        end = time.monotonic() + timeout_s
        while not (found := look()):
            if time.monotonic() > end:
                raise DemoFailed(f"waited {timeout_s:g} s in vain: {what}")
            time.sleep(0.2)
        return found

    # --- the acts ---------------------------------------------------------------------------------------

    def act_one(self) -> None:
        """A chain, the contracts, an oracle, three daemons, four channels."""
        self.net.start_chain(self.tell)
        self.net.start_oracles(self.tell)
        for who in PEOPLE:
            self.net.make_person(who)
            self.net.run_person(who)
            self.books.expected[who] = self.net.fund(who)
            self.tell(f"{who}'s daemon runs, process {self.stage.running[who].pid}")
        for one, other in (("alice", "bob"), ("bob", "carol")):
            self.net.connect(one, other)
            for symbol, first, second in (("ETH", "1", "1"), ("USD", "10000", "10000")):
                channel = self.net.open(one, other, symbol, first, second)
                self.channels[f"{one}-{other}-{symbol}"] = channel
                self.tell(f"channel {one}–{other} in {symbol} is open: {first} and {second} deposited")
        self.wait("alice to hear of bob's channels with carol", self._alice_has_a_route)
        self.net.sign_price(self.net.chain_time_s() - 60, FIRST_PRICE)
        self.end_act("Act 1: four channels")

    def _alice_has_a_route(self) -> bool:
        invoice = self.stage.of("carol", "invoice", "0.001 USD")["invoices"][0]
        paid = self.stage.of("alice", "pay", invoice["text"], expect=(0, 1, 4))
        if paid is None or paid.get("status") != "succeeded":
            return False
        self._booked(paid, "carol")
        return True

    def _booked(self, paid: dict[str, Any], payee: str) -> None:
        self.books.move("alice", payee, int(paid["amount"]))
        self.books.move("alice", "bob", int(paid["fee"]))

    def act_two(self) -> None:
        """A payment through bob, then many."""
        self._keep_an_old_copy_of_bob()
        invoice = self.stage.of("carol", "invoice", "25 USD", "--description", "a book")["invoices"][0]
        paid = self.stage.of("alice", "pay", invoice["text"])
        self._booked(paid, "carol")
        self.tell(f"alice paid carol 25 USD through bob; receipt {paid['preimage'][:18]}…")
        made = self.stage.of("carol", "invoice", "0.5 USD", "--count", str(PAYMENTS))["invoices"]
        batch = self.stage.directory / "invoices.txt"
        batch.write_text("\n".join(invoice["text"] for invoice in made))
        result = self.stage.of("alice", "pay", "--batch", str(batch), show_progress=True)
        for each in result["results"]:
            self._booked(each["payment"], "carol")
        self.tell(
            f"{result['succeeded']} payments through bob in {result['elapsed_s']} s: "
            f"{result['payments_per_s']} a second, each signed, hash-locked and on three disks"
        )
        closed = self.stage.of("alice", "close", self.channels.pop("alice-bob-ETH"))
        self.tell(f"alice and bob closed their ETH channel together: {closed['phase']}, one transaction")
        self.end_act("Act 2: payments")

    def _keep_an_old_copy_of_bob(self) -> None:
        """What mallory needs later: bob's data directory as it was before all the payments."""
        self.stage.stop("bob")
        shutil.copytree(self.stage.directory / "bob", self.stage.directory / "mallory")
        self.net.run_person("bob")
        for channel in ("alice-bob-USD", "bob-carol-USD"):
            self.wait(f"{channel} to be online again", partial(self._online, channel))
        self.tell("an old copy of bob's data directory is put aside")

    def _online(self, name: str) -> bool:
        other = "alice" if name.startswith("alice") else "carol"
        return bool(self.stage.of(other, "channels", self.channels[name])["online"])

    def act_three(self) -> None:
        """A put from a neighbour, a call from a stranger two hops away."""
        now_s = self.net.chain_time_s()
        self.put_expiry_s, self.call_expiry_s = now_s + PUT_LIFE_S, now_s + CALL_LIFE_S
        put = f"ETH-{_date(self.put_expiry_s)}-{PUT_STRIKE}-P"
        call = f"ETH-{_date(self.call_expiry_s)}-{CALL_STRIKE}-C:{CALL_CAP}"
        self._buy(put, "bob")
        self._buy(call, "carol")
        self.tell("alice's call is from carol, whom she shares no channel with; bob stands in between")
        sides = {who: self._positions(who) for who in PEOPLE}
        for who in PEOPLE:
            self.console.print(self.net.positions_table(who, sides[who]))
        flat = [(p["name"], p["side"]) for p in sides["bob"] if p["name"] == call]
        if sorted(flat) != [(call, "long"), (call, "short")]:
            raise DemoFailed(f"expected bob to end flat in {call}, found {flat}")
        self.tell("bob ends flat in the call: long from carol, short to alice, the same terms")
        self.end_act("Act 3: options")

    def _buy(self, name: str, writer: str) -> None:
        trade = self.stage.of(
            "alice", "option", "buy", name, "1", "--writer", self.net.ids[writer], "--asset", "USD", "--yes"
        )
        self.books.move("alice", writer, int(trade["premium"]))
        self.books.move("alice", "bob", int(trade["fee"]))
        self.tell(f"alice bought {name} from {writer} for {int(trade['premium']) / USD:.6f} USD")
        self.wait("nothing to be pending", lambda: not any(p["pending"] for p in self._positions("alice")))

    def _positions(self, who: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.stage.of(who, "option", "positions")["positions"]
        return found

    def act_four(self) -> None:
        """The put expires and settles between alice and bob, without a transaction."""
        self.net.advance_to(self.put_expiry_s + 1)
        self.tell("the development chain's clock was moved to the put's expiry")
        blocks = self.net.block_number()
        self.net.sign_price(self.put_expiry_s, PUT_PRICE)
        self.wait("the put to settle", lambda: len(self._positions("alice")) == 1)
        self.wait("the put to settle at bob's", lambda: len(self._positions("bob")) == 2)
        self.books.move("bob", "alice", (PUT_STRIKE - PUT_PRICE) * USD)
        if self.net.block_number() != blocks:
            raise DemoFailed("expected the put to settle without a transaction, but a block was mined")
        self.tell(f"signed price {PUT_PRICE}: the put paid {PUT_STRIKE - PUT_PRICE} USD, no transaction")
        self.end_act("Act 4: settlement without the chain")

    def act_five(self) -> None:
        """Bob dies with a position open and a payment in flight; alice leaves alone."""
        invoice = self.stage.of("carol", "invoice", "40 USD")["invoices"][0]
        self.stage.pause("carol")
        paid = self.stage.of("alice", "pay", invoice["text"], "--timeout", "1", expect=(3,))
        bob_carol = self.channels["bob-carol-USD"]
        self.wait("bob to carry the payment on", lambda: self.net.is_offered("bob", bob_carol))
        self.stage.kill("bob")
        self.stage.resume("carol")
        self.tell("bob was killed (SIGKILL) with alice's call open and her payment in flight")
        sent_s = self.net.chain_time_s()
        disputed = self.stage.of("alice", "close", self.channels["alice-bob-USD"], "--unilateral")
        self.tell(f"alice left alone: {disputed['note']}")
        self._let_carol_reveal(invoice["hashlock"], sent_s)
        self._booked(paid, "carol")
        self.net.advance_to(self.call_expiry_s + 1)
        self.net.sign_price(self.call_expiry_s, CALL_PRICE)
        self.tell(f"the call expired; the oracle signed {CALL_PRICE}")
        self.net.advance(CHALLENGE_PERIOD_S)
        self.wait("alice's settlement", partial(self._is_closed, "alice", "alice-bob-USD"), 60.0)
        self.tell("alice's daemon published the price and settled on chain, claims and all")
        self.books.move("bob", "alice", (CALL_PRICE - CALL_STRIKE) * USD)
        self._check_alone("alice", "Act 5: alice left alone")

    def _check_alone(self, who: str, title: str) -> None:
        """The balances of one person while another's are not decided yet."""
        actual = {who: holdings_of(self.stage, who)}
        self.console.print(balance_table(title, actual, self.books))
        self.books.check(actual, title)

    def _let_carol_reveal(self, hashlock: str, sent_s: int) -> None:
        """Carol's secret finds no bob to take it, so her daemon registers it before the deadline."""
        self.wait(
            "carol to take the payment",
            lambda: self.stage.of("carol", "invoice", "--show", hashlock)["status"] == "paid",
        )
        self.net.advance_to(sent_s + PAYMENT_DEADLINE_S - 100)
        self.wait(
            "carol's secret on chain",
            lambda: self.stage.of("alice", "payments", hashlock)["status"] == "succeeded",
        )
        self.tell("carol's daemon registered the payment's secret on chain; alice has her receipt")

    def _is_closed(self, who: str, name: str) -> bool:
        return bool(self.stage.of(who, "channels", self.channels[name])["phase"] == "closed")

    def act_six(self) -> None:
        """Bob comes back from the old copy and challenges with a state from before the payments."""
        self.net.run_person("mallory", offline=True)
        stale = self.stage.of("mallory", "channels", self.channels["bob-carol-USD"])
        newest = self.stage.of("carol", "channels", self.channels["bob-carol-USD"])
        self.stage.of("mallory", "close", self.channels["bob-carol-USD"], "--unilateral")
        self.tell(f"mallory put version {stale['version']} on chain; carol holds version {newest['version']}")
        answered = f"in dispute at version {newest['version']}"
        self.wait(
            "carol's answer",
            lambda: self.stage.of("carol", "channels", self.channels["bob-carol-USD"])["note"].startswith(
                answered
            ),
        )
        self.tell("carol's daemon answered with the newer state by itself")
        self.stage.of("carol", "close", self.channels["bob-carol-ETH"], "--unilateral")
        self.net.advance(CHALLENGE_PERIOD_S + 1)
        for name in ("bob-carol-USD", "bob-carol-ETH"):
            self.wait(f"the settlement of {name}", partial(self._is_closed, "carol", name), 60.0)
        self.books.move("carol", "bob", (CALL_PRICE - CALL_STRIKE) * USD)
        self.tell("settled: carol kept every unit, mallory paid for the gas")
        self._check_alone("carol", "Act 6: a cheat answered")

    def act_seven(self) -> None:
        """Nothing was made and nothing was lost."""
        actual = {who: holdings_of(self.stage, who) for who in ("alice", "carol")}
        actual["bob"] = holdings_of(self.stage, "mallory")
        self.console.print(balance_table("Act 7: the end", actual, self.books))
        self.books.check(actual, "the end")
        for symbol, found in self.net.audit().items():
            given = self.net.given[symbol]
            if found.total != given or found.in_channels != 0:
                raise DemoFailed(
                    f"expected {given} smallest units of {symbol} in all and none in the contract, "
                    f"found {found.total} and {found.in_channels}"
                )
            gas = f", of which {sum(found.gas_wei.values())} went for gas" if found.gas_wei else ""
            self.tell(f"{symbol}: {found.total} smallest units in all, exactly what was given out{gas}")


def _date(at_s: int) -> str:
    when = datetime.fromtimestamp(at_s, UTC)
    return f"{when.day}{when.strftime('%b%yT%H%M%S').upper()}"
