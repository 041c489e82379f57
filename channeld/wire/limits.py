"""The one limit that every layer of the wire shares."""

# The largest message is a batch that carries a whole channel state: a few hundred claims of at most
# about 250 bytes with their onions (1,366 bytes each, [BOLT-4]) come to some 700 kB. Twice a full
# batch must never be needed, and one peer must not be able to make us hold more than this.
MAX_MESSAGE_BYTES = 1 << 20
