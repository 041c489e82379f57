"""What has been mined, and how to take it back: blocks, receipts, logs and the state before each of them."""

from collections import deque
from dataclasses import dataclass

from channeld.services.devchain.blocks import Block, Receipt
from channeld.services.devchain.errors import CallFailed
from channeld.services.devchain.ledger import Diff, Ledger
from channeld.services.devchain.logindex import LogIndex

# Old states are kept as the cells each layer changed, about 1 kB a block; this bounds them to tens of MB.
# Blocks, receipts and logs are kept for ever.
LAYERS_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Layer:
    """A change of state: a block, or cells set by hand after the block `number`."""

    number: int
    before: Diff


class History:
    """Grows and shrinks at its end only. `ledger` is the state after the last layer."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.blocks: list[Block] = []
        self.logs = LogIndex()
        # Blocks ever mined here, the dropped ones too: no two of them may share a hash.
        self.sealed = 0
        self._layers: deque[Layer] = deque()
        self._forgotten = 0
        self._numbers: dict[bytes, int] = {}
        self._receipts: dict[bytes, Receipt] = {}

    @property
    def head(self) -> Block:
        return self.blocks[-1]

    @property
    def depth(self) -> int:
        """How many layers there have been; `rewind` goes back to an earlier depth."""
        return self._forgotten + len(self._layers)

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        number = self._numbers.get(block_hash)
        return None if number is None else self.blocks[number]

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        return self._receipts.get(transaction_hash)

    def add_block(self, block: Block, before: Diff) -> None:
        """`block` has been executed: the ledger already holds its effects."""
        assert block.number == len(self.blocks), "blocks are added in order"
        self.blocks.append(block)
        self.sealed += 1
        self._numbers[block.hash] = block.number
        for receipt in block.receipts:
            self._receipts[receipt.transaction_hash] = receipt
            self.logs.add(receipt.logs)
        self._add_layer(Layer(block.number, before))

    def add_patch(self, before: Diff) -> None:
        """Cells of the ledger were set by hand."""
        self._add_layer(Layer(self.head.number, before))

    def _add_layer(self, layer: Layer) -> None:
        self._layers.append(layer)
        if len(self._layers) > LAYERS_KEPT:
            self._layers.popleft()
            self._forgotten += 1

    def depth_below(self, number: int) -> int:
        """The depth at which block `number` and all that followed was not there yet."""
        kept = sum(1 for layer in self._layers if layer.number < number)
        return self._forgotten + kept

    def can_rewind_to(self, depth: int) -> bool:
        return self._forgotten < depth <= self.depth

    def rewind(self, depth: int) -> list[Block]:
        """Take back every layer above `depth`; return the dropped blocks, lowest first."""
        assert self.can_rewind_to(depth), f"depth {depth} is not in {self._forgotten + 1} to {self.depth}"
        dropped: list[Block] = []
        while self.depth > depth:
            layer = self._layers.pop()
            self.ledger.apply(layer.before)
            if self._layers[-1].number < layer.number:
                dropped.append(self._drop_block())
        return dropped[::-1]

    def _drop_block(self) -> Block:
        block = self.blocks.pop()
        del self._numbers[block.hash]
        for receipt in reversed(block.receipts):
            del self._receipts[receipt.transaction_hash]
            self.logs.drop(receipt.logs)
        return block

    def ledger_at(self, number: int) -> Ledger:
        """The state after block `number`; CallFailed if it is older than what is kept."""
        if number >= self.head.number:
            return self.ledger
        overlay: Diff = {}
        for layer in reversed(self._layers):
            if layer.number <= number:
                return self.ledger.view(overlay)
            overlay.update(layer.before)
        raise CallFailed(f"missing trie node: block {number} lies more than {LAYERS_KEPT} changes back")
