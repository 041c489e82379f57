# pragma version 0.4.3
# pragma evm-version prague
"""
@title The adjudicator
@notice Holds the deposits of every channel and pays them out as both sides have agreed, or as the
        latest state that both have signed says. No owner, no pause, no upgrade.
@dev Put together from one module for each phase of a channel's life and one for each registry. The
     layout of words, digests and calls is in docs/protocol.md; why it is so, in docs/decisions.md.
     One lock for all calls that move money; challenge, respond and the registries move none.
"""
import claim_list
import closing
import disputing
import ledger
import opening
import payouts
import price_registry
import redstone
import secret_registry

initializes: payouts
initializes: price_registry
initializes: secret_registry
initializes: ledger[payouts := payouts]
initializes: claim_list[price_registry := price_registry, secret_registry := secret_registry]
initializes: redstone[price_registry := price_registry]
initializes: opening[ledger := ledger]
initializes: closing[ledger := ledger, payouts := payouts]
initializes: disputing[claim_list := claim_list, ledger := ledger, payouts := payouts]

exports: (
    ledger.DOMAIN,
    ledger.channels,
    ledger.disputes,
    opening.deposit,
    opening.deposit_with_permit,
    closing.close,
    closing.withdraw,
    disputing.challenge,
    disputing.challenge_for,
    disputing.respond,
    disputing.settle,
    disputing.settle_batch,
    disputing.settle_claims,
    secret_registry.register_secret,
    secret_registry.register_secrets,
    secret_registry.secrets,
    price_registry.publish_price,
    price_registry.prices,
    redstone.publish_redstone,
    payouts.claim_credit,
    payouts.claim_credits,
    payouts.credits,
)


@deploy
def __init__():
    ledger.__init__()
